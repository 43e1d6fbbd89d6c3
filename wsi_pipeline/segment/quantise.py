"""How is a network written in eight bits?

1. Tiles are run through the network of float32; of every plane between two operations the least and
   the greatest number are noted.
2. Each plane gets a scale and an offset from its two, so that a byte holds any of its numbers; each
   output channel of the weights gets a scale of its own.  Where that costs most, convolutions stay
   in float32.
3. The ONNX file that comes out holds weights as bytes, and says where to round; any runtime that
   knows ONNX reads it.

What is rounded depends on the place alone, so that the receptive field stays what it was.

References
----------
Jacob et al. 2018, doi:10.1109/CVPR.2018.00286; Krishnamoorthi 2018, arXiv:1806.08342 (per channel).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi_pipeline.segment.card import ModelCard


def quantise(content: bytes, tiles: Iterable[NDArray[np.uint8]], *, card: ModelCard) -> bytes:
    """ONNX file of a network in eight bits.

    Parameters
    ----------
    content
        Of `to_onnx`, float32.
    tiles
        RGB (Y, X, 3) uint8, multiples of the network's stride; as varied as what it will see.
    card
        Of the model, for its normalisation.
    """
    # Onnx Runtime's own tool and onnx are extras, and slow to import.
    import onnx  # noqa: PLC0415
    from onnxruntime.quantization import (  # noqa: PLC0415
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Tiles(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, planes: Iterator[NDArray[np.float32]]) -> None:
            self._planes = planes

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            plane = next(self._planes, None)
            return None if plane is None else {"rgb": plane}

    network = onnx.load_from_string(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            network,
            path,
            Tiles(normalised(rgb, card=card) for rgb in tiles),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_sensitive(network.graph.node),
        )
        return path.read_bytes()


def _sensitive(nodes: Sequence[Any]) -> list[str]:
    """Convolutions that stay in float32: the first, the last, and those channel by channel.

    The last have few weights and ranges that differ most; left as they are, fewer labels
    differ, and scores of novelty by half as much.
    """
    layers = [node for node in nodes if node.op_type == "Conv"]
    grouped = [
        node for node in layers if any(a.name == "group" and a.i > 1 for a in node.attribute)
    ]
    return [node.name for node in (layers[0], layers[-1], *grouped)]


def normalised(rgb: NDArray[np.uint8], *, card: ModelCard) -> NDArray[np.float32]:
    """What the network sees of a tile, (1, 3, Y, X)."""
    mean, std = (np.array(values, np.float32) for values in (card.mean, card.std))
    scaled = (rgb.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
