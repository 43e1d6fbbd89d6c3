"""How is a stage called from a shell?

``wsi-pipeline VERB``: one verb per stage.  `main` is the entry point; it loads nothing that
the chosen verb does not need.
"""

from wsi_pipeline.cli.app import main

__all__ = ["main"]
