"""What would a slide look like whose truth we know?

A phantom is an H&E picture of skin painted from a geometry, so that every label, curve,
nucleus and fraction is known exactly.  The layers are pure functions:

1. `spec`    what is wanted; priors for what is left open; `look` how tissues take up dye,
   `surface` what time and knife have done; `ranges` bounds and draws of both;
2. `frame`   how the section lies on the glass; `noise` random fields;
3. `skin`, `adnexa`, `anatomy` (`profiles`, `infundibula` and `bundles`, placed by `furnish`),
   `lesion` (patterns in `growth`, place in `site`, trimming in `shapes`), `mimics`, `missing` and
   `loose` parts, joined by `tissue`: signed distances on a coarse mesh;
4. `block`   geometry and class at the pixels of a block;
5. `nuclei` (`lesional`, `placing`, `dice`), `stamp`, `wallpaper`, `stain`, `stroma`: dyes;
   `optics`: light;
6. `artefacts`, `strokes`, `marks`, `scanner`: what went wrong with section, glass and light;
7. `paint`   joins them block by block; `truth`, `columns` and `census` measure and count;
   `serial` and `pieces` put serial sections on one glass;
   `counterfactual` changes one factor; `tiff` writes a slide file.

A phantom proves that software measures what was drawn.  It does not prove that anything
works on human tissue.
"""

from wsi_pipeline.phantom.anatomy import Anatomy, sample_anatomy
from wsi_pipeline.phantom.artefacts import ARTEFACT_NAMES, Artefacts, sample_artefacts
from wsi_pipeline.phantom.census import number_nests, number_nuclei
from wsi_pipeline.phantom.counterfactual import counterfactuals
from wsi_pipeline.phantom.look import Cells, Look, rough_look, sample_look
from wsi_pipeline.phantom.nuclei import Cell
from wsi_pipeline.phantom.paint import Phantom, paint_phantom
from wsi_pipeline.phantom.pieces import PhantomSlide, Piece, compose, serial_specs
from wsi_pipeline.phantom.spec import (
    Architecture,
    PhantomSpec,
    Section,
    sample_spec,
    vary_lesion,
)
from wsi_pipeline.phantom.surface import Surface, sample_surface
from wsi_pipeline.phantom.tiff import write_slide_tiff
from wsi_pipeline.phantom.truth import coarsen_labels, truth_to_json

__all__ = [
    "ARTEFACT_NAMES",
    "Anatomy",
    "Architecture",
    "Artefacts",
    "Cell",
    "Cells",
    "Look",
    "Phantom",
    "PhantomSlide",
    "PhantomSpec",
    "Piece",
    "Section",
    "Surface",
    "coarsen_labels",
    "compose",
    "counterfactuals",
    "number_nests",
    "number_nuclei",
    "paint_phantom",
    "rough_look",
    "sample_anatomy",
    "sample_artefacts",
    "sample_look",
    "sample_spec",
    "sample_surface",
    "serial_specs",
    "truth_to_json",
    "vary_lesion",
    "write_slide_tiff",
]
