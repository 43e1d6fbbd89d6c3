"""Small slides whose every pixel is known, written once per run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from slide_writers import (
    MPP,
    painted_picture,
    write_generic,
    write_ome,
    write_strips,
    write_svs,
)

from wsi_pipeline.slide import Slide, open_slide


@pytest.fixture(scope="session")
def picture() -> NDArray[np.uint8]:
    """Level 0 of every file below."""
    return painted_picture()


@pytest.fixture(scope="session")
def slide_files(
    tmp_path_factory: pytest.TempPathFactory, picture: NDArray[np.uint8]
) -> dict[str, Path]:
    """One file of each format; lossless except for the two that say JPEG."""
    folder = tmp_path_factory.mktemp("slides")
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 90}}
    writers: dict[str, Callable[[Path], None]] = {
        "slide.svs": lambda path: write_svs(path, picture),
        "jpeg.svs": lambda path: write_svs(path, picture, **jpeg),
        "generic.tif": lambda path: write_generic(path, picture),
        "jpeg.tif": lambda path: write_generic(path, picture, **jpeg),
        "pyramid.ome.tif": lambda path: write_ome(path, picture),
        "strips.tif": lambda path: write_strips(path, picture),
        "field.png": lambda path: Image.fromarray(picture).save(path),
        "field.jpg": lambda path: Image.fromarray(picture).save(path, quality=90),
    }
    for name, write in writers.items():
        write(folder / name)
    return {name: folder / name for name in writers}


@pytest.fixture(scope="session")
def slides(slide_files: dict[str, Path]) -> Iterator[Callable[[str, str], Slide]]:
    """Open slides by file name and backend, each opened once."""
    opened: dict[tuple[str, str], Slide] = {}

    def opened_once(name: str, backend: str) -> Slide:
        if (name, backend) not in opened:
            opened[name, backend] = open_slide(slide_files[name], mpp=MPP, backend=backend)
        return opened[name, backend]

    yield opened_once
    for slide in opened.values():
        slide.close()
