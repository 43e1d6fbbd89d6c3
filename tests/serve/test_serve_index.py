"""The first page of a department's year: found by a word, turned by keyboard, nothing asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import pytest
from browser import CHROMIUM, Browser, browse, violations
from serving import Serve, Served

from wsi_pipeline.stages.view import list_contents

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on the path")
SLIDES = 2000
PHONE = {"width": 390, "height": 844}
HOSTILE = "<img src=x onerror=document.title='run'> \"' </script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def slide_of(number: int) -> str:
    return f"K-{number // 2:04d}-{'AB'[number % 2]}"


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides per case; every tenth slide failed, every seventh waits to be segmented."""
    root, rows = tmp_path_factory.mktemp("year"), ["case_id,slide_id"]
    for number in range(SLIDES):
        case_id, slide_id = f"Fall-{number // 2:04d}", slide_of(number)
        folder = root / "slides" / slide_id
        folder.mkdir(parents=True)
        (folder / "slide.json").write_text("{}")
        if number % 10 == 0:
            (folder / "failure.json").write_text("{}")
        elif number % 7:
            (folder / "segmentation.ome.zarr").mkdir()
        report = root / "cases" / case_id / "report.html"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text("<!doctype html><title>case</title>")
        rows.append(f"{case_id},{slide_id}")
    (root / "cohort.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def served_year(serve: Serve, year: Path) -> Served:
    return serve(year)


def shown(browser: Browser, noun: str = "slides") -> list[str]:
    return list(
        browser.run(f"[...document.querySelectorAll('[data-noun={noun}] a')].map(c => c.innerText)")
    )


def told(browser: Browser, noun: str = "slides") -> str:
    return str(browser.run(f"document.querySelector('[data-noun={noun}] .shown').textContent"))


def fill(browser: Browser, words: str) -> None:
    """Put the caret in the search field and type."""
    browser.run(
        "(() => { const f = document.querySelector('.filter-text'); f.focus(); f.select(); })()"
    )
    browser.send("Input.insertText", text=words)


def key(browser: Browser, name: str, code: int) -> None:
    browser.press(name, code=name, windowsVirtualKeyCode=code, text="\r" if code == 13 else "")


@pytest.mark.parametrize("how", [{}, PHONE, PHONE | {"dark": True}])
def test_thousands_open_at_once_and_ask_only_here(
    browser: Browser, served_year: Served, how: dict[str, int]
) -> None:
    browser.open(served_year.url, **how)
    assert shown(browser) == [slide_of(number) for number in range(50)]
    assert told(browser) == "1 to 50 of 2\u202f000 slides"
    assert told(browser, "cases") == "1 to 50 of 1\u202f000 cases"
    assert browser.complaints == []
    assert all(url.startswith(served_year.url) for url in browser.requests)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert [one for one in violations(browser) if one[0] in ("serious", "critical")] == []


def test_words_find_slides_by_id_case_and_state(browser: Browser, served_year: Served) -> None:
    browser.open(served_year.url)
    fill(browser, "fall-07  FAILED")
    wanted = [slide_of(number) for number in range(1400, 1600, 10)]
    assert shown(browser) == wanted
    assert told(browser) == "1 to 20 of 20 that match, of 2\u202f000 slides"
    # The cases of these slides, though no case has that state itself.
    assert shown(browser, "cases") == [f"Fall-07{number:02d}" for number in range(0, 100, 5)]
    fill(browser, "k-0123-b")
    assert shown(browser) == ["K-0123-B"]
    assert shown(browser, "cases") == ["Fall-0123"]
    fill(browser, "no such slide")
    assert shown(browser) == shown(browser, "cases") == []
    assert told(browser).startswith("None of 2\u202f000 slides matches")
    assert browser.complaints == []


def test_the_keyboard_is_enough(browser: Browser, served_year: Served) -> None:
    browser.open(served_year.url)
    fill(browser, "not segmented")
    count = sum(1 for number in range(SLIDES) if number % 10 and number % 7 == 0)
    assert f"of {count} that match" in told(browser)
    key(browser, "Tab", 9)
    key(browser, "Tab", 9)  # the way back is grey on the first page
    assert browser.run("document.activeElement.className") == "page-on"
    before = shown(browser)
    key(browser, "Enter", 13)
    assert told(browser).startswith("51 to 100 of ")
    assert not set(before) & set(shown(browser))
    for _ in range(4):
        key(browser, "Enter", 13)
    assert told(browser).startswith(f"251 to {count} of ")
    assert browser.run("document.activeElement.className") == "page-back"
    browser.run("document.querySelector('.filters [type=reset]').click()")
    browser.until("document.querySelector('.shown').textContent.endsWith('of 2\u202f000 slides')")


def test_coming_back_finds_what_was_typed(browser: Browser, served_year: Served) -> None:
    browser.open(served_year.url)
    fill(browser, "0042 överlays")
    assert shown(browser) == ["K-0042-B"]
    browser.run("document.querySelector('[data-noun=slides] a').click()")
    browser.until("document.title.startsWith('This slide cannot be shown')")
    browser.run("history.back()")
    browser.until("document.querySelector('.shown')?.textContent.startsWith('1 to 1 of 1 that')")
    assert browser.run("document.querySelector('.filter-text').value") == "0042 överlays"
    browser.run("document.querySelector('.filters [type=reset]').click()")
    browser.until("location.hash === ''")


@pytest.mark.parametrize("words", ["%", "%E0%A4%A", HOSTILE])
def test_hostile_words_in_the_address_do_nothing(
    browser: Browser, served_year: Served, words: str
) -> None:
    browser.open(f"{served_year.url}#{words}")
    assert browser.run("document.querySelector('main img')") is None
    assert browser.run("document.title").startswith("Slides and cases")
    assert browser.complaints == []


def test_without_scripts_the_whole_list_is_there(browser: Browser, served_year: Served) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(served_year.url)
        assert len(shown(browser)) == SLIDES
        assert browser.run("getComputedStyle(document.querySelector('.filters')).display") == "none"
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_typing_is_answered_swiftly(browser: Browser, served_year: Served, year: Path) -> None:
    """Generous, since a test may share its processor: 10 ms and 0.2 s on a free one."""
    browser.open(served_year.url)
    started = perf_counter()
    fill(browser, "0999")
    assert len(shown(browser)) == 2
    assert perf_counter() - started < 3
    started = perf_counter()
    list_contents(year)
    assert perf_counter() - started < 10
