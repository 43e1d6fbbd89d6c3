"""What kinds of tissue are there?

The eight classes, in the order of their label values.  Colours are for overlays; they
follow Okabe and Ito's palette, which stays distinguishable under colour blindness
(https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from typing import NamedTuple


class TissueClass(NamedTuple):
    """Name and overlay colour (red, green, blue) of one label value."""

    name: str
    rgb: tuple[int, int, int]


TISSUE_CLASSES: tuple[TissueClass, ...] = (
    TissueClass("background", (255, 255, 255)),
    TissueClass("epidermis", (0, 114, 178)),
    TissueClass("dermis", (240, 180, 200)),
    TissueClass("adnexa", (0, 158, 115)),
    TissueClass("subcutis", (240, 228, 66)),
    TissueClass("tumour", (213, 94, 0)),
    TissueClass("inflammation", (86, 180, 233)),
    TissueClass("keratin", (120, 120, 120)),
)

CLASS_NAMES: tuple[str, ...] = tuple(tissue.name for tissue in TISSUE_CLASSES)

BACKGROUND, EPIDERMIS, DERMIS, ADNEXA, SUBCUTIS, TUMOUR, INFLAMMATION, KERATIN = range(8)

EPITHELIUM = 254
"""Label of what is epidermis or adnexa, which of them was not told; only annotations know it: the
epithelium of a wide infundibulum looks like epidermis, and where one ends is convention."""
