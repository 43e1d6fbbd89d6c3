"""What may go wrong?

Every error the pipeline raises on purpose is a `WsiPipelineError` *and* the built-in a
caller would expect.  A message says what is wrong, where, and what to do about it.
"""


class WsiPipelineError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(WsiPipelineError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class CaseTableError(WsiPipelineError, ValueError):
    """The case table cannot be used; the message lists every fault found in it."""


class SlideReadError(WsiPipelineError, OSError):
    """A slide file cannot be opened or a region of it cannot be decoded."""


class MissingMppError(WsiPipelineError, ValueError):
    """A slide does not state its pixel size and none was given."""


class InvalidMppError(WsiPipelineError, ValueError):
    """A stated pixel size is anisotropic or outside the plausible range."""


class TissueError(WsiPipelineError, ValueError):
    """No tissue was found, or not enough of it to go on."""


class TilePlanError(WsiPipelineError, ValueError):
    """A tile plan cannot be made from, or does not fit, what it was given."""


class ModelMismatchError(WsiPipelineError, ValueError):
    """A model's card, weights and output do not agree with each other."""


class StoreError(WsiPipelineError, OSError):
    """A stored plane is missing, incomplete, or of the wrong shape."""


class MeasurementError(WsiPipelineError, ValueError):
    """Measurements cannot be taken from what was given."""


class BlockError(WsiPipelineError, RuntimeError):
    """A tile of a plane could not be computed; the message names its box."""
