"""What stands where on a slide's part of the page?

1. `view_slide` reads every measurement once, into words.
2. The few that matter most, the areas of the legend, the table of all others and the table
   per section are picked from them.
3. `flatten_facts` turns any provenance into rows of name and text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wsi_pipeline.classes import TISSUE_CLASSES
from wsi_pipeline.report.contents import SlideReport
from wsi_pipeline.report.definitions import DEFINITIONS, GLANCE, PROFILE, Form, reading_order
from wsi_pipeline.report.figures import Chart, draw_lateral, draw_nuclei, draw_rings, draw_widths
from wsi_pipeline.report.pictures import SlideView, compose_view, read_curves
from wsi_pipeline.report.profile import Profile, draw_profile
from wsi_pipeline.report.summary import summarise_slide
from wsi_pipeline.report.wording import Reading, format_duration, format_value, read_entry
from wsi_pipeline.report.zoom import Key, Still, keys_of, stills_of, zoom_data

Facts = tuple[tuple[str, str], ...]

SLIDE_FACTS: tuple[str, ...] = (
    "sha256",
    "vendor",
    "backend",
    "backend_version",
    "mpp",
    "mpp_source",
    "mpp_stated",
    "mpp_stated_source",
    "objective_power",
    "level_shapes",
    "level_downsamples",
    "levels_read",
    "bounds_px0",
)
"""Entries of a slide's own information that are shown; others may name a person or a date."""

_FLAG_FORMS: dict[str, Form] = {"orientation_conflict": "membership"}
_SEVERITIES = {"block": "No numbers", "warn": "Caution", "info": "Note"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A quality flag: its severity, that in a word, its message and its number."""

    severity: str
    word: str
    code: str
    message: str
    amount: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A class in the legend: its number, name, colour and area."""

    index: int
    name: str
    colour: str
    area: Reading
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class SectionTable:
    """Measurements per section: the sections' names and, per measurement, one cell each."""

    sections: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Reading, ...]], ...]


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """A depth profile and what it belongs to."""

    title: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class SlideText:
    """One slide, all in words and drawings."""

    slide_id: str
    declared: Facts
    summary: tuple[str, ...]
    flags: tuple[Flag, ...]
    glance: tuple[Reading, ...]
    readings: tuple[Reading, ...]
    section_table: SectionTable | None
    legend: tuple[LegendEntry, ...]
    profiles: tuple[NamedProfile, ...]
    profile_absence: str
    is_baseline: bool
    model: Facts
    facts: Facts
    view: SlideView
    charts: tuple[Chart, ...]
    zoom_data: Markup
    keys: tuple[Key, ...]
    stills: tuple[Still, ...]


def view_slide(slide: SlideReport) -> SlideText:
    """Turn one slide into what its part of the page says."""
    values: Mapping[str, Mapping[str, Any]] = slide.measurements.get("values", {})
    view = compose_view(slide)
    return SlideText(
        slide_id=slide.slide_id,
        declared=_declared(slide),
        summary=summarise_slide(values),
        flags=sort_flags(slide.flags),
        glance=tuple(read_entry(values, name) for name in GLANCE),
        readings=_read_all(values),
        section_table=_section_table(slide.measurements.get("sections") or ()),
        legend=_legend(values, drawn={layer.index for layer in view.layers}),
        profiles=_profiles(slide),
        profile_absence=_profile_absence(values),
        is_baseline=bool(slide.model.get("is_baseline")),
        model=flatten_facts({k: v for k, v in slide.model.items() if k != "is_baseline"}),
        facts=_facts(slide),
        view=view,
        charts=_charts(slide, values),
        zoom_data=_zoom_data(slide),
        keys=keys_of(slide.zoom) if slide.zoom else (),
        stills=tuple(stills_of(slide.zoom)) if slide.zoom else (),
    )


def sort_flags(flags: Iterable[Mapping[str, Any]]) -> tuple[Flag, ...]:
    """Bring quality flags into words, the gravest first."""
    read = [_read_flag(flag) for flag in flags]
    gravest_first = list(_SEVERITIES)
    return tuple(sorted(read, key=lambda flag: (gravest_first.index(flag.severity), flag.code)))


def flatten_facts(facts: Mapping[str, Any], *, prefix: str = "") -> Facts:
    """Write nested plain data as rows of name and text.

    Examples
    --------
    >>> flatten_facts({"model": {"id": "m"}, "shape": [2, 3]})
    (('model id', 'm'), ('shape', '2 × 3'))
    """
    rows: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += flatten_facts(value, prefix=f"{name} ")
        else:
            rows.append((name, _plain(value)))
    return tuple(rows)


def _plain(value: Any) -> str:
    """Write one fact; numbers in full, since they are for checking and not for reading."""
    if value is None or value == "":
        return "not recorded"
    if isinstance(value, list | tuple):
        joint = "; " if any(isinstance(item, list | tuple) for item in value) else " × "
        return joint.join(_plain(item) for item in value) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _read_flag(flag: Mapping[str, Any]) -> Flag:
    """One flag in words; a severity that is not known counts as a caution."""
    severity = str(flag.get("severity"))
    severity = severity if severity in _SEVERITIES else "warn"
    value, unit = flag.get("value"), str(flag.get("unit") or "")
    code = str(flag.get("code") or "")
    form = _FLAG_FORMS.get(code, "percent" if unit == "1" else "quantity")
    return Flag(
        severity=severity,
        word=_SEVERITIES[severity],
        code=code,
        message=str(flag.get("message") or code.replace("_", " ")),
        amount="" if value is None else format_value(value, unit, form=form),
    )


def _declared(slide: SlideReport) -> Facts:
    """What the case table says of the slide."""
    section = str(slide.measurements.get("declared", {}).get("section") or "auto")
    return (
        ("Block", slide.block or "not declared"),
        ("Stain", slide.stain or "not declared"),
        ("Section, as declared", "not declared" if section == "auto" else section),
        ("Pixel width", _pixel_width(slide.slide)),
    )


def _pixel_width(info: Mapping[str, Any]) -> str:
    """Native pixel width and where it is known from."""
    mpp, source = info.get("mpp"), info.get("mpp_source")
    if mpp is None:
        return "not recorded"
    width = f"{_micrometres(mpp)} (from {source})" if source else _micrometres(mpp)
    if info.get("mpp_disagrees"):
        return f"{width}; the file states {_micrometres(info.get('mpp_stated'))}"
    return width


def _micrometres(mpp: Any) -> str:
    """A pixel width to four digits, since its error is that of every length."""
    return f"{mpp:.4g}\u202fµm" if isinstance(mpp, int | float) else str(mpp)


def _read_all(values: Mapping[str, Mapping[str, Any]]) -> tuple[Reading, ...]:
    """Every measurement but the profile and the areas, which the legend holds."""
    legend = {_area_name(tissue.name) for tissue in TISSUE_CLASSES} - DEFINITIONS.keys()
    names = ({*values} | DEFINITIONS.keys()) - legend - {PROFILE}
    return tuple(read_entry(values, name) for name in reading_order(names))


def _area_name(tissue: str) -> str:
    """Name of the measurement that is a class's area."""
    return f"area_{tissue}_mm2"


def _legend(values: Mapping[str, Mapping[str, Any]], *, drawn: set[int]) -> tuple[LegendEntry, ...]:
    """Classes with their areas; the background is glass and has none."""
    return tuple(
        LegendEntry(
            index=index,
            name=tissue.name,
            colour="#{:02x}{:02x}{:02x}".format(*tissue.rgb),
            area=read_entry(values, _area_name(tissue.name)),
            is_drawn=index in drawn,
        )
        for index, tissue in enumerate(TISSUE_CLASSES)
        if index
    )


def _section_table(sections: Iterable[Mapping[str, Any]]) -> SectionTable | None:
    """All measurements per section, if there is more than one section."""
    pieces = tuple(sections)
    if len(pieces) < 2:
        return None
    named = reading_order({name for piece in pieces for name in piece.get("values", {})})
    rows = []
    for name in named:
        if name != PROFILE:
            cells = tuple(read_entry(piece.get("values", {}), name) for piece in pieces)
            rows.append((cells[0].title, cells))
    return SectionTable(tuple(str(piece.get("section_id", "")) for piece in pieces), tuple(rows))


def _profiles(slide: SlideReport) -> tuple[NamedProfile, ...]:
    """The slide's profile and, if there is more than one section, each section's."""
    pieces = slide.measurements.get("sections") or ()
    titled = [("Whole slide", slide.measurements)]
    if len(pieces) > 1:
        titled += [(f"Section {piece.get('section_id', '')}", piece) for piece in pieces]
    drawn = (
        (title, draw_profile(source.get("values", {}).get(PROFILE, {}).get("value") or ()))
        for title, source in titled
    )
    return tuple(NamedProfile(title, profile) for title, profile in drawn if profile is not None)


def _charts(slide: SlideReport, values: Mapping[str, Mapping[str, Any]]) -> tuple[Chart, ...]:
    """Distributions of the slide; what belongs to a section is drawn per section."""
    pieces = slide.measurements.get("sections") or ()
    own = [(f", section {piece.get('section_id', '')}", piece) for piece in pieces]
    own = [("", piece) for _, piece in own] if len(own) == 1 else own
    drawn = [
        draw_lateral(piece.get("lateral"), title=f"Thickness infiltrated along the skin{where}")
        for where, piece in own
    ]
    drawn += [draw_widths(values), draw_nuclei(slide.nuclear_areas, values)]
    drawn += [
        draw_rings(piece.get("values", {}), title=f"Tumour from the edge inwards{where}")
        for where, piece in own
    ]
    return tuple(chart for chart in drawn if chart is not None)


def _zoom_data(slide: SlideReport) -> Markup:
    """What the script of the view reads; empty where there is only an overview."""
    if slide.zoom is None:
        return Markup("")
    pieces = slide.measurements.get("sections") or ()
    boxed = [piece for piece in pieces if "box_um" in piece]
    return zoom_data(
        slide.zoom,
        curves=[
            {"kind": kind, "points_um": [(right, down) for down, right in piece]}
            for kind, piece in read_curves(slide.curves)
        ],
        sections=[
            {"number": str(piece["section_id"]), "box_um": list(piece["box_um"])} for piece in boxed
        ],
    )


def _profile_absence(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Why there is no profile of the whole slide; "" if there is one."""
    reading = read_entry(values, PROFILE)
    return "" if reading.is_present and reading.number is None else reading.sentence


def _facts(slide: SlideReport) -> Facts:
    """Provenance of the slide: its file, its run, its time."""
    file = {name: slide.slide[name] for name in SLIDE_FACTS if name in slide.slide}
    return (
        *flatten_facts(file, prefix="slide "),
        *flatten_facts(slide.provenance),
        ("overview pixel width", _micrometres(slide.overview_mpp)),
        ("run time", format_duration(slide.run_seconds)),
    )
