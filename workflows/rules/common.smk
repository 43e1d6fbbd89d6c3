# What the rules work on: the checked configuration, the case table, and where things lie.

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from wsi_pipeline.cli.inputs import format_settings, read_cases, read_settings
from wsi_pipeline.errors import WsiPipelineError

validate(config, "../schemas/config.schema.yaml")

OUT = Path(config["out"])
TABLE = Path(config["cases"])

try:
    SETTINGS = format_settings(config["settings"])
    read_settings(None, SETTINGS)
    ROWS = {row.declared.slide_id: row for row in read_cases(TABLE)}
except WsiPipelineError as fault:
    raise WorkflowError(str(fault)) from fault

CASES = list(dict.fromkeys(row.declared.case_id for row in ROWS.values()))
SLIDE = OUT / "slides" / "{slide_id}"
CASE = OUT / "cases" / "{case_id}"
LOGS = OUT / "logs"


wildcard_constraints:
    slide_id="[A-Za-z0-9][A-Za-z0-9._-]*",
    case_id="[A-Za-z0-9][A-Za-z0-9._-]*",
