"""A case page says what it must, is inert, and stands alone."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import wsi_pipeline.report
from wsi_pipeline.report import (
    CaseReport,
    SlideFailure,
    SlideReport,
    cohort_csv,
    render_case,
    render_cohort,
)
from wsi_pipeline.report.pages import harmless
from wsi_pipeline.values import Measurement, QualityFlag

HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onload=alert(1) x='",
    "</style><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202ereversed \u0645\u0631\u062d\u0628\u0627",
    "nul\0bell\a and half a character \udc80",
    "x" * 10_000,
]

Make = Callable[..., Any]


def flooded(value: Any, text: str) -> Any:
    """The same plain data with every text, name and code replaced."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {key: flooded(item, text) for key, item in value.items()} | {text: text}
    if isinstance(value, list | tuple):
        return type(value)(flooded(item, text) for item in value)
    return value


def hostile_case(make_slide: Make, text: str) -> CaseReport:
    plain = make_slide()
    measurements = flooded(dict(plain.measurements), text)
    for part in (measurements, *measurements["sections"]):
        part["values"] = {name: raw for name, raw in part["values"].items() if name != text}
        part["values"][text] = {"value": text, "unit": text, "status": text, "reason": text}
    slide = make_slide(
        slide_id=text,
        block=text,
        stain=text,
        measurements=measurements,
        slide=flooded(dict(plain.slide), text),
        flags=flooded(plain.flags, text),
        model=flooded(dict(plain.model), text),
        provenance=flooded(dict(plain.provenance), text),
    )
    failure = SlideFailure(text, text, text, text)
    return CaseReport(text, text, (slide,), (failure,), {"pipeline_version": text, text: text})


def skeleton(page: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and the names of their attributes."""
    return [(tag, tuple(attributes)) for tag, attributes in page.elements]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_changes_no_element_of_the_page(
    make_slide: Make, read_page: Make, text: str
) -> None:
    page = render_case(hostile_case(make_slide, text))
    meek = render_case(hostile_case(make_slide, "meek"))
    assert skeleton(read_page(page)) == skeleton(read_page(meek))
    assert "<script" not in page
    assert not re.search(r"[\0\a\ud800-\udfff]", page)
    page.encode("utf-8")
    assert len(page) < len(meek) + 300 * 2500


@pytest.mark.parametrize("text", HOSTILE[:4])
def test_hostile_text_is_shown_as_it_is(make_slide: Make, read_page: Make, text: str) -> None:
    assert read_page(render_case(hostile_case(make_slide, text))).text.count(text) > 20


def test_overlong_text_is_cut_and_says_so() -> None:
    assert harmless("x" * 10_000) == "x" * 2000 + " … (10,000 characters)"
    assert harmless(3.5) == 3.5


def test_text_of_either_direction_is_kept_apart(make_case: Make) -> None:
    page = render_case(make_case(case_id="مرحبا"))
    assert "<h1>Case <bdi>مرحبا</bdi></h1>" in page


@pytest.mark.parametrize("turn", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_what_would_turn_other_text_round_is_taken_out(make_case: Make, turn: str) -> None:
    page = render_case(make_case(case_id=f"a{turn}fdp.exe"))
    assert turn not in page
    assert "<h1>Case <bdi>a\ufffdfdp.exe</bdi></h1>" in page


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(
    make_case: Make, read_page: Make
) -> None:
    source = render_case(make_case())
    policy = next(
        meta["content"]
        for meta in read_page(source).attributes("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style[^>]*>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_page_asks_for_nothing_and_runs_nothing(make_case: Make, read_page: Make) -> None:
    source = render_case(make_case())
    page = read_page(source)
    without_pictures = re.sub(r"(base64,|sha256-)[\w+/=]+", "", source)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "object", "form"})
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
        for name in ("href", "src"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "data:"))


def test_the_page_is_well_formed_and_can_be_walked(make_case: Make, read_page: Make) -> None:
    source = render_case(make_case())
    page = read_page(source)
    assert source.startswith("<!DOCTYPE html>")
    assert page.open_tags == []
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption")
    assert all(heading.get("scope") in ("row", "col") for heading in page.attributes("th"))
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        named = (attributes.get("aria-labelledby") or "").split()
        address = attributes.get("href") or ""
        pointed = [address[1:]] if address.startswith("#") else []
        assert set(named + pointed) <= set(names)


def test_every_picture_in_the_page_decodes(
    make_case: Make, read_page: Make, decode_image: Callable[[str], Image.Image]
) -> None:
    images = read_page(render_case(make_case())).attributes("image")
    assert len(images) == 1 + 7 + 1
    for image in images:
        assert decode_image(image["href"]).size == (int(image["width"]), int(image["height"]))
        assert decode_image(image["href"]).size == (100, 60)


def test_the_scale_bar_is_drawn_at_its_true_length(make_case: Make, read_page: Make) -> None:
    # 100 px of 100 µm are 10 mm: the longest round bar within a quarter is 2 mm.
    page = read_page(render_case(make_case()))
    line = next(a for a in page.attributes("line") if str(a["x2"]).endswith("%"))
    length = float(line["x2"].rstrip("%")) - float(line["x1"].rstrip("%"))
    assert length == pytest.approx(20.0)
    assert "Scale bar: 2 mm." in page.text


def test_the_conditions_of_use_are_said(make_case: Make, read_page: Make) -> None:
    text = read_page(render_case(make_case())).text
    assert "Computed estimate – for research use only; not a diagnosis." in text
    assert (
        "Not validated on human tissue. The measuring software is tested on phantoms, painted "
        "slides whose truth is known."
    ) in text
    assert text.lower().count("validated") == 1
    assert "operational definitions of this software (version 9.9)" in text


def test_a_baseline_is_warned_of_and_a_learnt_model_is_not(
    make_case: Make, make_slide: Make, read_page: Make
) -> None:
    learnt = make_slide(model={"id": "unet", "is_baseline": False})
    page = render_case(make_case(slides=(make_slide(), learnt)))
    warning = (
        "1 of 2 measured slides was segmented by a baseline without learnt weights; its numbers "
        "show that the pipeline runs, they are not findings."
    )
    assert warning in read_page(page).text
    assert page.index("segmented by a baseline") < page.index("<table")
    assert read_page(page).text.count("Segmented by a baseline without learnt weights.") == 1
    assert "baseline" not in read_page(render_case(make_case(slides=(learnt,)))).text


def test_identity_is_the_case_and_its_declared_site_alone(
    make_case: Make, make_slide: Make, read_page: Make
) -> None:
    named = {
        "mpp": 0.25,
        "path": "/data/Doe/Jane.svs",
        "filename": "Doe_Jane.svs",
        "aperio.User": "Jane Doe",
        "associated": {"label": "Doe"},
    }
    page = render_case(make_case(slides=(make_slide(slide=named),)))
    text = read_page(page).text
    assert "Doe" not in page
    assert not re.search(r"slide (path|filename|associated|aperio)", text)
    assert "Case C1" in text
    assert "Primary site, as declared: breast" in text
    assert "declared: not declared" in read_page(render_case(make_case(primary_site=""))).text


def test_null_is_said_with_its_reason_wherever_it_stands(
    make_case: Make, make_slide: Make, make_values: Make, read_page: Make
) -> None:
    lost = Measurement.not_assessable("1", "no fat is seen")
    values = make_values({"infiltration_fraction": lost, "occupancy_profile": lost})
    page = read_page(render_case(make_case(slides=(make_slide(measurements={"values": values}),))))
    # The slide's few main values, its summary, its table, and the profile.
    assert page.text.count("not assessable, because no fat is seen") == 4
    assert "Infiltration of the dermis is not assessable, because no fat is seen." in page.text
    assert not re.search(r"\b(None|nan|null)\b", page.text)


def test_lower_bounds_and_intervals_are_shown(make_case: Make, read_page: Make) -> None:
    text = read_page(render_case(make_case())).text.replace("\u202f", " ")
    assert "at least 2 530 µm, because tumour touches the edge" in text
    assert "35.0 % to 41.0 %" in text


def test_an_unknown_measurement_is_shown_by_its_name(
    make_case: Make, make_slide: Make, make_values: Make, read_page: Make
) -> None:
    values = make_values({"vessel_count": Measurement(41.0, "vessels")})
    slide = make_slide(measurements={"values": values})
    text = read_page(render_case(make_case(slides=(slide,)))).text
    assert re.search(r"Vessel count\s+vessel_count\s+41 vessels – measured", text)


def test_a_slide_without_measurements_is_still_shown(make_case: Make, make_slide: Make) -> None:
    bare = make_slide(measurements={}, slide={}, flags=(), model={}, provenance={}, curves=())
    page = render_case(make_case(slides=(bare,), failures=(), provenance={}))
    assert "because this run did not compute it" in page


def test_flags_stand_by_gravity(make_case: Make, make_slide: Make, read_page: Make) -> None:
    flags = tuple(
        QualityFlag(code, severity, f"message of {code}").to_json()
        for code, severity in (("a", "info"), ("b", "warn"), ("c", "block"))
    )
    text = read_page(render_case(make_case(slides=(make_slide(flags=flags),)))).text
    places = [text.index(f"message of {code}") for code in "cba"]
    assert places == sorted(places)
    assert "No numbers message of c" in text


def test_a_failed_slide_is_listed_with_reason_and_log(make_case: Make, read_page: Make) -> None:
    text = read_page(render_case(make_case(slides=()))).text
    assert "0 measured, 1 failed." in text
    assert re.search(r"S2 reading the slide file no mpp; set it logs/S2\.log", text)


def test_failed_slides_stand_before_every_number(make_case: Make, read_page: Make) -> None:
    text = read_page(render_case(make_case())).text
    assert text.index("Slides without numbers") < text.index("Key figures")


def test_the_reason_of_a_failure_is_shown_as_it_was_given(
    make_case: Make, make_row: Make, read_page: Make
) -> None:
    # Who hands it over has taken the names out; nothing is put back or taken for a fault.
    reason = "slide '<slide S2>' (file [withheld]) has no mpp; set column 'mpp' in cases.tsv"
    failure = SlideFailure("S2", "inspect", reason, "logs/S2.log")
    row = make_row(status="failed", stage="inspect", reason=reason, values={})
    assert reason in read_page(render_case(make_case(failures=(failure,)))).text
    assert reason in read_page(render_cohort([row], provenance={})).text
    assert reason in cohort_csv([row])


def test_an_area_that_is_not_known_is_never_nothing(
    make_case: Make, make_slide: Make, make_values: Make, read_page: Make
) -> None:
    lost = Measurement.not_assessable("mm²", "the model never calls adnexa")
    values = make_values({"area_adnexa_mm2": lost})
    sections = [{"section_id": n, "values": values} for n in (1, 2)]
    slide = make_slide(measurements={"values": values, "sections": sections})
    text = read_page(render_case(make_case(slides=(slide,)))).text
    said = "not assessable, because the model never calls adnexa"
    assert f"adnexa {said}" in text
    assert text.count(said) == 1 + 2  # the legend and each section
    assert not re.search(r"adnexa( area)? 0", text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"section": "auto"}, "not declared"),
        ({}, "not declared"),
        ({"section": "horizontal"}, "horizontal"),
    ],
)
def test_a_section_is_declared_or_it_is_not(
    make_case: Make, make_slide: Make, read_page: Make, declared: dict[str, str], words: str
) -> None:
    slide = make_slide(measurements={"values": {}, "declared": declared})
    text = read_page(render_case(make_case(slides=(slide,)))).text
    assert f"Section, as declared {words} Pixel width" in text


def test_a_conflict_of_orientation_gives_a_membership(
    make_case: Make, make_slide: Make, read_page: Make
) -> None:
    flag = QualityFlag("orientation_conflict", "warn", "It looks horizontal.", 0.876, "1")
    page = render_case(make_case(slides=(make_slide(flags=(flag.to_json(),)),)))
    assert "orientation_conflict: 0.88" in read_page(page).text


def test_a_contradicted_pixel_width_is_shown(make_case: Make, make_slide: Make) -> None:
    info = {"mpp": 0.25, "mpp_source": "given", "mpp_stated": 0.5, "mpp_disagrees": True}
    page = render_case(make_case(slides=(make_slide(slide=info),)))
    assert "0.25\u202fµm (from given); the file states 0.5\u202fµm" in page


def test_the_same_input_gives_the_same_bytes(make_case: Make, make_row: Make) -> None:
    assert render_case(make_case()) == render_case(make_case())
    rows = [make_row()]
    assert render_cohort(rows, provenance={}) == render_cohort(rows, provenance={})


def test_a_page_stays_below_five_megabytes_per_slide(
    make_case: Make, make_slide: Callable[..., SlideReport]
) -> None:
    # Noise is the worst there is for JPEG; the labels are as ragged as a network's.
    random = np.random.default_rng(0)
    coarse = random.integers(0, 8, (200, 200), dtype=np.uint8)
    labels = np.kron(coarse, np.ones((8, 8), np.uint8))
    overview = random.integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    slide = make_slide(overview=overview, labels=labels, sections=(labels > 0).astype(np.uint8))
    assert len(render_case(make_case(slides=(slide,))).encode()) < 5_000_000


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, after WCAG 2."""

    def luminance(colour: str) -> float:
        full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        shares = np.array([int(full[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_text_colour_has_contrast_in_light_dark_and_print() -> None:
    folder = Path(wsi_pipeline.report.__file__).parent / "templates"
    css = (folder / "report.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(themes) == 3
    pairs = [
        *((text, paper) for text in ("ink", "soft", "accent") for paper in ("paper", "card")),
        *(("ink", f"{kind}-paper") for kind in ("caution", "grave", "note")),
        *(("soft", f"{kind}-paper") for kind in ("caution", "grave", "note")),
        ("caution", "caution-paper"),
        ("caution", "card"),
        ("grave", "grave-paper"),
        ("grave", "card"),
    ]
    poor = [
        (pair, round(contrast(theme[pair[0]], theme[pair[1]]), 2))
        for theme in themes
        for pair in pairs
        if contrast(theme[pair[0]], theme[pair[1]]) < 4.5
    ]
    assert poor == []
    assert all(contrast(theme["bar"], theme["card"]) >= 3 for theme in themes)
