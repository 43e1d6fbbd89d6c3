"""What do the labels say about the dermis?

1. `plane`: one section at a time, on the plane on which it is measured.
2. `dej`, `dsj`: where the dermis begins and ends; `cover` and `stretches`: what lies above
   it, and how far along the outline; `line`: distances to such lines.
3. `depth`: how deep each pixel lies between the two; `orientation`: whether that has a
   meaning on this section.
4. `amounts`, `compartment`, `infiltration`: the numbers.  A further kind of number is a
   further module of that form, called in `section`.
5. `architecture`: in which pattern the tumour grows, from `fine` labels, its `nests` and
   their `width`; `horizontal`: what a section parallel to the surface shows.
6. `section`, `rollup`, `slide`: from pixels to a slide's values and flags; `results`
   holds them.

7. `nuclear_grade`: what a table of the tumour's nuclei says; it needs no labels.
8. `case` and `pooled_grade`: from sections and slides to the `calls` of a case.

docs/measurements.md defines every number.
"""

from wsi_pipeline.measure.calls import Call, CaseSlide, Evidence, Limit
from wsi_pipeline.measure.case import call_case
from wsi_pipeline.measure.nuclear_grade import absent_nuclei, measure_nuclei
from wsi_pipeline.measure.results import (
    Curves,
    SectionMeasurements,
    SlideMeasurements,
    read_values,
)
from wsi_pipeline.measure.slide import measure_slide

__all__ = [
    "Call",
    "CaseSlide",
    "Curves",
    "Evidence",
    "Limit",
    "SectionMeasurements",
    "SlideMeasurements",
    "absent_nuclei",
    "call_case",
    "measure_nuclei",
    "measure_slide",
    "read_values",
]
