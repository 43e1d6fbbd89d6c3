# What a step asks a cluster for; on one machine only threads count.
#
# Memory and minutes grow with each attempt (`retries` of a profile), so that a job that was
# killed for too little of either asks for more.

import json


def tiles_in(wildcards):
    """How many tiles a slide has; 1 as long as `tile` has not counted them."""
    path = artefact(wildcards.slide_id, "tiles.json")
    return len(json.loads(path.read_text())["plan"]["cells"]) if path.exists() else 1


def memory(base_mb, *, per_thread_mb=0, per_tile_mb=0):
    """Resource function: megabytes. No job gets along with less than 800: it starts Snakemake twice."""

    def mem_mb(wildcards, attempt, threads):
        tiles = tiles_in(wildcards) if per_tile_mb else 0
        return attempt * (base_mb + per_thread_mb * threads + per_tile_mb * tiles)

    return mem_mb


def minutes(base, *, per_tile_s=0):
    """Resource function: minutes; seconds of a tile are those of one slow core."""

    def runtime(wildcards, attempt, threads):
        tiles = tiles_in(wildcards) if per_tile_s else 0
        return attempt * round(base + per_tile_s * tiles / threads / 60)

    return runtime
