"""What does the reader of the case see?

1. `contents`: a `CaseReport` holds, as plain data, everything that one page shows.
2. `definitions` and `wording` turn each measurement into words: unit, status, reason and
   definition; a value that is absent is never a zero or a blank.
3. `finding` says what was concluded about a case in one sentence, with the evidence of each
   phrase; `summary` the main results of a slide in several.
4. `pictures` and `profile` draw the overlay, the scale bar and the depth profile.
5. `pages` joins them into one self-contained HTML page per case and one per cohort;
   `spreadsheet` writes the cohort as CSV.
"""

from wsi_pipeline.report.contents import CaseReport, CohortRow, SlideFailure, SlideReport
from wsi_pipeline.report.finding import Finding, compose_finding
from wsi_pipeline.report.pages import render_case, render_cohort
from wsi_pipeline.report.spreadsheet import cohort_csv

__all__ = [
    "CaseReport",
    "CohortRow",
    "Finding",
    "SlideFailure",
    "SlideReport",
    "cohort_csv",
    "compose_finding",
    "render_case",
    "render_cohort",
]
