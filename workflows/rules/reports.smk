# One page per case, one page and one table over all cases.


def is_measured(slide_id):
    """Whether a slide went through; asked only when failures are to be reported."""
    folder = Path(str(SLIDE).format(slide_id=slide_id))
    parts = ("slide.json", "tiles.json", "segmentation.ome.zarr", "measurements.json")
    return not (folder / "failure.json").exists() and all((folder / p).exists() for p in parts)


def slides_of(case_id):
    """Slides of a case that its report waits for."""
    slide_ids = [s for s, row in ROWS.items() if row.declared.case_id == case_id]
    return [s for s in slide_ids if not config["report_failures"] or is_measured(s)]


def case_inputs(name):
    """Input function: one artefact of every slide of a case."""
    return lambda wildcards: expand(
        str(SLIDE / name), slide_id=slides_of(wildcards.case_id)
    )


rule report_case:
    input:
        records=case_inputs("slide.json"),
        tiles=case_inputs("tiles.json"),
        segmentations=case_inputs("segmentation.ome.zarr"),
        measurements=case_inputs("measurements.json"),
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
