"""The viewer in a real browser: a slide and its overlays lie on each other, a click tells."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browse, violations
from PIL import Image
from serving import (
    DEPTH_MPP,
    MARK_UM,
    ORIGIN_UM,
    SLIDE_MPP,
    WORK_MPP,
    Serve,
    Served,
    write_real_results,
)

from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES, TUMOUR
from wsi_pipeline.stages.inspect import read_record
from wsi_pipeline.store import Segmentation

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on the path")
LOADED = (
    "window.slideView?.viewer.world.getItemCount() > 0 && [...Array(window.slideView.viewer.world"
    ".getItemCount()).keys()].every((i) => { const it = window.slideView.viewer.world.getItemAt(i);"
    "return it.getOpacity() === 0 || it.getFullyLoaded(); })"
)

TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def look(browser: Browser, url: str, **how: int | bool) -> None:
    browser.open(url, **how)
    browser.until(LOADED)


def choose(browser: Browser, overlay: str, *, opacity: int = 100) -> None:
    """Lay one overlay over the slide."""
    browser.run(
        f"(() => {{ document.querySelector('.overlay[value=\"{overlay}\"]').click();"
        f"const slider = document.querySelector('.opacity'); slider.value = {opacity};"
        "slider.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    browser.until(LOADED)


def go_to(browser: Browser, down_um: float, right_um: float, *, um_per_px: float) -> None:
    """Put a place in the middle, at a width of the screen's pixels."""
    browser.run(
        "(() => { const { viewport } = window.slideView.viewer;"
        "const data = JSON.parse(document.getElementById('view-data').textContent);"
        "const wide = data.columns * data.mpp;"
        f"const zoom = wide / ({um_per_px} * viewport.getContainerSize().x);"
        "viewport.zoomTo(zoom, null, true);"
        f"viewport.panTo(new OpenSeadragon.Point({right_um} / wide, {down_um} / wide), true); }})()"
    )
    browser.run(TWO_FRAMES)
    browser.until(LOADED)


def place_of(browser: Browser, down_um: float, right_um: float) -> tuple[float, float]:
    """Window coordinates (x, y) of a place on the glass."""
    x, y = browser.run(
        "(() => { const box = document.querySelector('.picture').getBoundingClientRect();"
        f"const at = window.slideView.pixelOf({{ down: {down_um}, right: {right_um} }});"
        "return [box.left + at.x, box.top + at.y]; })()"
    )
    return float(x), float(y)


def shown(browser: Browser) -> np.ndarray:
    """What the browser shows, (Y, X, 3)."""
    browser.run(TWO_FRAMES)
    return np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB"))


def edges_along(values: np.ndarray) -> tuple[int, int]:
    """First true value and the one after the last."""
    (found,) = np.nonzero(values)
    return int(found[0]), int(found[-1]) + 1


def box_of(browser: Browser, mask: np.ndarray) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of what is true on the screen, around the middle of the mark."""
    x, y = place_of(browser, *middle_um())
    left, right = edges_along(mask[int(y)])
    top, bottom = edges_along(mask[:, int(x)])
    return top, left, bottom, right


def middle_um() -> tuple[float, float]:
    top, left, bottom, right = MARK_UM
    return (top + bottom) / 2, (left + right) / 2


def told(browser: Browser) -> dict[str, str]:
    browser.until("document.querySelectorAll('.readout [data-overlay]').length > 0")
    lines = browser.run(
        "JSON.stringify([...document.querySelectorAll('.readout [data-overlay]')]"
        ".map((line) => [line.dataset.overlay, line.querySelector('dd').textContent]))"
    )
    return dict(json.loads(lines))


@pytest.mark.parametrize("how", [{}, {"width": 390, "height": 844}, {"dark": True}])
@pytest.mark.parametrize("page", ["", "view/s1/", "results/cases/c1/report.html"])
def test_pages_complain_of_nothing_and_ask_only_here(
    browser: Browser, served: Served, page: str, how: dict[str, int]
) -> None:
    browser.open(served.url + page, **how)
    if page.startswith("view"):
        browser.until(LOADED)
    assert browser.complaints == []
    assert all(url.startswith((served.url, "blob:")) for url in browser.requests)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("how", [{}, {"width": 390, "height": 844, "dark": True}])
@pytest.mark.parametrize("page", ["", "view/s1/"])
def test_axe_finds_no_serious_fault(
    browser: Browser, served: Served, page: str, how: dict[str, int]
) -> None:
    browser.open(served.url + page, **how)
    if page:
        browser.until(LOADED)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert [one for one in violations(browser) if one[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("um_per_px", [SLIDE_MPP, 0.31, 1.3])
def test_overlay_and_slide_lie_on_each_other(
    browser: Browser, served: Served, um_per_px: float
) -> None:
    """Borders of the mark, as the slide shows it and as it was called, on the screen."""
    look(browser, served.url + "view/s1/")
    go_to(browser, *middle_um(), um_per_px=um_per_px)
    choose(browser, "")
    on_slide = box_of(browser, shown(browser).sum(axis=2) < 200)
    choose(browser, "classes")
    orange = np.abs(shown(browser).astype(int) - TISSUE_CLASSES[TUMOUR].rgb).sum(axis=2) < 30
    as_called = box_of(browser, orange)
    top, left = place_of(browser, MARK_UM[0], MARK_UM[1])[::-1]
    assert on_slide[:2] == pytest.approx((top, left), abs=SLIDE_MPP / um_per_px + 1)
    # Half a working pixel is what the label map itself is off by at most.
    assert as_called == pytest.approx(on_slide, abs=WORK_MPP / um_per_px)


def test_every_overlay_changes_the_picture(browser: Browser, served: Served) -> None:
    look(browser, served.url + "view/s1/")
    pictures = []
    for name in ("", "classes", "probability", "depth"):
        choose(browser, name, opacity=60)
        pictures.append(shown(browser).tobytes())
        keys = browser.run(
            "[...document.querySelectorAll('.key')].filter((k) => !k.hidden)"
            ".map((k) => k.dataset.overlay)"
        )
        assert keys == ([name] if name else [])
    choose(browser, "depth", opacity=20)
    pictures.append(shown(browser).tobytes())
    assert len(set(pictures)) == 5
    assert browser.complaints == []


@pytest.mark.parametrize(("down_um", "right_um"), [(360.0, 380.0), (200.5, 700.2), (60.0, 90.0)])
def test_a_click_tells_what_the_arrays_hold(
    browser: Browser, served: Served, results: Path, down_um: float, right_um: float
) -> None:
    look(browser, served.url + "view/s1/")
    go_to(browser, down_um, right_um, um_per_px=0.2)
    browser.click(*place_of(browser, down_um, right_um))
    found = told(browser)
    store = Segmentation(results / "slides" / "s1" / "segmentation.ome.zarr")
    row, column = (int(at) for at in store.grid.from_um(down_um, right_um))
    assert found["classes"] == CLASS_NAMES[store.read_labels()[row, column]]
    assert found["probability"] == f"{store.array('probabilities')[5, row, column] / 255:.1%}"
    deep = int((down_um - ORIGIN_UM[0]) / DEPTH_MPP)
    expected = f"{deep * DEPTH_MPP:,.0f}\u202fµm" if deep >= 10 else "not defined here"
    assert found["depth"] == expected
    assert ("relative" in found) is True


def test_the_scale_bar_is_as_long_as_it_says(browser: Browser, served: Served) -> None:
    look(browser, served.url + "view/s1/")
    for um_per_px in (0.25, 1.0):
        go_to(browser, *middle_um(), um_per_px=um_per_px)
        text, width = browser.run(
            "(() => { const bar = document.querySelector('.scale-bar');"
            "return [bar.textContent, bar.offsetWidth]; })()"
        )
        number, unit = text.split("\u202f")
        um = float(number) * (1000 if unit == "mm" else 1)
        assert um == pytest.approx(width * um_per_px, rel=0.03)


def test_the_keyboard_is_enough(browser: Browser, served: Served) -> None:
    look(browser, served.url + "view/s1/")
    browser.run("document.querySelector('.openseadragon-canvas').focus()")
    browser.press("Enter", code="Enter", windowsVirtualKeyCode=13)
    assert set(told(browser)) == {"classes", "probability", "depth", "relative"}
    assert "Arrow keys" in browser.run("document.activeElement.getAttribute('aria-label')")


def test_a_real_slide_lies_under_its_segmentation(
    browser: Browser, serve: Serve, shared_data: Path, tmp_path: Path
) -> None:
    """Landmarks: nuclei and fibres, which the label map calls tumour for their darkness."""
    file = shared_data / "slides" / "CMU-1-Small-Region.svs"
    root = write_real_results(tmp_path / "results", file)
    served = serve(root)
    look(browser, f"{served.url}view/real/")
    record = read_record(root / "slides" / "real" / "slide.json")
    store = Segmentation(root / "slides" / "real" / "segmentation.ome.zarr")
    um_per_px = record.info["mpp"]
    rows, columns = (extent / 2 for extent in store.grid.extent_um)
    go_to(browser, rows, columns, um_per_px=um_per_px)
    choose(browser, "")
    slide = shown(browser).astype(float)
    choose(browser, "classes")
    overlay = shown(browser).astype(int)
    dark = np.abs(overlay - TISSUE_CLASSES[TUMOUR].rgb).sum(axis=2) < 30
    x0, y0 = (int(at) for at in place_of(browser, rows, columns))
    # The label map was made from the slide's own darkness: where the two agree best is no shift.
    step, half = round(store.grid.mpp / um_per_px), 200

    def window(plane: np.ndarray, down: int = 0, right: int = 0) -> np.ndarray:
        top, left = y0 - half + down, x0 - half + right
        return plane[top : top + 2 * half, left : left + 2 * half].ravel()

    grey, shifts = slide.sum(axis=2), range(-2 * step, 2 * step + 1)
    scores = {
        (down, right): float(np.corrcoef(window(dark), window(grey, down, right))[0, 1])
        for down in shifts
        for right in shifts
    }
    best = min(scores, key=lambda shift: scores[shift])
    assert max(abs(best[0]), abs(best[1])) <= step
    assert scores[best] < -0.3
    assert browser.complaints == []
