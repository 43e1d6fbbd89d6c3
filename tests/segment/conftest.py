"""The same random U-Net, as built-in weights and as an exported archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from model_makers import UNET, export, random_unet, write_model
from safetensors.torch import save_file

from wsi_pipeline.segment import limit_threads


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than they bring here."""
    before = torch.get_num_threads()
    limit_threads(1)
    yield
    limit_threads(before)


@pytest.fixture(scope="session")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("builtin")
    save_file(random_unet().state_dict(), folder / "w.safetensors")
    return write_model(folder, loader="builtin", file="w.safetensors", architecture=UNET)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(folder / "w.pt2")
    return write_model(folder, loader="torch-export", file="w.pt2")
