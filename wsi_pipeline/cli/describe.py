"""How is a slide, and what would be done with it, put into lines?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wsi_pipeline.cli.progress import format_duration

if TYPE_CHECKING:
    from wsi_pipeline.stages.inspect import SlideRecord


def describe_slide(record: SlideRecord) -> Iterator[str]:
    """Lines that say what a slide file is."""
    info = record.info
    rows, columns = info["level_shapes"][0]
    levels = ", ".join(f"{factor:g}×" for factor in info["level_downsamples"])
    yield f"{record.path.name}: {info['vendor']}, read with {info['backend']}"
    yield f"  {columns} × {rows} px at {info['mpp']:g} µm/px (from {info['mpp_source']})"
    width_mm, height_mm = columns * info["mpp"] / 1000, rows * info["mpp"] / 1000
    yield f"  {width_mm:.2f} × {height_mm:.2f} mm, levels {levels}"


def describe_plan(plan: Mapping[str, Any] | None, stops: str) -> Iterator[str]:
    """Lines that say what the pipeline would do, or why it would stop.

    Parameters
    ----------
    plan
        A forecast as a plain dictionary; None where there is none.
    stops
        Why not.
    """
    if plan is None:
        yield f"  would stop here: {stops}"
        return
    rows, columns = plan["lattice"]
    yield f"would be segmented by {plan['model']} at {plan['working_mpp']:g} µm/px"
    yield f"  read from level {plan['level']}, {plan['shape_px'][1]} × {plan['shape_px'][0]} px"
    yield (
        f"  {_count(plan['sections'], 'section')}, {plan['tissue_mm2']:.2f} mm² of tissue: "
        f"{plan['tiles']} of {_count(rows * columns, 'tile')}, {plan['computed_mpx']:.1f} Mpx "
        f"computed for {plan['decided_mpx']:.1f} decided"
    )
    workers, rate = _count(plan["workers"], "worker"), plan["network_s_per_mpx"]
    yield (
        f"  about {format_duration(plan['segment_s'])} on {plan['device']} in {plan['precision']} "
        f"with {workers} (timed here: {rate:.2f} s per Mpx for the network alone, and 0.7 times "
        "that for reading and writing)"
    )
    yield f"  about {plan['memory_mb'] / 1000:.1f} GB of memory"
    yield "  nuclei, measurements and report come on top"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
