"""Does the novelty score of a model rise on what it was not trained for?

Used by ``accuracy.py``.  Each set of pictures gives one line: median score, share of positions
over the card's limit, share of pictures that would be flagged, and the AUC of its positions
against tissue of test phantoms (0.5: no different, 1: always higher).  Painted sets come first;
real ones, for evaluation only, where their folder is there.

Tiles of ``skin_pas`` are put together where they adjoin: alone they are 83 px wide at 2 µm/px,
and a picture that small is unlike training whatever its stain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import stats

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.geometry import Box
from wsi_pipeline.phantom import ARTEFACT_NAMES, paint_phantom, sample_spec
from wsi_pipeline.segment import Segmenter
from wsi_pipeline.segment.novelty import flag_novelty, novelty_of_tissue, summarise_novelty

ReadFile = Callable[[Path, float | None], np.ndarray]
"""A file and its µm per pixel (None where it says so itself) become RGB at the model's mpp."""
Pictures = Iterator[tuple[np.ndarray, np.ndarray]]
"""RGB (Y, X, 3) at the model's mpp, and where its score counts (Y, X)."""

PAS_TILE = re.compile(r"(?P<slide>.+)_x(?P<x>\d+)_y(?P<y>\d+)")
PAS_TILE_PX = 512
PIECE_PX, CONTEXT_PX = 1024, 320
PATTERNS = ("solid", "cord", "solid-cord", "none", "single-file")
SECTIONS = ("vertical", "horizontal", "stroma")
PENS = ("blue", "green", "black", "red")
PEN_BIT = 1 << ARTEFACT_NAMES.index("pen")
LEAST_OD = 0.06  # of tissue, in the darkest channel, over 9 px


def on_ood(
    segmenter: Segmenter,
    data: Path | None,
    *,
    read_file: ReadFile,
    first_seed: int,
    pas_mpp: float,
    count: int = 12,
) -> Iterator[str]:
    """One line per set of pictures."""
    card = segmenter.card.novelty
    if card is None:
        yield "the model has no statistics of novelty"
        return
    sets = painted_sets(range(first_seed, first_seed + count), mpp=segmenter.card.mpp)
    if data is not None:
        sets |= real_sets(data, read_file, shrink=segmenter.card.mpp / pas_mpp)
    usual = np.empty(0)
    for name, pictures in sets.items():
        each = [s for rgb, mask in pictures if (s := scores_of(segmenter, rgb, mask)).size]
        if not each:
            continue
        scores = np.concatenate(each)
        usual = usual if usual.size else scores
        flagged = [any(flag_novelty(summarise_novelty(one, card=card))) for one in each]
        area = stats.mannwhitneyu(scores, usual).statistic / scores.size / usual.size
        yield (
            f"{name:<26} median {np.median(scores):5.2f}, {np.mean(scores > card.limit):4.0%} over "
            f"{card.limit:.2f}, flagged {sum(flagged)} of {len(each)}, AUC {area:.3f} "
            f"({scores.size} positions)"
        )


def scores_of(segmenter: Segmenter, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Scores of the positions of a picture whose middle is in the mask; white lies around it."""
    card = segmenter.card
    halo = -(-card.halo_px // card.stride_px) * card.stride_px
    rows, columns = mask.shape
    read = Box(-halo, -halo, *(halo - (-n // card.stride_px) * card.stride_px for n in mask.shape))
    around = ((halo, read.bottom - rows), (halo, read.right - columns), (0, 0))
    found = segmenter.infer(np.pad(rgb, around, constant_values=255)).novelty
    return novelty_of_tissue(found, scored=read, write=Box(0, 0, rows, columns), tissue=mask)


def painted_sets(seeds: range, *, mpp: float) -> dict[str, Pictures]:
    return {
        "phantoms, tissue": ((rgb, tissue) for rgb, tissue, _ in painted(seeds, mpp=mpp)),
        "phantoms, empty glass": (
            (np.broadcast_to(np.median(rgb[~tissue], axis=0), rgb.shape).astype(np.uint8), ~tissue)
            for rgb, tissue, _ in painted(seeds[:3], mpp=mpp)
        ),
        "phantoms, pen on tissue": (
            (rgb, tissue & pen) for rgb, tissue, pen in painted(seeds, mpp=mpp, strokes=8)
        ),
        "phantoms, pen on glass": (
            (rgb, ~tissue & pen) for rgb, tissue, pen in painted(seeds, mpp=mpp, strokes=8)
        ),
    }


def painted(
    seeds: range, *, mpp: float, strokes: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Phantoms as those of training: picture, tissue, pen."""
    for seed in seeds:
        spec = sample_spec(
            seed,
            section=SECTIONS[seed % len(SECTIONS)],
            architecture=PATTERNS[seed % len(PATTERNS)],
            width_mm=2.0,
            height_mm=1.8,
        )
        pen = replace(spec.artefacts, pen_strokes=strokes, pen=PENS[seed % len(PENS)])
        phantom = paint_phantom(replace(spec, mpp=mpp / 2, artefacts=pen))
        labels = phantom.labels[::2, ::2]
        size = (labels.shape[1], labels.shape[0])
        marks = np.asarray(Image.fromarray(phantom.artefacts).resize(size, Image.NEAREST))
        rgb = np.asarray(Image.fromarray(phantom.image).resize(size, Image.BOX))
        yield rgb, labels != BACKGROUND, marks & PEN_BIT > 0


def real_sets(data: Path, read_file: ReadFile, *, shrink: float) -> dict[str, Pictures]:
    fields = {
        data / "skin_fields" / "44yr_4x.png": 2.21,
        data / "skin_fields" / "44yr_20x.png": 0.44,
    }
    return {
        "skin_fields, tissue": (
            piece
            for path, mpp in fields.items()
            if path.exists()
            for piece in pieces(read_file(path, mpp))
        ),
        "breast_spots, tissue": (
            piece
            for path in sorted((data / "breast_spots").glob("*.tiff"))
            for piece in list(pieces(read_file(path, None)))[::4]
        ),
        "skin_pas, tissue": (
            piece for rgb in stitched(data / "skin_pas", shrink) for piece in pieces(rgb)
        ),
        **{
            f"fat, {kind} (everything)": (
                (rgb, np.ones(rgb.shape[:2], bool))
                for path in sorted((data / "fat" / kind).glob("*.jpg"))
                for rgb in [read_file(path, 0.49)]
            )
            for kind in ("adipocyte", "empty")
        },
    }


def pieces(rgb: np.ndarray) -> Pictures:
    """Squares of a picture with what lies around them, and where in the square it is stained."""
    density = -np.log10(np.maximum(rgb, 1).min(axis=-1) / 245.0)
    coarse = [max(1, edge // 9) for edge in density.shape[::-1]]
    smooth = Image.fromarray(density.astype(np.float32)).resize(coarse, Image.BOX)
    stained = np.asarray(smooth.resize(density.shape[::-1], Image.NEAREST)) > LEAST_OD
    for top in range(0, rgb.shape[0], PIECE_PX):
        for left in range(0, rgb.shape[1], PIECE_PX):
            square = Box(top, left, top + PIECE_PX, left + PIECE_PX) & Box(0, 0, *density.shape)
            wide = square.expanded(CONTEXT_PX) & Box(0, 0, *density.shape)
            inside = np.zeros(wide.shape, bool)
            inside[square.within(wide).slices] = stained[square.slices]
            yield rgb[wide.slices], inside


def stitched(folder: Path, shrink: float) -> Iterator[np.ndarray]:
    """All tiles of each slide in their places on white, at the model's mpp."""
    tiles: dict[str, list[tuple[int, int, Path]]] = {}
    for path in sorted(folder.glob("*.jpg")):
        if place := PAS_TILE.fullmatch(path.stem):
            tiles.setdefault(place["slide"], []).append((int(place["y"]), int(place["x"]), path))
    for found in tiles.values():
        top, left = min(y for y, _, _ in found), min(x for _, x, _ in found)
        size = (
            max(x for _, x, _ in found) - left + PAS_TILE_PX,
            max(y for y, _, _ in found) - top + PAS_TILE_PX,
        )
        whole = Image.new("RGB", size, (255, 255, 255))
        for y, x, path in found:
            with Image.open(path) as tile:
                whole.paste(tile, (x - left, y - top))
        yield np.asarray(whole.resize([round(edge / shrink) for edge in size], Image.BOX))
