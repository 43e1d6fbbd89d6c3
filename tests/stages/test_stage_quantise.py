"""A model in eight bits is the same model, and says how nearly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import load_segmenter, read_card
from wsi_pipeline.stages.quantise import Sampling, quantise_model
from wsi_pipeline.stages.resources import find_model


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The shipped model, its ranges learnt from very little."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("quantised") / "model"
    sampling = Sampling(phantoms=2, tiles=4, held_out=1)
    return out, quantise_model(find_model("skin-tumour-5"), out=out, workers=1, sampling=sampling)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_runs_and_its_card_says_how_nearly_it_agrees(
    quantised: tuple[Path, float], runtime: str
) -> None:
    pytest.importorskip(runtime)
    out, agreement = quantised
    assert agreement > 0.9
    card = (out / "model.toml").read_text()
    assert f"agreement = {agreement:.4f}" in card
    assert card.count("[int8]") == 1
    assert (out / "int8.onnx").stat().st_size < (out / "weights.safetensors").stat().st_size / 2
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    whole = load_segmenter(out, device="cpu", precision="float32").infer(rgb)
    eight = load_segmenter(out, device="cpu", precision="int8", runtime=runtime).infer(rgb)
    difference = np.abs(whole.probabilities - eight.probabilities)
    assert 0 < difference.mean() < 0.1
    assert eight.novelty is not None


def test_another_file_or_other_weights_are_refused(
    quantised: tuple[Path, float], tmp_path: Path
) -> None:
    model = shutil.copytree(quantised[0], tmp_path / "model")
    (model / "int8.onnx").write_bytes(b"another")
    with pytest.raises(ModelMismatchError, match=r"int8\.onnx has sha256"):
        read_card(model)
    card = (model / "model.toml").read_text()
    of = read_card(quantised[0]).weights_sha256
    (model / "model.toml").write_text(card.replace(f'weights_sha256 = "{of}"', ""))
    with pytest.raises(ModelMismatchError, match="made from other weights"):
        read_card(model)


def test_a_model_without_weights_cannot_be_quantised(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelMismatchError, match="has no weights"):
        quantise_model(find_model("colour-baseline"), out=tmp_path / "m", workers=1)
