# Segments, measures and reports the slides of a case table.
#
#   wsi-pipeline run CASES.tsv --out DIR          checks the input first and names what failed
#   snakemake --cores 2 --config cases=… out=…    the same rules, driven by hand
#
# Order, files and resources only; every rule calls one verb of `wsi-pipeline`.

from snakemake.utils import min_version

min_version("9.6")


configfile: workflow.source_path("workflows/config.yaml")


include: "workflows/rules/common.smk"
include: "workflows/rules/resources.smk"
include: "workflows/rules/slides.smk"
include: "workflows/rules/reports.smk"


localrules:
    all,


rule all:
    input:
        promised,
