"""A painted slide of any size: one phantom, copied over glass until a share of it is tissue."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from wsi_pipeline.phantom import paint_phantom, sample_spec
from wsi_pipeline.phantom.tiff import write_slide_tiff

MPP = 0.5
SEED = 900_700


def painted_slide(
    folder: Path, *, edge_px: int, phantom_mm: tuple[float, float], tissue: float
) -> Path:
    """Slide file of ``edge_px``² px at 0.5 µm/px; painted once per folder."""
    width_mm, height_mm = phantom_mm
    path = folder / f"painted-{edge_px}-{width_mm:g}x{height_mm:g}-{tissue:g}.tiff"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        image, share = _phantom(folder, width_mm=width_mm, height_mm=height_mm)
        canvas = _copies(image, edge_px=edge_px, spread=math.sqrt(max(1.0, share / tissue)))
        write_slide_tiff(path, canvas, mpp=MPP, jpeg_quality=85)
    return path


def _phantom(folder: Path, *, width_mm: float, height_mm: float) -> tuple[np.ndarray, float]:
    """Picture of the phantom and its share of tissue; minutes to paint, so it is kept."""
    path = folder / f"phantom-{width_mm:g}x{height_mm:g}.npz"
    if not path.exists():
        spec = sample_spec(SEED, grade=2, width_mm=width_mm, height_mm=height_mm)
        assert spec.mpp == MPP
        phantom = paint_phantom(spec)
        np.savez(path, image=phantom.image, share=np.mean(phantom.labels > 0))
    with np.load(path) as kept:
        return kept["image"], float(kept["share"])


def _copies(image: np.ndarray, *, edge_px: int, spread: float) -> np.ndarray:
    """Copies on glass, ``spread`` times their own size apart; every second one mirrored."""
    glass = np.median(np.concatenate((image[0], image[-1])), axis=0).astype(np.uint8)
    canvas = np.broadcast_to(glass, (edge_px, edge_px, 3)).copy()
    down, right = (int(count * spread) for count in image.shape[:2])
    for row, top in enumerate(range(0, edge_px, down)):
        for column, left in enumerate(range(0, edge_px, right)):
            copy = image[:, ::-1] if (row + column) % 2 else image
            part = canvas[top : top + image.shape[0], left : left + image.shape[1]]
            part[:] = copy[: part.shape[0], : part.shape[1]]
    return canvas
