# What the rules work on: the checked configuration, the case table, and where things lie.
# Slide files are checked by `wsi-pipeline run`, and by Snakemake itself as inputs.

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from wsi_pipeline import __version__
from wsi_pipeline.cli.inputs import format_settings, read_cases, read_settings
from wsi_pipeline.errors import WsiPipelineError
from wsi_pipeline.stages.resources import model_card, nuclei_card

validate(config, "../schemas/config.schema.yaml")

OUT = Path(config["out"])
TABLE = Path(config["cases"])

try:
    SETTINGS = format_settings(config["settings"])
    CHOSEN = read_settings(None, SETTINGS).segment
    MODEL = model_card(CHOSEN.model).sha256
    OUTLINER = nuclei_card(read_settings(None, SETTINGS).nuclei.model)
    ROWS = {row.declared.slide_id: row for row in read_cases(TABLE, check_files=False)}
except WsiPipelineError as fault:
    raise WorkflowError(str(fault)) from fault

CASES = list(dict.fromkeys(row.declared.case_id for row in ROWS.values()))
SLIDE = OUT / "slides" / "{slide_id}"
CASE = OUT / "cases" / "{case_id}"
LOGS = OUT / "logs"


wildcard_constraints:
    slide_id="[A-Za-z0-9][A-Za-z0-9._-]*",
    case_id="[A-Za-z0-9][A-Za-z0-9._-]*",


def settings_for(*sections):
    """Params function: options for some sections; a change elsewhere reruns nothing."""
    return lambda wildcards: [
        word
        for text in SETTINGS
        if text.partition(".")[0] in sections
        for word in ("--set", text)
    ]


def inspect_options(wildcards):
    """What the case table says about the glass; names and free text only reach the reports."""
    row = ROWS[wildcards.slide_id]
    mpp = [] if row.mpp is None else [f"--mpp={row.mpp}"]
    return [
        f"--slide-id={row.declared.slide_id}",
        f"--section={row.declared.section}",
        *mpp,
    ]


def declared_in(case_id):
    """What the case table says about the slides of a case: news for its report."""
    return [str(ROWS[slide_id].declared) for slide_id in slides_of(case_id)]


def artefact(slide_id, name):
    """Path of one artefact of a slide."""
    return Path(str(SLIDE).format(slide_id=slide_id)) / name


def is_measured(slide_id):
    """Whether a slide went through; asked only when failures are to be reported."""
    parts = (
        "slide.json",
        "tiles.json",
        "segmentation.ome.zarr",
        "nuclei.parquet",
        "measurements.json",
        "depth.zarr",
    )
    has_failed = artefact(slide_id, "failure.json").exists()
    return not has_failed and all(artefact(slide_id, part).exists() for part in parts)


def slides_of(case_id):
    """Slides of a case, in the order of the table."""
    return [
        slide_id for slide_id, row in ROWS.items() if row.declared.case_id == case_id
    ]


def measured_inputs(name):
    """Input function: one artefact of every slide of a case that its report waits for."""
    return lambda wildcards: [
        artefact(slide_id, name)
        for slide_id in slides_of(wildcards.case_id)
        if not config["report_failures"] or is_measured(slide_id)
    ]


def finished_exports(wildcards):
    """Outlines of every slide of a case: a step that still runs would read as one that died.

    An export that failed keeps no report from being written.
    """
    outlines = measured_inputs("annotations.geojson.gz")(wildcards)
    return [path for path in outlines if not config["report_failures"] or path.exists()]


def failure_notes(wildcards):
    """Notes of failed slides, when failures are to be reported; a newer note is news."""
    notes = [
        artefact(slide_id, "failure.json") for slide_id in slides_of(wildcards.case_id)
    ]
    return [note for note in notes if config["report_failures"] and note.exists()]


def promised(wildcards):
    """Everything a run leaves behind: results of slides, pages of cases, the cohort."""
    slide_ids = [s for s in ROWS if not config["report_failures"] or is_measured(s)]
    slide_ids = config["only"] or slide_ids
    names = (
        "segmentation.ome.zarr",
        "nuclei.parquet",
        "measurements.json",
        "annotations.geojson.gz",
    )
    results = [artefact(slide_id, name) for slide_id in slide_ids for name in names]
    if config["only"]:
        return results
    return (
        results
        + expand(CASE / "report.html", case_id=CASES)
        + [OUT / "cohort.html", OUT / "cohort.csv", OUT / "cohort.parquet"]
    )
