"""The pages as they are read: by keyboard, on a phone, in print, and with hostile names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browse, violations
from synthetic import draw_rows

from wsi_pipeline.geometry import Grid
from wsi_pipeline.report import (
    CaseReport,
    CohortRow,
    ImageLevel,
    SlideFailure,
    Zoom,
    encode_pyramid,
    plane_of_classes,
    render_case,
    render_cohort,
)
from wsi_pipeline.values import Measurement

Make = Callable[..., Any]
PHONE = {"width": 390, "height": 844}
WAYS = [{}, PHONE, {"dark": True}, PHONE | {"dark": True}]
CASES, FEW = 2000, 60
A4_PX = 688
"""Width of what is printed on A4 upright between its margins, in the pixels of a style sheet."""
STRANGE = "img, iframe, object, form:not(.filters), [onfocus], [onerror], [autofocus]"
HIGHEST = (
    "Math.max(...[...document.querySelectorAll('h1, h2, h3, .sortable tr')]"
    ".map((one) => one.offsetHeight))"
)
HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onfocus=alert(1) autofocus x='",
    "</style></title><img src=x onerror=alert(1)>",
    "\u202egnp.exe\u2067 \u0645\u0631\u062d\u0628\u0627",
    "x" * 10_000,
    "many words " * 900,
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with browse(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "cohort.html"
    path.write_text(render_cohort(draw_rows(CASES), provenance={}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "cohort.html"
    path.write_text(render_cohort(draw_rows(FEW), provenance={}), encoding="utf-8")
    return path


def hostile_rows(text: str) -> list[CohortRow]:
    """One measured and one failed slide, with the same text wherever there is one."""
    raw = {"value": text, "unit": text, "status": text, "reason": text}
    lost = {"value": None, "unit": text, "status": "not_assessable", "reason": text}
    values = {"section_orientation": raw, "architecture": raw, "full_thickness_call": lost}
    common = {"model_id": text, "model_version": text, "flags": (text,), "primary_site": text}
    return [
        CohortRow(text, text, "done", "", "", "", values, text, **common),
        CohortRow(text, text, "failed", text, text, text, {}, text, **common),
    ]


@pytest.fixture
def hostile_case(make_slide: Make) -> Callable[[str], CaseReport]:
    def make(text: str) -> CaseReport:
        rgb = np.full((600, 900, 3), 180, np.uint8)
        grid = Grid((600, 900), 2.0)
        zoom = Zoom(
            encode_pyramid([ImageLevel(grid, lambda box: rgb[box.slices])], glass=(240, 240, 240)),
            (plane_of_classes(np.ones((600, 900), np.uint8), grid),),
        )
        raw = {"value": text, "unit": text, "status": text, "reason": text}
        slide = make_slide(
            slide_id=text,
            block=text,
            stain=text,
            measurements={
                "values": {"architecture": raw, text: raw},
                "declared": {"section": text},
                "sections": [{"section_id": text, "values": {text: raw}, "box_um": [0, 0, 9, 9]}]
                * 2,
            },
            flags=({"code": text, "severity": "warn", "message": text, "unit": text},),
            model={"id": text, "limits": text},
            provenance={text: text},
            zoom=zoom,
        )
        failure = SlideFailure(text, text, text, text)
        return CaseReport(text, text, (slide,), (failure,), {text: text})

    return make


@pytest.fixture
def case_page(make_case: Make, hostile_case: Callable[..., CaseReport], tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    (slide,) = hostile_case("plain").slides
    path.write_text(render_case(make_case(slides=(slide,))), encoding="utf-8")
    return path


def shown(browser: Browser) -> list[str]:
    """Slides in the table as it stands."""
    return list(
        browser.run("[...document.querySelectorAll('.sortable tbody th')].map(c => c.textContent)")
    )


def fill(browser: Browser, words: str) -> None:
    """Put the caret in the search field and type."""
    browser.run(
        "(() => { const f = document.querySelector('.filter-text'); f.focus(); f.select(); })()"
    )
    browser.send("Input.insertText", text=words)


def key(browser: Browser, name: str, code: int, **more: Any) -> None:
    browser.press(name, code=name, windowsVirtualKeyCode=code, **more)


@pytest.mark.parametrize("how", WAYS, ids=("desktop", "phone", "dark", "dark phone"))
@pytest.mark.parametrize("kind", ["cohort", "case"])
def test_axe_finds_no_serious_fault(
    browser: Browser, small: Path, case_page: Path, how: dict[str, Any], kind: str
) -> None:
    browser.open(small if kind == "cohort" else case_page, **how)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert [one for one in violations(browser) if one[0] in ("serious", "critical")] == []


def test_axe_would_find_one(browser: Browser, small: Path) -> None:
    browser.open(small)
    browser.run(
        "document.querySelector('.filter-text').parentElement.replaceWith(document.querySelector('.filter-text'))"
    )
    browser.run("document.querySelector('.filter-text').placeholder = ''")
    assert ["critical", "label"] in [one[:2] for one in violations(browser)]


def test_two_thousand_cases_open_at_once(browser: Browser, large: Path) -> None:
    assert large.stat().st_size < 5_000_000
    browser.open(large)
    assert browser.requests == [large.as_uri()]
    assert browser.complaints == []
    assert len(shown(browser)) == 50
    assert (
        browser.run("document.querySelector('.shown').textContent")
        == "1 to 50 of 2\u202f000 slides"
    )
    # Generous, since a test may share its processor: 0.2 s on a free one.
    assert browser.run("performance.getEntriesByType('navigation')[0].domInteractive") < 5000


def test_words_and_choices_narrow_the_table(browser: Browser, large: Path) -> None:
    rows = draw_rows(CASES)
    browser.open(large)
    fill(browser, "lung  FAILED")
    wanted = [r.slide_id for r in rows if r.primary_site == "lung" and not r.has_numbers]
    assert shown(browser) == wanted[:50]
    assert f"1 to {len(wanted)} of {len(wanted)} that match" in browser.run(
        "document.querySelector('.shown').textContent"
    )
    key(browser, "Tab", 9)
    assert browser.run("document.activeElement.labels[0].textContent").startswith("Status")
    browser.run("document.querySelector('.filters [type=reset]').click()")
    browser.until("document.querySelector('.shown').textContent.endsWith('of 2\u202f000 slides')")
    for word, names in (
        ("full-thickness (", "full_thickness_call"),
        ("tubular (", "architecture"),
    ):
        browser.run(
            "(() => { const option = [...document.querySelectorAll('option')]"
            f".find((one) => one.textContent.startsWith('{word}'));"
            "option.parentElement.value = option.value;"
            "option.parentElement.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
        rows = [r for r in rows if r.values.get(names, {}).get("value") == word.split()[0]]
    assert shown(browser) == [row.slide_id for row in rows][:50]
    fill(browser, "nothing is called that")
    assert shown(browser) == []
    assert browser.run("document.querySelector('.shown').textContent").startswith("None of")


def test_a_heading_sorts_by_keyboard_and_absent_values_stay_last(
    browser: Browser, large: Path
) -> None:
    known = {
        row.slide_id: row.values["depth_max_um"]["value"]
        for row in draw_rows(CASES)
        if row.values.get("depth_max_um", {}).get("value") is not None
    }
    browser.open(large)
    browser.run(
        "[...document.querySelectorAll('thead button')]"
        ".find((one) => one.textContent === 'Deepest tumour').focus()"
    )
    for sign, said in ((1, "ascending"), (-1, "descending")):
        key(browser, "Enter", 13, text="\r")
        assert browser.run("document.activeElement.parentElement.ariaSort") == said
        assert shown(browser) == sorted(known, key=lambda name: sign * known[name])[:50]


def test_all_rows_can_be_shown_and_those_without_a_value_are_last(
    browser: Browser, small: Path
) -> None:
    rows = draw_rows(FEW)
    browser.open(small)
    browser.run(
        "(() => { const rows = document.querySelector('.page-rows'); rows.value = '0';"
        "rows.dispatchEvent(new Event('change'));"
        "document.querySelectorAll('thead button')[9].click(); })()"
    )
    known = {
        row.slide_id for row in rows if row.values.get("depth_max_um", {}).get("value") is not None
    }
    assert len(shown(browser)) == FEW > len(known)
    assert set(shown(browser)[: len(known)]) == known


@pytest.mark.parametrize("how", [{}, PHONE], ids=("desktop", "phone"))
def test_cases_stay_in_sight_under_their_heading(
    browser: Browser, small: Path, how: dict[str, Any]
) -> None:
    browser.open(small, **how)
    browser.run("document.querySelector('.rows').scrollTo(300, 200)")
    rows, heading, case, top = browser.run(
        "['.rows', '.sortable thead th', '.sortable tbody td', '.sortable thead'].map((one) =>"
        "document.querySelector(one).getBoundingClientRect()).map((box, k) => k < 3 ? box.x : box.y"
        " - document.querySelector('.rows').getBoundingClientRect().y)"
    )
    assert rows == pytest.approx(heading) == pytest.approx(case)
    assert top == pytest.approx(0, abs=1)


def test_pages_are_turned_by_keyboard(browser: Browser, large: Path) -> None:
    browser.open(large)
    browser.run("document.querySelector('.page-on').focus()")
    key(browser, "Enter", 13, text="\r")
    assert shown(browser)[0] == "case-0050-A"
    browser.run("document.querySelector('.page-back').focus()")
    key(browser, "Enter", 13, text="\r")
    assert shown(browser)[0] == "case-0000-A"
    # The first page has none before it; the keyboard is where it can go on.
    assert browser.run("document.activeElement.className") == "page-on"


def test_filtering_and_sorting_are_swift(browser: Browser, large: Path) -> None:
    browser.open(large)
    fill(browser, "lung")
    fill(browser, "")
    for act in (
        "f.value = 'breast full'; f.dispatchEvent(new Event('input', { bubbles: true }))",
        "document.querySelectorAll('thead button')[8].click()",
    ):
        spent_ms = browser.run(
            "(() => { const f = document.querySelector('.filter-text');"
            f"const start = performance.now(); {act}; document.body.offsetHeight;"
            "return performance.now() - start; })()"
        )
        assert spent_ms < 1000  # 50 ms on a free processor


def test_without_scripts_the_whole_table_is_there(browser: Browser, small: Path) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(small)
        assert len(shown(browser)) == FEW
        drawn = "document.querySelector('{}').getClientRects().length"
        assert browser.run(drawn.format(".sortable tbody tr:last-child")) > 0
        assert browser.run(drawn.format(".filters")) == 0
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("kind", ["cohort", "case"])
def test_hostile_text_does_nothing(
    browser: Browser,
    hostile_case: Callable[[str], CaseReport],
    tmp_path: Path,
    kind: str,
    text: str,
) -> None:
    path = tmp_path / "page.html"
    case = kind == "case"
    page = (
        render_case(hostile_case(text))
        if case
        else render_cohort(hostile_rows(text), provenance={})
    )
    path.write_text(page, encoding="utf-8")
    for how in ({}, PHONE):
        browser.open(path, **how)
        if case:
            browser.run("document.querySelector('.viewer').scrollIntoView()")
            browser.until("Boolean(document.querySelector('.viewer').slideView)")
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert browser.requests == [path.as_uri()]
        assert browser.complaints == []
        assert not [e for e in browser.events if "Dialog" in e.get("method", "")]
        assert browser.run(f"document.querySelectorAll('{STRANGE}').length") == 0
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        # No name and no row fills the window by itself.
        assert browser.run(HIGHEST) < 400


def printed_width(browser: Browser, selector: str) -> int:
    """Width of the widest of some elements and of what is in them."""
    return int(
        browser.run(
            f"Math.max(...[...document.querySelectorAll('{selector}')]"
            ".map((e) => Math.max(e.getBoundingClientRect().right, e.offsetLeft + e.scrollWidth)))"
        )
    )


def read_pdf(browser: Browser, path: Path) -> str:
    """Text of the page as it is printed."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    pdf = browser.pdf()
    assert len(pdf) < 15_000_000
    path.write_bytes(pdf)
    command = ["pdftotext", "-layout", path, "-"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return re.sub(r"\s+", " ", done.stdout)


def test_print_opens_what_is_folded_and_cuts_no_table(
    browser: Browser, make_case: Make, make_slide: Make, make_values: Make, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    sections = [{"section_id": n, "values": make_values()} for n in range(1, 9)]
    slide = make_slide(measurements={"values": make_values(), "sections": sections})
    path.write_text(render_case(make_case(slides=(slide,) * 2)), encoding="utf-8")
    browser.open(path, width=A4_PX)
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert printed_width(browser, "table") <= A4_PX
    browser.send("Emulation.setEmulatedMedia", media="")
    text = read_pdf(browser, tmp_path / "report.pdf")
    assert "Provenance of this page" in text
    assert "pipeline version 9.9" in text
    assert text.count("infiltration_fraction") == 2
    assert "Tumour area in the dermal compartment divided by" in text


def test_print_of_the_cohort_holds_all_that_match(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "cohort.html"
    rows = draw_rows(200)
    path.write_text(render_cohort(rows, provenance={}), encoding="utf-8")
    browser.open(path)
    browser.run("document.querySelector('#failed-title').parentElement.remove()")
    fill(browser, "lung")
    text = read_pdf(browser, tmp_path / "cohort.pdf")
    wanted = {row.case_id for row in rows if row.primary_site == "lung"}
    assert len(wanted) > 50
    assert set(re.findall(r"case-\d{4}", text)) == wanted
    browser.until("document.querySelectorAll('.sortable tbody tr').length === 50")


def test_the_reader_meets_sentence_view_figures_and_tables_in_this_order(
    browser: Browser, case_page: Path
) -> None:
    browser.open(case_page)
    places = browser.run(
        "['.banner', '.viewer', '.slide .tiles', '.flags', '.profiles', '.measurements']"
        ".map((s) => document.querySelector(s))"
        ".map((e) => (e.closest('details') ?? e).getBoundingClientRect().top)"
    )
    assert places == sorted(places)
    assert browser.run("document.querySelector('.viewer').getBoundingClientRect().top") < 900


def test_a_definition_is_opened_by_keyboard(browser: Browser, case_page: Path) -> None:
    browser.open(case_page)
    browser.run("document.querySelector('details:has(.measurements)').open = true")
    browser.run("document.querySelector('.measurements summary').focus()")
    key(browser, "Enter", 13, text="\r")
    assert browser.run("document.querySelector('.measurements .definition').offsetHeight") > 0


def test_absent_is_neither_zero_nor_blank(
    browser: Browser, make_row: Make, make_values: Make, tmp_path: Path
) -> None:
    lost = Measurement.not_assessable("1", "no fat is seen")
    zero = Measurement(0.0, "1")
    path = tmp_path / "cohort.html"
    rows = [
        make_row(slide_id="lost", values=make_values({"infiltration_fraction": lost})),
        make_row(slide_id="zero", values=make_values({"infiltration_fraction": zero})),
    ]
    path.write_text(render_cohort(rows, provenance={}), encoding="utf-8")
    browser.open(path)
    cells = browser.run(
        "[...document.querySelectorAll('.sortable tbody tr')].map((r) => r.cells[7].innerText)"
    )
    assert cells == ["not assessable\nno fat is seen", "0\u202f%"]
    text = browser.run("document.querySelector('.charts').innerText")
    assert "1 of 2 measured slides." in text
    assert "In no bar: 1 not assessable." in text
