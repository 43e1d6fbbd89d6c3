"""Which pixels are at this place?

1. `open_slide` finds the library that can read a file and makes sure of its pixel size.
2. A `Slide` then answers one question, at any working mpp: the RGB pixels in a box.
3. What was found out about the file on the way is its `SlideInfo`.
"""

from wsi_pipeline.slide.base import Slide, SlideInfo
from wsi_pipeline.slide.opening import open_slide

__all__ = ["Slide", "SlideInfo", "open_slide"]
