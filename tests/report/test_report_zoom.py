"""The zoomable view: what is in the page, and what a real browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import wsi_pipeline.report
from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.report import (
    ImageLevel,
    NuclearAreas,
    SlideReport,
    Zoom,
    encode_pyramid,
    plane_of_classes,
    plane_of_grades,
    plane_of_probability,
    planes_of_depth,
    render_case,
)
from wsi_pipeline.report.planes import ValuePlane, encode_values, paint_still, palette_of
from wsi_pipeline.report.pyramid import TILE_PX

Make = Callable[..., Any]
GLASS = (240, 238, 241)
SHAPE = (700, 1100)
MPP = 2.0
ORIGIN_UM = (100.0, 40.0)
PLUS = {"key": "+", "text": "+", "code": "Equal", "windowsVirtualKeyCode": 187, "modifiers": 8}
HOSTILE = "</script><script>document.title='hit'</script><!--"


def halved(rgb: np.ndarray) -> np.ndarray:
    even = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2].astype(np.uint16)
    return ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) // 4).astype(
        np.uint8
    )


def levels_of(rgb: np.ndarray, count: int = 3) -> list[ImageLevel]:
    """From the coarsest to the finest."""
    found = []
    for number in range(count):
        grid = Grid(rgb.shape[:2], MPP * 2**number, ORIGIN_UM)
        found.append(ImageLevel(grid, lambda box, own=rgb: own[box.slices]))
        rgb = halved(rgb)
    return found[::-1]


def unpacked(raw: dict[str, Any]) -> np.ndarray:
    steps = np.frombuffer(zlib.decompress(base64.b64decode(raw["data"])), f"<u{raw['bytes']}")
    return np.add.accumulate(steps.reshape(raw["shape"]), axis=0, dtype=steps.dtype)


@pytest.fixture(scope="module")
def planes() -> dict[str, np.ndarray]:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    depth = (rows[::4, ::4] * 8.0).astype(np.float32)
    depth[:20] = np.nan
    return {
        "classes": ((columns // 100 + rows // 100) % 8).astype(np.uint8),
        "probability": (columns * 255 // SHAPE[1]).astype(np.uint8),
        "depth_um": depth,
        "relative": np.where(np.isfinite(depth), depth / 6000, np.nan).astype(np.float32),
        "grade": np.array([[0, 1, 2], [3, 2, 1]], np.uint8),
    }


@pytest.fixture
def zoomed(make_slide: Make, planes: dict[str, np.ndarray]) -> Callable[..., SlideReport]:
    def make(**changes: Any) -> SlideReport:
        rng = np.random.default_rng(1)
        rgb = np.full((*SHAPE, 3), 255, np.uint8)
        rgb[:600] = rng.integers(120, 200, (600, SHAPE[1], 3), dtype=np.uint8)
        grid = Grid(SHAPE, MPP, ORIGIN_UM)
        coarse = Grid(planes["depth_um"].shape, 4 * MPP, ORIGIN_UM)
        zoom = Zoom(
            encode_pyramid(levels_of(rgb), glass=GLASS),
            (
                plane_of_classes(planes["classes"], grid),
                plane_of_probability(planes["probability"], grid),
                *planes_of_depth(planes["depth_um"], planes["relative"], coarse),
                plane_of_grades(planes["grade"], Grid((2, 3), 750.0, ORIGIN_UM)),
            ),
        )
        shown = {
            "overview": rgb,
            "labels": planes["classes"],
            "sections": (planes["classes"] > 0).astype(np.uint8),
            "overview_mpp": MPP,
            "overview_origin_um": ORIGIN_UM,
            "curves": ({"dej_um": [[300.0, 100.0], [320.0, 2000.0]], "dsj_um": []},),
            "zoom": zoom,
            "nuclear_areas": NuclearAreas((0, 4, 9, 2), 20.0, (("grade 1 up to", 50.0),)),
        }
        return make_slide(**(shown | changes))

    return make


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
    )
)
def test_a_packed_plane_holds_what_it_was_given(values: np.ndarray) -> None:
    plane = ValuePlane("p", "p", values, Grid(values.shape, 2.0), 1, "", 0, ((0, 0, 0),) * 2, top=9)
    raw = encode_values(plane)
    np.testing.assert_array_equal(unpacked(raw), values)
    assert raw["mpp"] == 2.0


def test_a_plane_that_does_not_fit_keeps_every_other_pixel() -> None:
    values = np.random.default_rng(0).integers(0, 255, (400, 301), dtype=np.uint8)
    plane = plane_of_probability(values, Grid(values.shape, 2.0, (5.0, 6.0)))
    raw = encode_values(plane, budget=50_000)
    assert (raw["shape"], raw["mpp"], raw["origin_um"]) == ([200, 150], 4.0, [5.0, 6.0])
    np.testing.assert_array_equal(unpacked(raw), values[1::2, 1::2][:, :150])
    assert len(raw["data"]) <= 50_000


def test_a_picture_as_fine_as_its_budget_allows() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (1100, 900, 3), dtype=np.uint8)
    whole = encode_pyramid(levels_of(rgb), glass=GLASS)
    assert whole.is_whole
    assert whole.shapes == ((275, 225), (550, 450), (1100, 900))
    finest = sum(len(tile) for key, tile in whole.tiles.items() if key.startswith("2/"))
    total = sum(map(len, whole.tiles.values()))
    less = encode_pyramid(levels_of(rgb), glass=GLASS, budget=total - 1)
    assert less.shapes == whole.shapes[:2]
    assert less.grid.mpp == 2 * whole.grid.mpp
    assert not less.is_whole
    assert sum(map(len, less.tiles.values())) == total - finest
    least = encode_pyramid(levels_of(rgb), glass=GLASS, budget=1)
    assert least.shapes == whole.shapes[:1]


def test_tiles_cover_the_picture_and_glass_has_none() -> None:
    rgb = np.full((600, 1500, 3), 255, np.uint8)
    rgb[:, :700] = (100, 150, 200)
    pyramid = encode_pyramid(levels_of(rgb, 1), glass=GLASS)
    assert sorted(pyramid.tiles) == ["0/0/0", "0/0/1", "0/1/0", "0/1/1"]
    with Image.open(io.BytesIO(base64.b64decode(pyramid.tiles["0/1/1"]))) as image:
        tile = np.asarray(image)
    box = Box(TILE_PX, TILE_PX, 600, 2 * TILE_PX)
    assert tile.shape[:2] == box.shape
    np.testing.assert_allclose(tile[:, : 700 - TILE_PX - 16].mean((0, 1)), (100, 150, 200), atol=3)
    np.testing.assert_allclose(tile[:, 700 - TILE_PX + 16 :].mean((0, 1)), GLASS, atol=3)


def test_a_still_shows_each_value_in_its_colour(decode_image: Make) -> None:
    labels = np.arange(8, dtype=np.uint8).reshape(2, 4)
    rgba = np.asarray(
        decode_image(paint_still(plane_of_classes(labels, Grid((2, 4), 1.0)))).convert("RGBA")
    )
    assert rgba[0, 0, 3] == 0
    for index, tissue in enumerate(TISSUE_CLASSES[1:], start=1):
        assert tuple(rgba[index // 4, index % 4]) == (*tissue.rgb, 255)
    probability = np.array([[0, 12, 13, 255]], np.uint8)
    plane = plane_of_probability(probability, Grid((1, 4), 1.0))
    rgba = np.asarray(decode_image(paint_still(plane)).convert("RGBA"))
    assert rgba[0, :, 3].tolist() == [0, 0, 255, 255]
    assert tuple(rgba[0, 3, :3]) == tuple(palette_of(plane)[-1]) == (253, 231, 37)


def test_the_library_is_the_one_that_is_named() -> None:
    folder = Path(wsi_pipeline.report.__file__).parent / "assets"
    named = re.findall(r"`([0-9a-f]{64})`", (folder / "README.md").read_text(encoding="utf-8"))
    code = (folder / "openseadragon.min.js").read_bytes()
    assert named == [hashlib.sha256(code).hexdigest()]
    assert b"</script" not in code
    assert b"<!--" not in code
    assert (folder / "openseadragon.LICENSE.txt").is_file()


def test_the_policy_names_every_script_that_runs(
    make_case: Make, zoomed: Callable[..., SlideReport]
) -> None:
    source = render_case(make_case(slides=(zoomed(),)))
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    assert len(scripts) == 2
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"script-src {allowed};" in source.replace("&#39;", "'")
    assert "sourceMappingURL" not in source


def test_a_page_stays_below_its_size_whatever_the_slide(
    make_case: Make, zoomed: Callable[..., SlideReport]
) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (2400, 1600, 3), dtype=np.uint8)
    noise = rng.integers(0, 255, (1000, 800), dtype=np.uint8)
    grid = Grid(noise.shape, MPP)
    depth = (noise * 7.0).astype(np.float32)
    zoom = Zoom(
        encode_pyramid(levels_of(rgb), glass=GLASS),
        (
            plane_of_classes(noise % 8, grid),
            plane_of_probability(noise, grid),
            *planes_of_depth(depth, depth / 2000, grid),
        ),
    )
    coarse = rng.integers(0, 8, (200, 200), dtype=np.uint8)
    labels = np.kron(coarse, np.ones((8, 8), np.uint8))
    slide = zoomed(zoom=zoom, overview=rgb[:1600, :1600], labels=labels, sections=labels)
    assert len(render_case(make_case(slides=(slide,))).encode()) < 15_000_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with browse(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(make_case: Make, zoomed: Callable[..., SlideReport], tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    slide = zoomed(slide_id=HOSTILE, flags=({"code": HOSTILE, "message": HOSTILE},))
    sections = [{"section_id": HOSTILE, "values": {}, "box_um": [200, 200, 900, 900]}]
    numbers = dict(slide.measurements) | {"sections": sections}
    hostile = zoomed(slide_id=HOSTILE, measurements=numbers, flags=slide.flags)
    path.write_text(render_case(make_case(slides=(hostile,))), encoding="utf-8")
    return path


def shown(browser: Browser) -> np.ndarray:
    """What lies over the slide, RGBA."""
    uri = browser.run("document.querySelector('.zoom-over').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        return np.asarray(image.convert("RGBA"))


def start(browser: Browser, page: Path, **how: Any) -> None:
    """Open a page and wait until its view is ready."""
    browser.open(page, **how)
    browser.run("document.querySelector('.viewer').scrollIntoView()")
    browser.until("Boolean(document.querySelector('.viewer').slideView)")
    browser.until(
        "document.querySelector('.viewer').slideView.viewer.world.getItemAt(0)?.getFullyLoaded()"
    )


def place_of(browser: Browser, down_um: float, right_um: float) -> tuple[float, float]:
    """Where on the window a place of the glass is."""
    return tuple(
        browser.run(
            f"""(() => {{
            const view = document.querySelector('.viewer').slideView.viewer;
            const box = view.element.getBoundingClientRect();
            const at = view.viewport.pixelFromPoint(new OpenSeadragon.Point(
              {(right_um - ORIGIN_UM[1]) / (SHAPE[1] * MPP)},
              {(down_um - ORIGIN_UM[0]) / (SHAPE[1] * MPP)}), true);
            return [box.left + at.x, box.top + at.y];
            }})()"""
        )
    )


def counts(browser: Browser) -> dict[str, int]:
    """What the page tells of the place, as counts by plane."""
    told = browser.run(
        "JSON.stringify([...document.querySelectorAll('.readout [data-plane]')]"
        ".map((line) => [line.dataset.plane, Number(line.dataset.count)]))"
    )
    return dict(json.loads(told))


@pytest.mark.parametrize("how", [{}, {"width": 390, "height": 844}, {"dark": True}])
def test_the_page_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, page: Path, how: dict[str, Any]
) -> None:
    start(browser, page, **how)
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []
    assert browser.run("document.title").startswith("Case C1")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, page: Path) -> None:
    start(browser, page)
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert HOSTILE in browser.run("document.querySelector('.slide h2').textContent")
    assert HOSTILE in browser.run(
        "document.querySelector('.openseadragon-canvas').getAttribute('aria-label')"
    )
    assert browser.run("document.title") != "hit"


@pytest.mark.parametrize("zoom", [1.0, 3.7])
def test_a_click_tells_what_is_stored_at_that_place(
    browser: Browser, page: Path, planes: dict[str, np.ndarray], zoom: float
) -> None:
    start(browser, page)
    row, column = 352, 610
    down_um, right_um = ORIGIN_UM[0] + (row + 0.5) * MPP, ORIGIN_UM[1] + (column + 0.5) * MPP
    browser.run(
        f"(() => {{ const {{ viewport }} = document.querySelector('.viewer').slideView.viewer;"
        f"viewport.zoomTo({zoom}, new OpenSeadragon.Point(0.5, 0.3), true);"
        "viewport.applyConstraints(true); })()"
    )
    # The page may still be laid out anew: the place has to stay where it is for a while.
    place, still = place_of(browser, down_um, right_um), 0
    while still < 5:
        time.sleep(0.05)
        now = place_of(browser, down_um, right_um)
        place, still = now, still + 1 if now == place else 0
    browser.click(*place)
    browser.until("document.querySelectorAll('.readout [data-plane]').length === 5")
    told = counts(browser)
    # At a fit to the window a screen pixel is several of the slide: the place is within one.
    slack = 1 if zoom < 2 else 0
    around = (slice(row - slack, row + slack + 1), slice(column - slack, column + slack + 1))
    assert told["classes"] in planes["classes"][around]
    assert told["probability"] in planes["probability"][around]
    assert abs(told["depth"] - planes["depth_um"][row // 4, column // 4]) <= 32 * slack
    assert told["grade"] == planes["grade"][int(row * MPP // 750), int(column * MPP // 750)]
    text = browser.run("document.querySelector('.readout').textContent")
    assert CLASS_NAMES[told["classes"]] in text
    assert f"{told['depth']}\u202fµm" in text


def test_what_is_laid_over_lies_where_it_belongs(
    browser: Browser, page: Path, planes: dict[str, np.ndarray]
) -> None:
    start(browser, page)
    browser.run(
        "document.querySelectorAll('.zoom-junctions, .zoom-sections')"
        ".forEach((box) => box.checked && box.click())"
    )
    browser.run(
        "(() => { const slider = document.querySelector('.zoom-opacity'); slider.value = 100;"
        "slider.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    drawn = shown(browser)
    corner = browser.run(
        "(() => { const box = document.querySelector('.zoom').getBoundingClientRect();"
        "return [box.top, box.left]; })()"
    )
    for row, column in ((50, 50), (50, 150), (350, 450), (450, 950), (650, 1050)):
        x, y = place_of(browser, ORIGIN_UM[0] + row * MPP, ORIGIN_UM[1] + column * MPP)
        seen = drawn[int(y - corner[0]), int(x - corner[1])]
        value = planes["classes"][row, column]
        expected = (*TISSUE_CLASSES[value].rgb, 255) if value else (0, 0, 0, 0)
        assert tuple(seen) == expected


def test_every_overlay_changes_the_picture(browser: Browser, page: Path) -> None:
    start(browser, page)
    pictures = []
    for name in ("", "classes", "probability", "depth", "grade"):
        browser.run(f"document.querySelector('.zoom-plane[value=\"{name}\"]').click()")
        pictures.append(shown(browser).tobytes())
        visible = browser.run(
            "[...document.querySelectorAll('.zoom-key')]"
            ".filter((key) => !key.hidden).map((key) => key.dataset.plane)"
        )
        assert visible == ([name] if name not in ("", "classes") else [])
    for selector in (".zoom-junctions", ".zoom-sections"):
        browser.run(f"document.querySelector('{selector}').click()")
        pictures.append(shown(browser).tobytes())
    browser.run("document.querySelector('.zoom-plane[value=classes]').click()")
    browser.run("document.querySelector('[data-class=\"5\"]').click()")
    pictures.append(shown(browser).tobytes())
    assert len(set(pictures)) == len(pictures)


def bar_um(browser: Browser) -> tuple[float, float]:
    """Length of the scale bar as said, and as it is drawn, µm."""
    text, width, unit = browser.run(
        "(() => { const bar = document.querySelector('.zoom-bar');"
        "const { viewer } = document.querySelector('.viewer').slideView;"
        "const p = (x) => viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(x, 0), true).x;"
        f"return [bar.textContent, bar.offsetWidth, {SHAPE[1] * MPP} / (p(1) - p(0))]; }})()"
    )
    number, name = text.split("\u202f")
    return float(number) * (1000 if name == "mm" else 1), width * unit


def test_the_keyboard_is_enough(browser: Browser, page: Path) -> None:
    start(browser, page)
    browser.run("document.querySelector('.openseadragon-canvas').focus()")
    before = bar_um(browser)
    assert before[0] == pytest.approx(before[1], rel=0.02)
    browser.send("Input.dispatchKeyEvent", type="keyDown", **PLUS)
    browser.until("document.querySelector('.viewer').slideView.viewer.viewport.getZoom(true) > 3")
    browser.send("Input.dispatchKeyEvent", type="keyUp", **PLUS)
    browser.until(
        "document.querySelector('.viewer').slideView.viewer.world.getItemAt(0).getFullyLoaded()"
    )
    after = bar_um(browser)
    assert after[0] < before[0]
    assert after[0] == pytest.approx(after[1], rel=0.02)
    browser.press("Enter", code="Enter", windowsVirtualKeyCode=13)
    browser.until("document.querySelectorAll('.readout [data-plane]').length === 5")
    name = browser.run("document.activeElement.getAttribute('aria-label')")
    assert "Arrow keys move" in name


def test_the_printed_page_shows_stills_instead(browser: Browser, page: Path) -> None:
    start(browser, page)
    browser.send("Emulation.setEmulatedMedia", media="print")
    seen = (
        "(s) => [...document.querySelectorAll(s)].filter((e) => e.getClientRects().length).length"
    )
    assert browser.run(f"({seen})('.zoom, .zoom-buttons, .readout, .of-zoom')") == 0
    assert browser.run(f"({seen})('.stills figure')") == 3
    assert browser.run(f"({seen})('.stage .overlaid')") == 1
    browser.send("Emulation.setEmulatedMedia", media="")
    assert browser.pdf().startswith(b"%PDF")
