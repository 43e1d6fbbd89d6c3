# One slide: inspect → tile → segment → measure.


def settings_for(*sections):
    """Options for the settings of some sections: a change elsewhere reruns nothing."""
    return [
        word
        for text in SETTINGS
        if text.partition(".")[0] in sections
        for word in ("--set", text)
    ]


def declared_options(wildcards):
    """What the case table says about a slide, as options of `inspect`."""
    row = ROWS[wildcards.slide_id]
    said = {
        "--slide-id": row.declared.slide_id,
        "--case-id": row.declared.case_id,
        "--block": row.declared.block,
        "--section": row.declared.section,
        "--primary-site": row.declared.primary_site,
        "--stain": row.declared.stain,
        "--mpp": row.mpp,
    }
    return [f"{option}={value}" for option, value in said.items() if value not in ("", None)]


rule inspect:
    input:
        slide=lambda wildcards: ROWS[wildcards.slide_id].path,
    output:
        record=SLIDE / "slide.json",
    params:
        declared=declared_options,
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("slide"),
    log:
        LOGS / "inspect" / "{slide_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " inspect {input.slide:q} --out {output.record:q}"
        " {params.declared:q} {params.settings:q} > {log:q} 2>&1"


rule tile:
    input:
        record=SLIDE / "slide.json",
    output:
        tiles=SLIDE / "tiles.json",
        sections=SLIDE / "sections.png",
        picture=SLIDE / "tiles.png",
    params:
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("slide", "tissue", "tiling", "segment", "store"),
    log:
        LOGS / "tile" / "{slide_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " tile {input.record:q} --out {output.tiles:q} --picture {output.picture:q}"
        " {params.settings:q} > {log:q} 2>&1"


rule segment:
    input:
        record=SLIDE / "slide.json",
        tiles=SLIDE / "tiles.json",
        sections=SLIDE / "sections.png",
    output:
        segmentation=directory(SLIDE / "segmentation.ome.zarr"),
    params:
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("slide", "tiling", "segment", "store"),
    log:
        LOGS / "segment" / "{slide_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    threads: workflow.cores
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " segment {input.record:q} --tiles {input.tiles:q} --out {output.segmentation:q}"
        " --workers {threads} {params.settings:q} > {log:q} 2>&1"


rule measure:
    input:
        record=SLIDE / "slide.json",
        tiles=SLIDE / "tiles.json",
        segmentation=SLIDE / "segmentation.ome.zarr",
    output:
        measurements=SLIDE / "measurements.json",
    params:
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("measure"),
    log:
        LOGS / "measure" / "{slide_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " measure {input.record:q} --tiles {input.tiles:q}"
        " --segmentation {input.segmentation:q} --out {output.measurements:q}"
        " {params.settings:q} > {log:q} 2>&1"
