"""How is a stage called from a shell?

``wsi-pipeline VERB``: one verb per stage.  `main` is the entry point; it loads nothing that
the chosen verb does not need, and nothing at all where a process that is ready runs it.
"""

import sys

from wsi_pipeline.cli.forked import ask_fork

__all__ = ["main"]


def main() -> None:
    """Entry point of the command ``wsi-pipeline``."""
    code = ask_fork()
    if code is not None:
        sys.exit(code)
    from wsi_pipeline.cli import app  # noqa: PLC0415 - slow to import

    app.main()
