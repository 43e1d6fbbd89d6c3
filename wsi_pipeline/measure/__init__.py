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
8. `depth_plane` and `grade_map`: what of it can be laid over the slide as a picture; `nest_map`:
   where the nests lie.
9. `case` and `pooled_grade`: from sections and slides to the `calls` of a case.

docs/measurements.md defines every number.
"""

from wsi_pipeline.measure.calls import Call, CaseSlide, Evidence, Limit
from wsi_pipeline.measure.case import call_case
from wsi_pipeline.measure.depth_plane import join_depths
from wsi_pipeline.measure.grade_map import AREA_STEP_UM2, GradeMap, map_grades
from wsi_pipeline.measure.nest_map import NestMap, map_nests
from wsi_pipeline.measure.nuclear_grade import absent_nuclei, measure_nuclei
from wsi_pipeline.measure.results import (
    Curves,
    DepthPlane,
    SectionMeasurements,
    SlideMeasurements,
    read_values,
)
from wsi_pipeline.measure.slide import measure_slide

__all__ = [
    "AREA_STEP_UM2",
    "Call",
    "CaseSlide",
    "Curves",
    "DepthPlane",
    "Evidence",
    "GradeMap",
    "Limit",
    "NestMap",
    "SectionMeasurements",
    "SlideMeasurements",
    "absent_nuclei",
    "call_case",
    "join_depths",
    "map_grades",
    "map_nests",
    "measure_nuclei",
    "measure_slide",
    "read_values",
]
