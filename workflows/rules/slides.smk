# One slide: inspect → tile → segment → nuclei → measure → export.
# What is further on has priority: slides that were begun are finished before others begin.


rule inspect:
    input:
        slide=lambda wildcards: ROWS[wildcards.slide_id].path,
    output:
        record=SLIDE / "slide.json",
    log:
        LOGS / "inspect" / "{slide_id}.log",
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        version=__version__,
        declared=inspect_options,
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("slide"),
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
    log:
        LOGS / "tile" / "{slide_id}.log",
    priority: 1
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        version=__version__,
        failure=str(SLIDE / "failure.json"),
        model=MODEL,
        settings=settings_for("slide", "tissue", "tiling", "segment", "store"),
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
    log:
        LOGS / "segment" / "{slide_id}.log",
    priority: 2
    conda:
        "../envs/wsi-pipeline.yaml"
    threads: 8  # Snakemake scales this down to the cores it was given
    resources:
        mem_mb=memory(2000, per_thread_mb=1000),
        runtime=minutes(20, per_tile_s=20),
        gpu=1 if CHOSEN.device == "cuda" else 0,
    params:
        version=__version__,
        failure=str(SLIDE / "failure.json"),
        model=MODEL,
        settings=settings_for("slide", "tiling", "segment", "store"),
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " segment {input.record:q} --tiles {input.tiles:q} --out {output.segmentation:q}"
        " --workers {threads} {params.settings:q} > {log:q} 2>&1"


rule nuclei:
    input:
        record=SLIDE / "slide.json",
        segmentation=SLIDE / "segmentation.ome.zarr",
    output:
        nuclei=SLIDE / "nuclei.parquet",
    log:
        LOGS / "nuclei" / "{slide_id}.log",
    priority: 3
    conda:
        "../envs/wsi-pipeline.yaml"
    threads: 8
    resources:
        mem_mb=memory(2000, per_thread_mb=1000),
        runtime=minutes(20, per_tile_s=200),
        gpu=1 if OUTLINER and CHOSEN.device == "cuda" else 0,
    params:
        version=__version__,
        failure=str(SLIDE / "failure.json"),
        model=OUTLINER and OUTLINER.sha256,
        settings=settings_for("slide", "segment", "nuclei"),
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " nuclei {input.record:q} --segmentation {input.segmentation:q}"
        " --out {output.nuclei:q} --workers {threads} {params.settings:q} > {log:q} 2>&1"


rule measure:
    input:
        record=SLIDE / "slide.json",
        tiles=SLIDE / "tiles.json",
        segmentation=SLIDE / "segmentation.ome.zarr",
        nuclei=SLIDE / "nuclei.parquet",
    output:
        measurements=SLIDE / "measurements.json",
        depth=directory(SLIDE / "depth.zarr"),
    log:
        LOGS / "measure" / "{slide_id}.log",
    priority: 4
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(4000, per_tile_mb=20),
        runtime=minutes(30, per_tile_s=10),
    params:
        version=__version__,
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("measure", "grade"),
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " measure {input.record:q} --tiles {input.tiles:q}"
        " --segmentation {input.segmentation:q} --nuclei {input.nuclei:q}"
        " --out {output.measurements:q}"
        " {params.settings:q} > {log:q} 2>&1"


# The outlines do not depend on the measurements; they wait for them, because two steps of a slide
# at once would share its failure note.
rule export:
    input:
        record=SLIDE / "slide.json",
        segmentation=SLIDE / "segmentation.ome.zarr",
        measured=ancient(SLIDE / "measurements.json"),
    output:
        annotations=SLIDE / "annotations.geojson.gz",
    log:
        LOGS / "export" / "{slide_id}.log",
    priority: 5
    conda:
        "../envs/wsi-pipeline.yaml"
    resources:
        mem_mb=memory(3000, per_tile_mb=20),
        runtime=minutes(20, per_tile_s=5),
    params:
        version=__version__,
        folder=lambda wildcards, input: Path(input.record).parent,
        failure=str(SLIDE / "failure.json"),
        settings=settings_for("annotate"),
    shell:
        "WSI_FAILURE_NOTE={params.failure:q} WSI_FAILURE_LOG={log:q} wsi-pipeline"
        " export {params.folder:q} --format annotations {params.settings:q} > {log:q} 2>&1"
