"""Draw what `benchmarks/growth.py` measured.

    python benchmarks/growth_plot.py FOLDER docs/images/growth.svg

Two panels over the decided tissue, both axes of the first logarithmic: processor seconds, beside a
line of constant time per tissue through the largest slide; and the most memory.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, ACROSS, DOWN = 720, 300, 60, 30, 250, 210
INK, LINE = "#4d4d4d", "#0072b2"


def measured(folder: Path) -> list[tuple[float, float, float]]:
    """Decided Mpx, processor seconds and peak MiB of each slide of tissue, smallest first."""
    rows = []
    for path in folder.glob("tissue-*/growth.json"):
        run = json.loads(path.read_text(encoding="utf-8"))[0]
        rows.append((run["needed_px"] / 1e6, run["cpu_s"], run["peak_mib"]))
    return sorted(rows)


def text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def dots(points: list[tuple[float, float]]) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{LINE}"/><g fill="{LINE}">{marks}</g>'


def panel(left: float, title: str, ticks: list[tuple[float, str]]) -> str:
    """Frame with a title and the ticks of its ordinate (place 0 to 1, label)."""
    frame = f'<rect x="{left}" y="{TOP}" width="{ACROSS}" height="{DOWN}" fill="none"/>'
    marks = "".join(
        text(left - 6, TOP + DOWN * (1 - at) + 4, label, anchor="end") for at, label in ticks
    )
    return f'<g stroke="{INK}">{frame}</g>{text(left + ACROSS / 2, TOP - 10, title)}{marks}'


def drawing(rows: list[tuple[float, float, float]]) -> str:
    first, last = math.log10(rows[0][0]), math.log10(rows[-1][0])

    def across(left: float, mpx: float) -> float:
        return left + ACROSS * (0.05 + 0.9 * (math.log10(mpx) - first) / (last - first))

    low, high = (math.floor(math.log10(rows[0][1])), math.ceil(math.log10(rows[-1][1])))

    def up(share: float) -> float:
        return TOP + DOWN * (1 - share)

    def seconds(value: float) -> float:
        return up((math.log10(value) - low) / (high - low))

    other = LEFT + ACROSS + 110
    top_mib = 1250.0
    rate = rows[-1][1] / rows[-1][0]
    ends = [(across(LEFT, mpx), seconds(rate * mpx)) for mpx, _, _ in (rows[0], rows[-1])]
    parts = [
        panel(
            LEFT, "processor seconds",
            [((n - low) / (high - low), f"{10**n:g}") for n in range(low, high + 1)],
        ),
        panel(other, "most memory, MiB", [(n / top_mib, f"{n:g}") for n in range(0, 1251, 250)]),
        f'<line x1="{ends[0][0]:.1f}" y1="{min(ends[0][1], TOP + DOWN):.1f}" x2="{ends[1][0]:.1f}" '
        f'y2="{ends[1][1]:.1f}" stroke="{INK}" stroke-dasharray="4"/>',
        dots([(across(LEFT, mpx), seconds(cpu)) for mpx, cpu, _ in rows]),
        dots([(across(other, mpx), up(mib / top_mib)) for mpx, _, mib in rows]),
    ]  # fmt: skip
    for left in (LEFT, other):
        parts += [text(across(left, mpx), TOP + DOWN + 18, f"{mpx:.3g}") for mpx, _, _ in rows]
        parts.append(text(left + ACROSS / 2, TOP + DOWN + 38, "decided tissue, Mpx at 2 µm/px"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="13" fill="{INK}"><rect width="{WIDTH}" '
        f'height="{HEIGHT}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    folder, out = map(Path, sys.argv[1:3])
    out.write_text(drawing(measured(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
