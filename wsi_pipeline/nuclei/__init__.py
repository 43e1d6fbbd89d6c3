"""Which nuclei are here, and how large?

1. `stain`: how much haematoxylin each pixel has taken up; estimated once per slide.
2. `levels`: what is dense for its surroundings.
3. `readings`: which pixels are one nucleus, with `basins`, which parts them along necks;
   `outline`: where it ends.
4. `instances` joins them, `shapes` and `table` measure what was found.

Classical image analysis: nothing is learnt.  All sizes are in µm.  `TILE_REACH_UM` of context
on all sides makes the nuclei of a tile those of the whole plane.
"""

from wsi_pipeline.nuclei.instances import (
    COARSEST_MPP,
    TILE_REACH_UM,
    blurred,
    segment_nuclei,
    working_mpp,
)
from wsi_pipeline.nuclei.learnt import NUCLEAR_CLASSES, nuclei_of
from wsi_pipeline.nuclei.levels import cell_px
from wsi_pipeline.nuclei.stain import Stain, estimate_stain, haematoxylin_od
from wsi_pipeline.nuclei.table import NUCLEUS_DTYPE, Nuclei, describe_nuclei, owned_by

__all__ = [
    "COARSEST_MPP",
    "NUCLEAR_CLASSES",
    "NUCLEUS_DTYPE",
    "TILE_REACH_UM",
    "Nuclei",
    "Stain",
    "blurred",
    "cell_px",
    "describe_nuclei",
    "estimate_stain",
    "haematoxylin_od",
    "nuclei_of",
    "owned_by",
    "segment_nuclei",
    "working_mpp",
]
