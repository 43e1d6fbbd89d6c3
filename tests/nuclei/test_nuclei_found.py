"""Are nuclei of known place and size found, whatever the pixels, the dyes and the tile?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wsi_pipeline.config import NucleiSettings
from wsi_pipeline.errors import MeasurementError
from wsi_pipeline.geometry import Box, Grid
from wsi_pipeline.nuclei import (
    NUCLEUS_DTYPE,
    TILE_REACH_UM,
    Nuclei,
    cell_px,
    describe_nuclei,
    estimate_stain,
    haematoxylin_od,
    owned_by,
    segment_nuclei,
    working_mpp,
)
from wsi_pipeline.phantom import paint_phantom
from wsi_pipeline.phantom.spec import PhantomSpec
from wsi_pipeline.phantom.stamp import stamp_numbers

SETTINGS = NucleiSettings()
HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.09, 0.95, 0.28])
# down, right, half axes along and across (µm), direction, density
ELLIPSES = (
    (15.0, 18.0, 5.0, 4.0, 0.3, 0.8),
    (15.0, 42.0, 3.0, 2.7, 0.0, 1.0),
    (42.0, 20.0, 7.5, 5.5, 1.2, 0.6),
    (40.0, 46.0, 7.0, 2.0, 2.2, 0.8),
    (60.0, 44.0, 4.5, 4.0, 0.0, 0.5),
    (60.0, 53.2, 4.5, 4.0, 0.0, 0.6),
)
EDGE_UM = 72.0


def painted(mpp: float, *, cytoplasm: float = 0.15, eosin: float = 0.4) -> NDArray[np.uint8]:
    """Ellipses on stained ground, five sub-pixels along each edge of a pixel."""
    fine = 5
    count = round(EDGE_UM / mpp)
    place = (np.arange(count * fine) + 0.5) * mpp / fine
    down, right = np.meshgrid(place, place, indexing="ij")
    dye = np.full(down.shape, cytoplasm)
    for row, column, along, across, turn, density in ELLIPSES:
        u = (down - row) * np.cos(turn) + (right - column) * np.sin(turn)
        v = (right - column) * np.cos(turn) - (down - row) * np.sin(turn)
        dye[(u / along) ** 2 + (v / across) ** 2 < 1] = density
    od = (
        dye[..., None] * HAEMATOXYLIN
        + eosin * np.where(dye == cytoplasm, 1, 0.4)[..., None] * EOSIN
    )
    light = 245 * 10.0**-od
    light = light.reshape(count, fine, count, fine, 3).mean(axis=(1, 3))
    noise = np.random.default_rng(1).normal(0, 2, light.shape)
    return np.clip(light + noise + 0.5, 0, 255).astype(np.uint8)


def found_in(rgb: NDArray[np.uint8], mpp: float) -> Nuclei:
    stain = estimate_stain(rgb.reshape(-1, 3))
    density = haematoxylin_od(rgb, stain)
    labels, smooth = segment_nuclei(density, mpp=mpp, stain=stain, settings=SETTINGS)
    grid = Grid(labels.shape, mpp)
    return describe_nuclei(labels, smooth, box=grid.box, grid=grid)


@pytest.mark.parametrize("mpp", [0.25, 0.4, 0.5015])
@pytest.mark.parametrize("cytoplasm", [0.05, 0.2])
def test_ellipses_are_found_where_and_as_large_as_they_are(mpp: float, cytoplasm: float) -> None:
    found = found_in(painted(mpp, cytoplasm=cytoplasm), mpp)
    assert len(found) == len(ELLIPSES)
    for row, column, along, across, turn, _ in ELLIPSES:
        away = np.hypot(found["down_um"] - row, found["right_um"] - column)
        nucleus = found[away.argmin()]
        assert away.min() < 0.5
        assert nucleus["area_um2"] == pytest.approx(np.pi * along * across, rel=0.12)
        assert nucleus["major_um"] == pytest.approx(2 * along, rel=0.12)
        if along > 1.5 * across:
            assert abs(np.sin(nucleus["angle_rad"] - turn)) < 0.1
        assert nucleus["solidity"] > 0.9
        assert not nucleus["touches_edge"]


def test_a_denser_nucleus_is_said_to_be_denser() -> None:
    found = found_in(painted(0.5), 0.5)
    order = [np.hypot(found["down_um"] - e[0], found["right_um"] - e[1]).argmin() for e in ELLIPSES]
    density = found["haematoxylin_od_mean"][order]
    true = np.array([ellipse[-1] for ellipse in ELLIPSES])
    assert np.corrcoef(density, true)[0, 1] > 0.95


def test_even_ground_holds_no_nuclei() -> None:
    rgb = painted(0.5)
    rgb = np.where(rgb[..., :1] < 150, np.median(rgb.reshape(-1, 3), axis=0), rgb)
    stain = estimate_stain(painted(0.5).reshape(-1, 3))
    density = haematoxylin_od(rgb.astype(np.uint8), stain)
    labels, _ = segment_nuclei(density, mpp=0.5, stain=stain, settings=SETTINGS)
    assert labels.max() == 0
    assert (
        len(
            describe_nuclei(
                labels, density, box=Box(0, 0, *labels.shape), grid=Grid(labels.shape, 0.5)
            )
        )
        == 0
    )


def test_the_dyes_are_told_apart() -> None:
    """Density along the dye's own colour, whatever the eosin around."""
    stain = estimate_stain(painted(0.5).reshape(-1, 3))
    assert stain.is_estimated
    weak, strong = (
        haematoxylin_od(painted(0.5, eosin=eosin), stain)[:16, :16].mean() for eosin in (0.3, 0.5)
    )
    assert abs(weak - strong) < 0.06
    assert stain.nuclear_od - stain.background_od > 0.3


def test_one_dye_alone_falls_back_to_reference_colours() -> None:
    rng = np.random.default_rng(2)
    od = rng.uniform(0.2, 1.0, (4000, 1)) * HAEMATOXYLIN
    stain = estimate_stain((245 * 10.0**-od).astype(np.uint8))
    assert not stain.is_estimated


def test_unstained_glass_is_refused() -> None:
    with pytest.raises(MeasurementError, match="pixels of the sample are stained"):
        estimate_stain(np.full((5000, 3), 240, np.uint8))


def test_the_working_pixel_is_that_of_the_slide_within_limits() -> None:
    found = [working_mpp(mpp) for mpp in (0.12, 0.25, 0.5015, 0.504, 0.76, 2.0)]
    assert found == [0.25, 0.25, 0.5015, 0.504, None, None]


@pytest.fixture(scope="module")
def phantom() -> tuple[NDArray[np.uint8], NDArray[np.uint32], float]:
    spec = PhantomSpec(
        7, section="horizontal", width_mm=0.7, height_mm=0.6, margin_mm=0.02, architecture="solid"
    )
    painted_slide = paint_phantom(spec)
    truth = stamp_numbers(painted_slide.nuclei, Box.of_shape(painted_slide.labels.shape), mpp=0.5)
    return painted_slide.image, np.where(painted_slide.labels > 0, truth, 0), spec.mpp


def test_the_true_map_is_the_table_of_the_phantom() -> None:
    spec = PhantomSpec(7, section="horizontal", width_mm=0.6, height_mm=0.6, margin_mm=0.02)
    slide = paint_phantom(spec)
    truth = stamp_numbers(slide.nuclei, Box.of_shape(slide.labels.shape), mpp=spec.mpp)
    areas = np.bincount(truth.ravel(), minlength=len(slide.nuclei) + 1)[1:] * spec.mpp**2
    alone = areas > 0.97 * slide.nuclei["area_um2"]
    assert alone.mean() > 0.5
    assert areas[alone].mean() == pytest.approx(slide.nuclei["area_um2"][alone].mean(), rel=0.02)
    box = Box(100, 200, 300, 500)
    np.testing.assert_array_equal(stamp_numbers(slide.nuclei, box, mpp=spec.mpp), truth[box.slices])


def test_most_nuclei_of_a_phantom_are_found(
    phantom: tuple[NDArray[np.uint8], NDArray[np.uint32], float],
) -> None:
    rgb, truth, mpp = phantom
    found = found_in(rgb, mpp)
    numbers, areas = np.unique(truth[truth > 0], return_counts=True)
    wanted = int((areas * mpp**2 >= SETTINGS.min_area_um2).sum())
    row, column = (np.floor(found[name] / mpp).astype(int) for name in ("down_um", "right_um"))
    hit = truth[row, column]
    assert (hit > 0).mean() > 0.97
    assert len(np.unique(hit[hit > 0])) > 0.85 * wanted
    assert len(numbers) > 300


def tile_of(plane: NDArray[np.float32], read: Box) -> NDArray[np.float32]:
    """Part of a plane; beyond it, glass."""
    inside = read & Box.of_shape(plane.shape)
    part = np.zeros(read.shape, np.float32)
    part[inside.within(read).slices] = plane[inside.slices]
    return part


@pytest.mark.parametrize("edge_px", [264, 600])
def test_nuclei_of_tiles_are_those_of_the_whole(
    phantom: tuple[NDArray[np.uint8], NDArray[np.uint32], float], edge_px: int
) -> None:
    rgb, _, mpp = phantom
    stain = estimate_stain(rgb.reshape(-1, 3)[::5])
    density = haematoxylin_od(rgb, stain)
    grid = Grid((density.shape[0], density.shape[1]), mpp)
    step = cell_px(mpp)
    halo = -(-int(TILE_REACH_UM / mpp) // step) * step

    def rows(read: Box, write: Box) -> Nuclei:
        labels, smooth = segment_nuclei(
            tile_of(density, read), mpp=mpp, stain=stain, settings=SETTINGS
        )
        table = describe_nuclei(labels, smooth, box=read, grid=grid)
        return table[owned_by(table, write, grid=grid)]

    whole = rows(grid.box.expanded(halo), grid.box)
    pieces = np.concatenate(
        [
            rows(write.expanded(halo), write & grid.box)
            for top in range(0, grid.shape[0], edge_px)
            for left in range(0, grid.shape[1], edge_px)
            for write in [Box(top, left, top + edge_px, left + edge_px)]
        ]
    )
    assert len(whole) > 300
    pieces = pieces[np.argsort(pieces["first_px"])]
    whole = whole[np.argsort(whole["first_px"])]
    assert pieces.tobytes() == whole.tobytes()
    assert pieces.dtype == NUCLEUS_DTYPE
