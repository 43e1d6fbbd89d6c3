"""Plain data of the kind that a page is made from."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.report import CaseReport, CohortRow, SlideFailure, SlideReport
from wsi_pipeline.values import Measurement, QualityFlag

BLOCKS = {"td", "th", "dt", "dd", "li", "p", "h1", "h2", "h3", "caption"}
VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and its text."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags, f"</{tag}> closes nothing"
        assert self.open_tags.pop() == tag, f"</{tag}> closes another element"
        self.texts.append(" " if tag in BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if not self.open_tags or self.open_tags[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that can be read, with single spaces."""
        return re.sub(r"\s+", " ", "".join(self.texts))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of one kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], Page]:
    return Page


@pytest.fixture(scope="session")
def decode_image() -> Callable[[str], Image.Image]:
    def decode(uri: str) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1], validate=True)))

    return decode


@pytest.fixture
def make_values() -> Callable[..., dict[str, Any]]:
    """Measurements as ``measurements.json`` holds them; some may be replaced."""

    def make(changes: dict[str, Measurement] | None = None) -> dict[str, Any]:
        values = {
            "tissue_area_mm2": Measurement(80.0, "mm²"),
            "section_orientation": Measurement("vertical", ""),
            "orientation_confidence": Measurement(0.9, "1"),
            "infiltration_fraction": Measurement(0.3817, "1", interval=(0.35, 0.41)),
            "relative_depth_max": Measurement(0.968, "1"),
            "depth_max_um": Measurement(2534.1, "µm", "at_least", "tumour touches the edge"),
            "occupancy_profile": Measurement(tuple(k / 20 for k in range(20)), "1"),
            "top_bottom_log2": Measurement(-0.61, "1"),
        }
        values |= {
            f"area_{name}_mm2": Measurement(float(index), "mm²")
            for index, name in enumerate(CLASS_NAMES)
            if index
        }
        return {name: value.to_json() for name, value in (values | (changes or {})).items()}

    return make


@pytest.fixture
def make_slide(make_values: Callable[..., dict[str, Any]]) -> Callable[..., SlideReport]:
    def make(**changes: Any) -> SlideReport:
        shape = (60, 100)
        labels = np.zeros(shape, np.uint8)
        labels[10:50, 10:90] = np.repeat(np.arange(1, 9, dtype=np.uint8) % 8, 10)
        sections = np.zeros(shape, np.uint8)
        sections[10:50, 10:45] = 1
        sections[10:50, 55:90] = 2
        content: dict[str, Any] = {
            "slide_id": "S1",
            "block": "A1",
            "stain": "H&E",
            "measurements": {
                "values": make_values(),
                "declared": {"section": "vertical"},
                "sections": [{"section_id": n, "values": make_values()} for n in (1, 2)],
            },
            "slide": {"mpp": 0.25, "mpp_source": "openslide.mpp-x", "level_shapes": [[60, 100]]},
            "flags": (QualityFlag("fat_absent", "warn", "No fat is seen.", 0.5, "1").to_json(),),
            "overview": np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8),
            "overview_mpp": 100.0,
            "labels": labels,
            "sections": sections,
            "curves": (
                {
                    "dej_um": [[1000.0, 1000.0], [1000.0, 4000.0], None, [1000, 6000], [900, 9000]],
                    "dsj_um": [],
                    "dsj_interpolated_fraction": 0.2,
                },
            ),
            "model": {"id": "m", "version": "1", "is_baseline": True, "limits": "many"},
            "provenance": {"pipeline_version": "9.9", "input": {"bytes": 12}},
            "run_seconds": 75.0,
        }
        return SlideReport(**(content | changes))

    return make


@pytest.fixture
def make_case(make_slide: Callable[..., SlideReport]) -> Callable[..., CaseReport]:
    def make(**changes: Any) -> CaseReport:
        content: dict[str, Any] = {
            "case_id": "C1",
            "primary_site": "breast",
            "slides": (make_slide(),),
            "failures": (SlideFailure("S2", "inspect", "no mpp; set it", "logs/S2.log"),),
            "provenance": {"pipeline_version": "9.9", "config_sha256": "ab"},
        }
        return CaseReport(**(content | changes))

    return make


@pytest.fixture
def make_row(make_values: Callable[..., dict[str, Any]]) -> Callable[..., CohortRow]:
    def make(**changes: Any) -> CohortRow:
        content: dict[str, Any] = {
            "case_id": "C1",
            "slide_id": "S1",
            "status": "done",
            "stage": "",
            "reason": "",
            "log": "",
            "values": make_values(),
            "report": "cases/C1/report.html",
        }
        return CohortRow(**(content | changes))

    return make
