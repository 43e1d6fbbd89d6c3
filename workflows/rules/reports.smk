# One page per case, one page and one table over all cases.


rule report_case:
    input:
        records=measured_inputs("slide.json"),
        tiles=measured_inputs("tiles.json"),
        segmentations=measured_inputs("segmentation.ome.zarr"),
        nuclei=measured_inputs("nuclei.parquet"),
        measurements=measured_inputs("measurements.json"),
        depths=measured_inputs("depth.zarr"),
        exports=finished_exports,
        failures=failure_notes,
    output:
        html=report(
            CASE / "report.html",
            caption="../report/case.rst",
            category="Cases",
            labels={"case": "{case_id}"},
        ),
        json=CASE / "report.json",
    log:
        LOGS / "report_case" / "{case_id}.log",
    priority: 6
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        version=__version__,
        table=TABLE,
        slides=SLIDE,
        declared=lambda wildcards: declared_in(wildcards.case_id),
    shell:
        "wsi-pipeline report case {params.table:q} {wildcards.case_id:q}"
        " --slides {params.slides:q} --html {output.html:q} --data {output.json:q}"
        " > {log:q} 2>&1"


rule report_cohort:
    input:
        cases=expand(CASE / "report.json", case_id=CASES),
    output:
        html=report(
            OUT / "cohort.html", caption="../report/cohort.rst", category="Cohort"
        ),
        csv=OUT / "cohort.csv",
        parquet=OUT / "cohort.parquet",
    log:
        LOGS / "report_cohort.log",
    priority: 7
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        version=__version__,
        table=TABLE,
        cases=CASE / "report.json",
    shell:
        "wsi-pipeline report cohort {params.table:q} --cases {params.cases:q}"
        " --html {output.html:q} --csv {output.csv:q}"
        " --parquet {output.parquet:q}"
        " > {log:q} 2>&1"
