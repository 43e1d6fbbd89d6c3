from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from wsi_pipeline.annotate import (
    NOT_ANNOTATED,
    Region,
    ViewerFrame,
    fill_regions,
    format_collection,
    format_regions,
    geojson,
    outline_regions,
    parse_regions,
)
from wsi_pipeline.classes import CLASS_NAMES, TISSUE_CLASSES
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.geometry import Grid

FRAME = ViewerFrame(0.5)
RING = [[0, 0], [40, 0], [40, 20], [0, 20], [0, 0]]


def text_of(regions: list[Region], frame: ViewerFrame = FRAME) -> str:
    return "".join(format_collection(format_regions(regions, frame=frame), about={"schema": "x"}))


def feature(**changes: Any) -> dict[str, Any]:
    """A feature as QuPath writes it, with some of its properties changed."""
    properties = {
        "objectType": "annotation",
        "classification": {"name": "tumour", "color": [1, 2, 3]},
    }
    geometry = changes.pop("geometry", {"type": "Polygon", "coordinates": [RING]})
    return {
        "type": "Feature",
        "id": "8b0c8f3e-95b5-4b4f-8a48-3a1e9f4f0a11",
        "geometry": geometry,
        "properties": {**properties, **changes},
    }


def parse(content: Any, frame: ViewerFrame = FRAME) -> geojson.Parsed:
    return parse_regions(json.dumps(content), name="a.geojson", frame=frame)


def ring_region(value: int = 2) -> Region:
    outer = np.array([(0, 0), (0, 30), (30, 30), (30, 0), (0, 0)], float)
    return Region(value, ((outer, outer / 3 + 10),))


def test_annotations_are_written_as_qupath_reads_them() -> None:
    content = json.loads(text_of([ring_region(2), ring_region(5)]))
    assert content["type"] == "FeatureCollection"
    assert content["wsi_pipeline"] == {"schema": "x"}
    first, second = content["features"]
    assert first["type"] == "Feature"
    assert first["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "dermis", "color": list(TISSUE_CLASSES[2].rgb)},
    }
    assert second["properties"]["classification"]["name"] == "tumour"
    assert first["geometry"]["type"] == "Polygon"
    outer, hole = first["geometry"]["coordinates"]
    assert outer == [[0, 0], [60, 0], [60, 60], [0, 60], [0, 0]]
    assert hole[0] == [20, 20]


def test_x_runs_to_the_right_from_the_corner_of_the_scanned_part() -> None:
    ring = np.array([(10, 100), (10, 120), (30, 120), (10, 100)], float)
    frame = ViewerFrame(0.5, (7, 150))
    content = json.loads(text_of([Region(1, ((ring,),))], frame))
    assert content["features"][0]["geometry"]["coordinates"][0][0] == [200 - 150, 20 - 7]
    back = parse(content, frame).regions[0].polygons[0][0]
    np.testing.assert_allclose(back, ring)


def test_an_area_to_be_left_out_is_written_and_read() -> None:
    content = json.loads(text_of([ring_region(NOT_ANNOTATED)]))
    assert content["features"][0]["properties"]["classification"]["name"] == "Ignore*"
    assert parse(content).regions[0].value == NOT_ANNOTATED


def test_a_region_of_several_parts_is_a_multipolygon() -> None:
    one = ring_region().polygons[0]
    both = Region(3, (one, tuple(ring + 50 for ring in one)))
    parsed = parse(json.loads(text_of([both])))
    assert len(parsed.regions[0].polygons) == 2
    assert parsed.regions[0].area_um2 == pytest.approx(both.area_um2)


def test_writing_and_reading_keeps_every_pixel() -> None:
    labels = np.random.default_rng(0).integers(0, 8, (40, 50)).astype(np.uint8).repeat(3, 0)
    grid, frame = Grid((120, 50), 2.0), ViewerFrame(0.4995, (11, 13))
    regions = outline_regions(labels, grid=grid, tolerance_um=0, min_piece_um2=0)
    parsed = parse_regions(text_of(list(regions), frame), name="a", frame=frame)
    back = fill_regions(parsed.regions, grid=grid)
    np.testing.assert_array_equal(back, np.where(labels == 0, NOT_ANNOTATED, labels))


def test_the_same_regions_give_the_same_text() -> None:
    labels = np.random.default_rng(1).integers(0, 8, (30, 30)).astype(np.uint8)
    one, two = (
        text_of(
            list(outline_regions(labels, grid=Grid((30, 30), 2.0), tolerance_um=4, min_piece_um2=9))
        )
        for _ in range(2)
    )
    assert one == two


@pytest.mark.parametrize("value", range(8))
@pytest.mark.parametrize("spell", [str.upper, str.title, "  {} ".format])
def test_classes_are_known_in_any_spelling(value: int, spell: Any) -> None:
    name = spell(CLASS_NAMES[value])
    assert (
        parse([feature(classification={"name": name, "color": [0, 0, 0]})]).regions[0].value
        == value
    )


@pytest.mark.parametrize(
    ("classification", "value"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, 5),
        ({"name": "dermis", "colorRGB": -3670016}, 2),
        ({"names": ["epidermis"], "color": [1, 2, 3]}, 1),
        ("keratin", 7),
        ({"name": "Ignore*", "color": [180, 180, 180]}, NOT_ANNOTATED),
    ],
    ids=["american", "before 0.4", "list", "text", "left out"],
)
def test_classes_are_read_from_every_age_of_qupath(classification: Any, value: int) -> None:
    assert parse([feature(classification=classification)]).regions[0].value == value


@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: [f], lambda f: {"type": "FeatureCollection", "features": [f]}]
)
def test_files_of_all_three_forms_are_read(wrap: Any) -> None:
    (region,) = parse(wrap(feature())).regions
    assert region.value == 5
    assert region.area_um2 == 20 * 10


def test_the_third_coordinate_and_foreign_fields_are_passed_over() -> None:
    ring = [[*place, 0.0] for place in RING]
    geometry = {"type": "Polygon", "coordinates": [ring], "plane": {"z": 0}}
    (region,) = parse([feature(geometry=geometry, measurements={"a": 1}, isLocked=True)]).regions
    assert region.area_um2 == 200


def test_what_has_no_class_or_is_no_annotation_is_counted_and_left_out() -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    parsed = parse(
        [
            feature(),
            feature(classification=None),
            feature(classification={}, geometry=line),
            feature(objectType="detection"),
            {**feature(), "properties": {"object_type": "cell"}},
            {**feature(), "id": "PathTileObject", "properties": {}},
            {**feature(), "id": "PathAnnotationObject", "properties": None},
        ]
    )
    assert len(parsed.regions) == 1
    assert (parsed.unclassified, parsed.not_annotations) == (3, 3)


def test_an_empty_file_of_features_holds_nothing() -> None:
    assert parse([]) == geojson.Parsed(())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "Topology"}, "holds no features"),
        ({"type": "FeatureCollection", "features": {}}, "holds no features"),
        ("text", "holds no features"),
        ([3], r"feature 1 of 1: 'type' must be 'Feature'"),
        ([feature(), {"type": "Polygon"}], r"feature 2 of 2: 'type' must be 'Feature'"),
        ([{**feature(), "properties": [1]}], "'properties' must be an object"),
        ([feature(classification={"name": "stroma"})], "unknown class 'stroma'.*background, epid"),
        ([feature(classification={"name": "tumour: positive"})], "unknown class"),
        ([feature(classification={"names": ["tumour", "positive"]})], "must hold one 'name'"),
        ([feature(classification={"colorRGB": 5})], "must hold one 'name'"),
        ([feature(classification=[1])], "must hold one 'name'"),
        ([feature(geometry=None)], "'geometry' is of type 'None' and covers no area"),
        ([feature(geometry={"type": "Point", "coordinates": [0, 0]})], "covers no area"),
        ([feature(geometry={"type": "Polygon", "coordinates": 5})], "must be lists of rings"),
        ([feature(geometry={"type": "Polygon", "coordinates": []})], "must be lists of rings"),
        (
            [feature(geometry={"type": "MultiPolygon", "coordinates": [5]})],
            "must be lists of rings",
        ),
        ([feature(geometry={"type": "Polygon", "coordinates": [5]})], r"list of \[x, y\] numbers"),
        ([feature(geometry={"type": "Polygon", "coordinates": [RING[:3]]})], "four corners"),
        ([feature(geometry={"type": "Polygon", "coordinates": [RING[:4]]})], "end where it began"),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[["0", "1"]] * 4]})],
            r"list of \[x, y\] numbers",
        ),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[[0, 1], [2]] * 2]})],
            r"list of \[x, y\] numbers",
        ),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[[True, False]] * 4]})],
            r"list of \[x, y\] numbers",
        ),
        (
            [feature(geometry={"type": "Polygon", "coordinates": [[[10**30, 0]] * 4]})],
            "numbers|within",
        ),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[1e9, 0]] * 4]})], "within"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as fault:
        parse(content)
    assert str(fault.value).startswith("a.geojson")


@pytest.mark.parametrize(
    "text", ["", "{", "[NaN]", '[{"a": Infinity}]', "[" * 200_000, "[" + "1" * 5000 + "]"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.geojson is not valid JSON"):
        parse_regions(text, name="a.geojson", frame=FRAME)


def test_a_number_too_large_for_json_is_refused() -> None:
    text = json.dumps([feature()]).replace("40", "1e999")
    with pytest.raises(ConfigError, match="within 1e\\+08 pixels"):
        parse_regions(text, name="a.geojson", frame=FRAME)


def test_files_beyond_the_limits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MOST_FEATURES", 2)
    with pytest.raises(ConfigError, match="holds 3 features, more than 2"):
        parse([feature()] * 3)
    monkeypatch.setattr(geojson, "MOST_CORNERS", 9)
    with pytest.raises(ConfigError, match="feature 2 of 2: more than 9 corners"):
        parse([feature()] * 2)
