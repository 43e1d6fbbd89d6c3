"""Another library must run the same network."""

from __future__ import annotations

import threading
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from test_precision import MODELS, random_tile

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import Segmenter, load_segmenter, read_card, settle_precision
from wsi_pipeline.segment.runtime import check_runtime

RUNTIMES = ("openvino", "onnxruntime")
has_bfloat16 = torch.cpu._is_avx512_bf16_supported()


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("onnx")
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def segmenter(runtime: str) -> Segmenter:
    """The shipped model, which also scores novelty."""
    return load_segmenter(
        MODELS / "skin-tumour-5", device="cpu", precision="float32", runtime=runtime
    )


def test_it_says_what_torch_says(segmenter: Segmenter) -> None:
    own = load_segmenter(MODELS / "skin-tumour-5", device="cpu").infer(random_tile())
    found = segmenter.infer(random_tile())
    np.testing.assert_allclose(found.probabilities, own.probabilities, atol=1e-4)
    assert own.novelty is not None
    assert found.novelty is not None
    np.testing.assert_allclose(found.novelty, own.novelty, rtol=1e-3)


def test_a_crop_of_the_result_is_the_result_of_the_crop(segmenter: Segmenter) -> None:
    halo = segmenter.card.halo_px
    tile = random_tile(2 * halo + 96, 2 * halo + 128)
    whole, part = segmenter(tile), segmenter(tile[32:, :-32])
    inner = slice(halo, halo + 64), slice(halo, halo + 96)
    np.testing.assert_allclose(
        part[:, *inner], whole[:, halo + 32 : halo + 96, inner[1]], atol=1e-5
    )


def test_only_what_is_kept_is_given(segmenter: Segmenter) -> None:
    keep = slice(8, 40), slice(20, 100)
    kept = segmenter.infer(random_tile(), keep=keep).probabilities
    np.testing.assert_allclose(kept, segmenter(random_tile())[:, *keep], atol=1e-6)


def test_threads_do_not_mix_their_tiles(segmenter: Segmenter) -> None:
    tiles = [np.roll(random_tile(), 16 * shift, axis=1) for shift in range(4)]
    expected, found = [segmenter(tile) for tile in tiles], {}
    threads = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, segmenter(tiles[n])), daemon=True)
        for n in range(len(tiles))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    for number, probabilities in enumerate(expected):
        np.testing.assert_array_equal(found[number], probabilities)


def test_a_network_without_novelty_runs_too(builtin: Path, runtime: str) -> None:
    own = load_segmenter(builtin, device="cpu")
    other = load_segmenter(builtin, device="cpu", runtime=runtime)
    result = other.infer(random_tile())
    assert result.novelty is None
    np.testing.assert_allclose(result.probabilities, own(random_tile()), atol=1e-4)


def test_what_only_torch_runs_is_refused(runtime: str) -> None:
    with pytest.raises(ModelMismatchError, match="'colour-baseline' runs in torch only"):
        load_segmenter(MODELS / "colour-baseline", device="cpu", runtime=runtime)


@pytest.mark.skipif(not has_bfloat16, reason="this processor does not multiply bfloat16")
def test_bfloat16_of_openvino_calls_nearly_the_same() -> None:
    pytest.importorskip("openvino")
    single, half = (
        load_segmenter(
            MODELS / "skin-tumour-5", device="cpu", precision=precision, runtime="openvino"
        ).infer(random_tile())
        for precision in ("float32", "bfloat16")
    )
    assert np.abs(single.probabilities - half.probabilities).mean() < 0.01
    np.testing.assert_allclose(half.novelty, single.novelty, rtol=0.05)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("wsi_pipeline.segment.runtime.version", absent)
    with pytest.raises(ModelMismatchError, match=r"pip install 'wsi-pipeline\[onnx\]'"):
        check_runtime("onnxruntime", device="cpu")


def test_a_runtime_for_processors_refuses_a_gpu() -> None:
    with pytest.raises(ModelMismatchError, match="is for processors"):
        check_runtime("openvino", device="cuda")


def test_what_a_runtime_does_not_compute_in_is_refused(builtin: Path, runtime: str) -> None:
    card = read_card(builtin)
    with pytest.raises(ModelMismatchError, match=r"has no \[int8\]"):
        settle_precision("int8", card=card, device="cpu", runtime=runtime)
    if runtime == "onnxruntime":
        assert settle_precision("auto", card=card, device="cpu", runtime=runtime) == "float32"
        with pytest.raises(ModelMismatchError, match="ONNX Runtime computes in float32 only"):
            settle_precision("bfloat16", card=card, device="cpu", runtime=runtime)


def test_torch_does_not_compute_in_int8(builtin: Path) -> None:
    with pytest.raises(ModelMismatchError, match="torch does not compute in int8"):
        load_segmenter(builtin, device="cpu", precision="int8")
