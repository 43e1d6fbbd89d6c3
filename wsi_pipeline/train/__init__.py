"""How is a model learnt?

1. `augment`: one tile becomes many: turns, mirrors, stain of slides and of tissues, light,
   focus, noise.  `roughen`: nuclei and what lies around them get textures of their own.
2. `mixing`: tissues of two tiles side by side.
3. `loss`: how wrong is a label map?
4. `checkpoint`: the whole state of a training run in one file that runs no code.
5. `loop`: `fit` a network to batches that depend on the step alone, so that a run that was
   killed goes on as if nothing had happened.
6. `calibrate`: are its probabilities to be believed?
7. `novelty`: what does the tissue it was trained on look like to it?

Where tiles come from is the business of the stage.
"""

from wsi_pipeline.train.augment import augment, window_px
from wsi_pipeline.train.calibrate import calibration_error, fit_temperature
from wsi_pipeline.train.loop import Fit, Progress, fit
from wsi_pipeline.train.loss import mean_dice
from wsi_pipeline.train.mixing import mix_tiles
from wsi_pipeline.train.novelty import fit_familiar
from wsi_pipeline.train.roughen import roughen

__all__ = [
    "Fit",
    "Progress",
    "augment",
    "calibration_error",
    "fit",
    "fit_familiar",
    "fit_temperature",
    "mean_dice",
    "mix_tiles",
    "roughen",
    "window_px",
]
