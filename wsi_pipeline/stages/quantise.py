"""A model → the same model with its network in eight bits as well.

1. Phantoms are painted and varied as for training; windows of them say which numbers occur.
   No real image has a say.
2. The network is written in eight bits (`wsi_pipeline.segment.quantise`) and named in the card.
3. On held-out phantoms its labels are compared with those of float32; the share that agrees stands
   in the card.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.classes import BACKGROUND
from wsi_pipeline.config import TrainSettings
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import Segmenter, load_segmenter, read_card
from wsi_pipeline.segment.card import CARD_NAME, ModelCard
from wsi_pipeline.segment.loading import load_float32
from wsi_pipeline.segment.quantise import quantise
from wsi_pipeline.segment.runtime import check_runtime, to_onnx
from wsi_pipeline.stages.artefacts import whole, write_text
from wsi_pipeline.stages.calibrate import amid_glass
from wsi_pipeline.stages.fields import VALIDATION_SEED, Field, paint_fields
from wsi_pipeline.stages.train import draw_batch

_FILE = "int8.onnx"
_TABLE = """
[int8]
file = "{file}"
sha256 = "{sha256}"
weights_sha256 = "{weights_sha256}"
agreement = {agreement:.4f}
"""


@dataclass(frozen=True, slots=True)
class Sampling:
    """From how much it is learnt which numbers occur, and how much judges the result."""

    phantoms: int = 24
    tiles: int = 60
    held_out: int = 6


def quantise_model(
    folder: Path, *, out: Path, workers: int, sampling: Sampling | None = None
) -> float:
    """Write a model folder that has its network in eight bits as well.

    Parameters
    ----------
    folder
        Model.
    out
        Folder to write, which may be the same; phantoms lie in ``<out>.phantoms``.
    workers
        Processes that paint.
    sampling
        How many phantoms and tiles.

    Returns
    -------
    float
        Share of the tissue of held-out phantoms that is called as in float32.

    Raises
    ------
    ModelMismatchError
        If the model has no weights, or cannot be run, or an extra is not installed.
    """
    check_runtime("onnxruntime", device="cpu")
    sampling, card = sampling or Sampling(), read_card(folder)
    if card.weights_sha256 is None:
        raise ModelMismatchError(f"model '{card.id}' has no weights that could be quantised")
    work = out.with_name(out.name + ".phantoms")
    fields = paint_fields(range(sampling.phantoms), mpp=card.mpp, folder=work, workers=workers)
    content = quantise(
        to_onnx(load_float32(card)), _windows(fields, sampling.tiles, card=card), card=card
    )
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + sampling.held_out)
    held_out = paint_fields(seeds, mpp=card.mpp, folder=work, workers=workers)
    _write(card, out, content, agreement=0.0)
    agreement = measure_agreement(
        load_segmenter(folder, device="cpu", precision="float32"),
        load_segmenter(out, device="cpu", precision="int8", runtime="onnxruntime"),
        held_out,
    )
    _write(card, out, content, agreement=agreement)
    return agreement


def measure_agreement(one: Segmenter, other: Segmenter, fields: list[Field]) -> float:
    """Share of the pixels, tissue to the first, that two segmenters call alike."""
    alike, tissue = 0, 0
    for field in fields:
        labels, others = (_labels(segmenter, field) for segmenter in (one, other))
        mask = labels != BACKGROUND
        alike += int((labels == others)[mask].sum())
        tissue += int(mask.sum())
    if tissue == 0:
        raise ModelMismatchError(f"model '{one.card.id}' finds no tissue in any phantom")
    return alike / tissue


def _labels(segmenter: Segmenter, field: Field) -> NDArray[np.intp]:
    """Most probable classes of a field amid glass."""
    stride, margin = segmenter.card.stride_px, segmenter.card.halo_px
    rows, columns = (count // stride * stride for count in field.labels.shape)
    rgb, _ = amid_glass((field.rgb[:rows, :columns], field.labels[:rows, :columns]), margin)
    keep = slice(margin, margin + rows), slice(margin, margin + columns)
    labels: NDArray[np.intp] = segmenter.infer(rgb, keep=keep).probabilities.argmax(axis=0)
    return labels


def _windows(fields: list[Field], count: int, *, card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    """Windows as a network is trained on."""
    stride = card.stride_px
    edge_px = -(-TrainSettings().tile_px // stride) * stride
    settings = replace(TrainSettings(), batch=1, tile_px=edge_px)
    for step in range(count):
        yield np.asarray(draw_batch(fields, step, settings=settings)[0])[0]


def _write(card: ModelCard, out: Path, content: bytes, *, agreement: float) -> None:
    """Files of the model, the new one, and a card that names it."""
    novelty = card.novelty.file if card.novelty else None
    if out.resolve() != card.folder.resolve():
        out.mkdir(parents=True, exist_ok=True)
        for name in (card.weights_file, novelty):
            if name is not None:
                shutil.copyfile(card.folder / name, out / name)
    with whole(out / _FILE) as unfinished:
        unfinished.write_bytes(content)
    text = (card.folder / CARD_NAME).read_text(encoding="utf-8")
    table = _TABLE.format(
        file=_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        weights_sha256=card.weights_sha256,
        agreement=agreement,
    )
    write_text(out / CARD_NAME, re.sub(r"\n\[int8\]\n[^\[]*", "", text).rstrip("\n") + "\n" + table)
