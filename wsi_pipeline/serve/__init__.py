"""What does a browser on this computer see of a folder of results?

1. `contents` are the plain values and callables that the pages are made from; who opens
   slides and stores is somebody else's affair.
2. `pyramid` says which tiles a slide is cut into, `painting` what is seen in one of them.
3. `files` decides which files of the folder may be read at all, `guard` who may ask.
4. `leases` keeps a few slides open for many readers.
5. `app` puts an answer to every address, `pages` writes it, `running` listens.
"""

from wsi_pipeline.serve.app import make_app
from wsi_pipeline.serve.contents import (
    CaseEntry,
    Contents,
    Library,
    Overlay,
    SlideEntry,
    Specimen,
)
from wsi_pipeline.serve.files import is_plain_name, place_in
from wsi_pipeline.serve.guard import Guard, is_loopback
from wsi_pipeline.serve.running import listen, make_server, run_until_interrupted

__all__ = [
    "CaseEntry",
    "Contents",
    "Guard",
    "Library",
    "Overlay",
    "SlideEntry",
    "Specimen",
    "is_loopback",
    "is_plain_name",
    "listen",
    "make_app",
    "make_server",
    "place_in",
    "run_until_interrupted",
]
