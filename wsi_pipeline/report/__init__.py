"""What does the reader of the case see?

1. `contents`: a `CaseReport` holds, as plain data, everything that one page shows.
2. `definitions` and `wording` turn each measurement into words: unit, status, reason and
   definition; a value that is absent is never a zero or a blank.
3. `finding` says what was concluded about a case in one sentence, with the evidence of each
   phrase; `summary` the main results of a slide in several.
4. `pictures`, `profile` and `figures` draw the overview, the scale bar and the distributions;
   `pyramid`, `planes` and `zoom` hold what can be looked into and asked for.
5. `cohort` brings the slides of all cases into the words of one table, `distributions` draws how
   they are spread.
6. `pages` joins them into one self-contained HTML page per case and one per cohort;
   `spreadsheet` writes the cohort as CSV, `columns` gives it typed.
"""

from wsi_pipeline.report.columns import CohortColumn, cohort_columns
from wsi_pipeline.report.contents import (
    CaseReport,
    CohortRow,
    NuclearAreas,
    SlideFailure,
    SlideReport,
)
from wsi_pipeline.report.finding import Finding, compose_finding
from wsi_pipeline.report.pages import render_case, render_cohort
from wsi_pipeline.report.planes import (
    ValuePlane,
    plane_of_classes,
    plane_of_grades,
    plane_of_probability,
    planes_of_depth,
)
from wsi_pipeline.report.pyramid import ImageLevel, encode_pyramid, paint_glass
from wsi_pipeline.report.spreadsheet import cohort_csv
from wsi_pipeline.report.zoom import Zoom

__all__ = [
    "CaseReport",
    "CohortColumn",
    "CohortRow",
    "Finding",
    "ImageLevel",
    "NuclearAreas",
    "SlideFailure",
    "SlideReport",
    "ValuePlane",
    "Zoom",
    "cohort_columns",
    "cohort_csv",
    "compose_finding",
    "encode_pyramid",
    "paint_glass",
    "plane_of_classes",
    "plane_of_grades",
    "plane_of_probability",
    "planes_of_depth",
    "render_case",
    "render_cohort",
]
