# One page per case, one page and one table over all cases.


def artefact(slide_id, name):
    """Path of one artefact of a slide."""
    return Path(str(SLIDE).format(slide_id=slide_id)) / name


def is_measured(slide_id):
    """Whether a slide went through; asked only when failures are to be reported."""
    parts = ("slide.json", "tiles.json", "segmentation.ome.zarr", "measurements.json")
    has_failed = artefact(slide_id, "failure.json").exists()
    return not has_failed and all(artefact(slide_id, part).exists() for part in parts)


def slides_of(case_id):
    return [slide_id for slide_id, row in ROWS.items() if row.declared.case_id == case_id]


def measured_inputs(name):
    """Input function: one artefact of every slide of a case that its report waits for."""
    return lambda wildcards: [
        artefact(slide_id, name)
        for slide_id in slides_of(wildcards.case_id)
        if not config["report_failures"] or is_measured(slide_id)
    ]


def failure_notes(wildcards):
    """Notes of failed slides, when failures are to be reported; a newer note is news."""
    notes = [artefact(slide_id, "failure.json") for slide_id in slides_of(wildcards.case_id)]
    return [note for note in notes if config["report_failures"] and note.exists()]


rule report_case:
    input:
        records=measured_inputs("slide.json"),
        tiles=measured_inputs("tiles.json"),
        segmentations=measured_inputs("segmentation.ome.zarr"),
        measurements=measured_inputs("measurements.json"),
        failures=failure_notes,
    output:
        html=report(
            CASE / "report.html",
            caption="../report/case.rst",
            category="Cases",
            labels={"case": "{case_id}"},
        ),
        json=CASE / "report.json",
    params:
        table=TABLE,
        slides=SLIDE,
    log:
        LOGS / "report" / "{case_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    shell:
        "wsi-pipeline report case {params.table:q} {wildcards.case_id:q}"
        " --slides {params.slides:q} --html {output.html:q} --json {output.json:q}"
        " > {log:q} 2>&1"


rule report_cohort:
    input:
        cases=expand(CASE / "report.json", case_id=CASES),
    output:
        html=report(OUT / "cohort.html", caption="../report/cohort.rst", category="Cohort"),
        csv=OUT / "cohort.csv",
    params:
        table=TABLE,
        cases=CASE / "report.json",
    log:
        LOGS / "report" / "cohort.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    shell:
        "wsi-pipeline report cohort {params.table:q} --cases {params.cases:q}"
        " --html {output.html:q} --csv {output.csv:q} > {log:q} 2>&1"
