"""Slides + annotations → fields to learn from: what did a person say that this is?

1. The annotations of a slide are drawn on the plane at the mpp of the model; what no annotation
   covers is not known.
2. Around each block of the plane that holds annotated pixels the slide is read; every annotated
   pixel belongs to one such field, the rest of a field is context without labels.
3. The last slides of the table are held out to judge by.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wsi_pipeline.annotate import NOT_ANNOTATED, Parsed, fill_regions, parse_regions
from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import Config
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.geometry import Box
from wsi_pipeline.slide import Slide, open_slide
from wsi_pipeline.stages.artefacts import file_sha256
from wsi_pipeline.stages.declared import AnnotatedSlide
from wsi_pipeline.stages.export import viewer_frame
from wsi_pipeline.stages.fields import Field, cut_window
from wsi_pipeline.train import window_px
from wsi_pipeline.train.loop import normalised

MOST_BYTES = 256 * 2**20
"""Unpacked size of an annotation file at most; a million corners take about 20 MiB."""
_BLOCK_PX = 1024


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedSlides:
    """What annotated slides teach.

    Parameters
    ----------
    fields
        Fields to learn from.
    counts : (F, C) int64
        Pixels of each class in each of them.
    held_out
        Fields of each slide to judge by.
    slides
        Number of slides, with those held out.
    fingerprint
        Checksum of slides, annotations and pixel sizes.
    left_out
        Number of annotations without a class, and of detections and the like.
    """

    fields: tuple[Field, ...]
    counts: NDArray[np.int64]
    held_out: tuple[tuple[Field, ...], ...]
    slides: int
    fingerprint: str
    left_out: tuple[int, int]


def read_annotated(table: Sequence[AnnotatedSlide], *, config: Config) -> AnnotatedSlides:
    """Read what is annotated on slides.

    Parameters
    ----------
    table
        Slides with their annotations; the last ones are held out.
    config
        Settings; ``train`` says at what mpp, and how many are held out.

    Raises
    ------
    ConfigError
        If a file of annotations cannot be used, or covers nothing of its slide.
    SlideReadError, MissingMppError, InvalidMppError
        If a slide cannot be read.
    """
    read, prints, left_out = [], [], np.zeros(2, np.int64)
    for entry in table:
        text = read_annotation_text(entry.annotations)
        with open_slide(entry.path, mpp=entry.mpp, backend=config.slide.backend) as slide:
            frame = viewer_frame(slide.info.to_json())
            parsed = parse_regions(text, name=str(entry.annotations), frame=frame)
            read.append(tuple(_fields(slide, parsed, entry=entry, config=config)))
        left_out += (parsed.unclassified, parsed.not_annotations)
        text_sha256 = hashlib.sha256(text.encode()).hexdigest()
        prints.append([file_sha256(entry.path), text_sha256, frame.mpp])
    held_out = _held_out(len(read), share=config.train.held_out_share)
    fields = tuple(field for slide in read[: len(read) - held_out] for field in slide)
    return AnnotatedSlides(
        fields,
        np.array([class_counts(field.labels) for field in fields]),
        tuple(read[len(read) - held_out :]),
        len(read),
        hashlib.sha256(json.dumps(prints).encode()).hexdigest(),
        (int(left_out[0]), int(left_out[1])),
    )


def read_annotation_text(path: Path) -> str:
    """Text of a GeoJSON file, plain or packed by gzip.

    Raises
    ------
    ConfigError
        If it cannot be read or is larger than `MOST_BYTES`.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            content = (gzip.GzipFile(fileobj=raw) if packed else raw).read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as fault:
        raise ConfigError(
            f"annotations {path} cannot be read ({fault}); export them from QuPath again"
        ) from fault
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"annotations {path} hold more than {MOST_BYTES >> 20} MiB; export the annotations "
            "alone, without detections and measurements"
        )
    return text


def draw_annotated(slides: AnnotatedSlides, rng: np.random.Generator, *, edge: int) -> Field:
    """Draw a window around a pixel of a class drawn first.

    Parameters
    ----------
    slides
        What is annotated.
    rng
        Source of chance.
    edge
        Edge of the window, px.
    """
    per_class = slides.counts.sum(axis=0)
    value = int(rng.choice(np.flatnonzero(per_class)))
    number = rng.choice(len(slides.fields), p=slides.counts[:, value] / per_class[value])
    return cut_window(slides.fields[int(number)], value, edge=edge, rng=rng)


def validate_annotated(
    slides: AnnotatedSlides, network: torch.nn.Module, *, stride_px: int
) -> float:
    """Mean Dice over the classes of each held-out slide, averaged over slides.

    Only annotated pixels count; classes are those annotated on a slide or found there.
    """
    return float(np.mean([_dice(fields, network, stride_px) for fields in slides.held_out]))


def class_counts(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each class; those of none are not counted."""
    return np.bincount(labels.ravel(), minlength=256)[: len(CLASS_NAMES)]


def _held_out(slides: int, *, share: float) -> int:
    """Number of slides held out; some are always left to learn from."""
    if slides < 2 or share == 0.0:
        return 0
    return min(slides - 1, max(1, round(share * slides)))


def _fields(
    slide: Slide, parsed: Parsed, *, entry: AnnotatedSlide, config: Config
) -> Iterator[Field]:
    """Fields of one slide, block by block."""
    settings = config.train
    grid = slide.grid.at_mpp(settings.mpp)
    labels = fill_regions(parsed.regions, grid=grid)
    if not class_counts(labels).any():
        raise ConfigError(
            f"annotations {entry.annotations} cover nothing of slide '{entry.path.name}' "
            f"({len(parsed.regions)} with a class, {parsed.unclassified} without); give them "
            "classes, and check that they were exported from this slide"
        )
    for block in _annotated_boxes(labels):
        # Room for a window around every annotated pixel, in whose middle half it lies.
        box = block.expanded(-(-3 * window_px(settings.tile_px) // 4))
        known = np.full(box.shape, NOT_ANNOTATED, np.uint8)
        known[block.within(box).slices] = labels[block.slices]
        yield Field(slide.read_region(box, settings.mpp), known)


def _annotated_boxes(labels: NDArray[np.uint8]) -> Iterator[Box]:
    """Boxes around the annotated pixels of each block of the plane."""
    plane = Box.of_shape((labels.shape[0], labels.shape[1]))
    for top in range(0, plane.bottom, _BLOCK_PX):
        for left in range(0, plane.right, _BLOCK_PX):
            block = Box(top, left, top + _BLOCK_PX, left + _BLOCK_PX) & plane
            rows, columns = np.nonzero(labels[block.slices] != NOT_ANNOTATED)
            if rows.size:
                yield Box(
                    top + int(rows.min()),
                    left + int(columns.min()),
                    top + int(rows.max()) + 1,
                    left + int(columns.max()) + 1,
                )


def _dice(fields: Sequence[Field], network: torch.nn.Module, stride_px: int) -> float:
    """Mean Dice over the classes of one slide."""
    both, total = np.zeros((2, len(CLASS_NAMES)), np.int64)
    for field in fields:
        rows, columns = (-(-count // stride_px) * stride_px for count in field.labels.shape)
        rgb = np.full((1, rows, columns, 3), 255, np.uint8)
        rgb[0, : field.labels.shape[0], : field.labels.shape[1]] = field.rgb
        found = _found(rgb, network)[: field.labels.shape[0], : field.labels.shape[1]]
        known = field.labels < len(CLASS_NAMES)
        both += class_counts(field.labels[known & (found == field.labels)])
        total += class_counts(field.labels) + class_counts(found[known])
    return float(np.mean(2.0 * both[total > 0] / total[total > 0]))


@torch.inference_mode()
def _found(rgb: NDArray[np.uint8], network: torch.nn.Module) -> NDArray[np.uint8]:
    device = next(network.parameters()).device
    logits = network(normalised(torch.from_numpy(rgb).to(device)))
    found: NDArray[np.uint8] = logits.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
    return found
