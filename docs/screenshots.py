"""How do the pages look, on a desk and in the hand?

Takes pictures of a case report, of the cohort page and of the viewer into ``docs/images``, called
by ``make screenshots``.  The report and the viewer show painted slides, the cohort drawn numbers.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser, browse  # tests/browser.py
from PIL import Image
from synthetic import draw_rows  # tests/report/synthetic.py

from wsi_pipeline import __version__
from wsi_pipeline.report import render_cohort
from wsi_pipeline.serve import Guard, listen, make_app, make_server
from wsi_pipeline.stages.view import open_library, read_openseadragon

IMAGES = Path(__file__).parent / "images"
CASES, CASE, SLIDE = 2000, "phantom-1", "phantom-1-vertical"
DESK = {"cohort": (1280, 900), "report": (1280, 1500), "viewer": (1280, 900)}
HAND = (390, 844)
MOST_BYTES = 200_000
ZOOMED = (
    "document.querySelector('.viewer').scrollIntoView() || "
    "document.querySelector('.viewer').slideView?.viewer.world.getItemAt(0)?.getFullyLoaded()"
)
TILED = (
    "window.slideView?.viewer.world.getItemCount() > 0 && [...Array(window.slideView.viewer.world"
    ".getItemCount()).keys()].every((i) => { const it = window.slideView.viewer.world.getItemAt(i);"
    "return it.getOpacity() === 0 || it.getFullyLoaded(); })"
)
STILL = "new Promise((done) => setTimeout(done, 1500))"


def save(browser: Browser, name: str) -> None:
    """Write what the window shows; as well as fits into `MOST_BYTES`."""
    picture = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    for quality in (90, 80, 70, 60, 50):
        packed = io.BytesIO()
        picture.save(packed, "webp", quality=quality, method=6)
        if packed.tell() < MOST_BYTES:
            break
    (IMAGES / f"{name}.webp").write_bytes(packed.getvalue())


def shoot(browser: Browser, page: Path | str, name: str, *, ready: str, top: str = "body") -> None:
    """Take a page on a desk and in the hand, from an element downwards, once it is ready."""
    for (width, height), tail in ((DESK[name], ""), (HAND, "-phone")):
        browser.open(page, width=width, height=height)
        browser.until(ready, seconds=120)
        browser.run(f"document.querySelector('{top}').scrollIntoView()")
        browser.run(STILL)
        save(browser, name + tail)


@contextmanager
def served(results: Path) -> Iterator[str]:
    """Address of a viewer over a folder of results."""
    token = "0" * 16
    app = make_app(open_library(results, tell=print), script=read_openseadragon())
    with listen("127.0.0.1", 0) as listening:
        server = make_server(Guard(app, token=token, host="127.0.0.1"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/"
        finally:
            server.should_exit = True
            thread.join()


def main(results: Path) -> None:
    """Take all pictures; ``results`` hold the case `CASE`."""
    with TemporaryDirectory() as folder, browse(Path(folder) / "profile") as browser:
        cohort = Path(folder) / "cohort.html"
        about = {"pipeline_version": __version__}
        cohort.write_text(render_cohort(draw_rows(CASES), provenance=about), encoding="utf-8")
        live = "document.body.classList.contains('live')"
        shoot(browser, cohort, "cohort", ready=live, top=".filters")
        report = (results / "cases" / CASE / "report.html").resolve()
        shoot(browser, report, "report", ready=ZOOMED)
        with served(results) as address:
            shoot(browser, f"{address}view/{SLIDE}/", "viewer", ready=TILED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
