"""What would a slide look like whose truth we know?

A phantom is an H&E picture of skin painted from a geometry, so that every label, curve,
nucleus and fraction is known exactly.  The layers are pure functions:

1. `spec`    what is wanted; priors for what is left open;
2. `frame`   how the section lies on the glass; `noise` random fields;
3. `skin`, `adnexa`, `lesion` (patterns in `growth`, trimming in `shapes`), `mimics`, joined by
   `tissue`: signed distances on a coarse mesh;
4. `block`   geometry and class at the pixels of a block;
5. `nuclei` (`lesional`, `placing`), `stamp`, `wallpaper`, `stain`: dyes; `optics`: light;
6. `artefacts`, `strokes`, `marks`, `scanner`: what went wrong with section, glass and light;
7. `paint`   joins them block by block; `truth` measures; `tiff` writes a slide file.

A phantom proves that software measures what was drawn.  It does not prove that anything
works on human tissue.
"""

from wsi_pipeline.phantom.artefacts import ARTEFACT_NAMES, Artefacts, sample_artefacts
from wsi_pipeline.phantom.paint import Phantom, paint_phantom
from wsi_pipeline.phantom.spec import PhantomSpec, sample_spec, vary_lesion
from wsi_pipeline.phantom.stamp import map_nuclei
from wsi_pipeline.phantom.tiff import write_slide_tiff
from wsi_pipeline.phantom.truth import coarsen_labels, truth_to_json

__all__ = [
    "ARTEFACT_NAMES",
    "Artefacts",
    "Phantom",
    "PhantomSpec",
    "coarsen_labels",
    "map_nuclei",
    "paint_phantom",
    "sample_artefacts",
    "sample_spec",
    "truth_to_json",
    "vary_lesion",
    "write_slide_tiff",
]
