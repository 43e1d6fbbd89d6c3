"""Which library runs the network?

1. Torch does by default.  On a processor OpenVINO or ONNX Runtime may do it instead, where they
   are installed (`check_runtime`).
2. Either is given the same ONNX file in memory: a network of float32 is written anew from the
   weights the card names (`to_onnx`); one of eight bits is the file the card names, whose checksum
   was compared (`read_card`).  ONNX is a table of known operations and numbers; no code is in it.
3. What comes out is a module like the one that went in, from normalised RGB to logits and, if the
   model has them, scores of novelty, which torch computes from the deepest plane
   (`compile_network`).

Each tile is computed by one thread: tiles run side by side, and a sum that is split over threads
would depend on their number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi_pipeline.cores import available_cores
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment.card import NETWORKS, ModelCard
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.scored import ScoredNetwork

Plane = NDArray[np.float32]
Runner = Callable[[Plane], list[Plane]]
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}
"""Runtimes besides torch, and the extra of this package that installs each."""
_OPSET = 17
"""What both read, and what has every operation of the built-in networks."""


class CompiledNetwork(nn.Module):
    """A network that another library runs; in and out as in torch.

    Parameters
    ----------
    run
        Takes normalised RGB (1, 3, Y, X), gives logits and, for a network that scores, its
        deepest plane.
    score
        Turns that plane into scores of novelty, in float32 as ever; None for a network without.
    """

    def __init__(self, run: Runner, *, score: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self._run, self._score = run, score

    def forward(self, normal: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits, and scores if the network gives any."""
        logits, *deepest = map(torch.from_numpy, self._run(normal.contiguous().numpy()))
        return logits, None if self._score is None else self._score(deepest[0])


class _WithDeepest(nn.Module):
    """What of a network that scores is handed over: logits and deepest plane."""

    def __init__(self, network: PixelNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.with_deepest(rgb)


def check_runtime(runtime: str, *, device: str) -> None:
    """Refuse a runtime that is not there, or not for that device.

    Parameters
    ----------
    runtime
        ``torch``, ``openvino`` or ``onnxruntime``.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    ModelMismatchError
        Saying what to install or to set.
    """
    if runtime == "torch":
        return
    if device != "cpu":
        raise ModelMismatchError(
            f"segment.runtime '{runtime}' is for processors; set segment.device to cpu, or "
            "segment.runtime to torch"
        )
    for package in (runtime, "onnx"):
        try:
            version(package)
        except PackageNotFoundError as fault:
            raise ModelMismatchError(
                f"segment.runtime '{runtime}' needs '{package}', which is not installed here; "
                f"pip install 'wsi-pipeline[{EXTRAS[runtime]}]', or set segment.runtime to torch"
            ) from fault


def check_runs_elsewhere(card: ModelCard, *, runtime: str) -> None:
    """Refuse a model that only torch can run: all but the built-in networks.

    Raises
    ------
    ModelMismatchError
        If the runtime is not torch and the model is another.
    """
    if runtime != "torch" and not (card.loader == "builtin" and card.architecture in NETWORKS):
        raise ModelMismatchError(
            f"model '{card.id}' runs in torch only (other runtimes take {' and '.join(NETWORKS)}); "
            "set segment.runtime to torch"
        )


def describe_runtime(runtime: str) -> str:
    """Name and version of a runtime that is installed: what provenance records."""
    return f"{runtime} {version(runtime)}"


def compile_network(
    network: nn.Module, *, card: ModelCard, precision: str, runtime: str
) -> CompiledNetwork:
    """Hand a network to another runtime.

    Parameters
    ----------
    network
        Ready to run in float32 on a processor.
    card
        Of the model.
    precision
        ``float32``, ``bfloat16`` or ``int8``; of the last only the scores are the network's own.
    runtime
        ``openvino`` or ``onnxruntime``.

    Raises
    ------
    ModelMismatchError
        If the runtime cannot read or run the network.
    """
    path = card.int8_path if precision == "int8" else None
    try:
        content = path.read_bytes() if path else to_onnx(network)
        if runtime == "openvino":
            run = _openvino(content, half=precision == "bfloat16", streams=available_cores())
        else:
            run = _onnxruntime(content)
    except ModelMismatchError:
        raise
    except (RuntimeError, ValueError, TypeError) as fault:
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        raise ModelMismatchError(
            f"model '{card.id}' does not run on {runtime}: {lines[-1]}; set segment.runtime to "
            "torch"
        ) from fault
    return CompiledNetwork(run, score=network.score if isinstance(network, ScoredNetwork) else None)


def to_onnx(network: nn.Module) -> bytes:
    """ONNX file of a network from RGB (1, 3, Y, X) to logits.

    Parameters
    ----------
    network
        In evaluation mode, on a processor, of float32.  Of one that scores novelty, the deepest
        plane comes out as well, and not the scores.
    """
    scores = isinstance(network, ScoredNetwork)
    whole = _WithDeepest(network.network) if isinstance(network, ScoredNetwork) else network
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # The exporter that torch prefers needs one more package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            whole.eval(),
            (torch.zeros(1, 3, 64, 96),),
            path,
            input_names=["rgb"],
            output_names=["logits", "deepest"] if scores else ["logits"],
            dynamic_axes={"rgb": {2: "rows", 3: "columns"}},
            opset_version=_OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def _openvino(content: bytes, *, half: bool, streams: int) -> Runner:
    """Run by OpenVINO: so many tiles at a time, one thread each."""
    openvino = import_module("openvino")
    core, wish = openvino.Core(), "bf16" if half else "f32"
    options = {
        "INFERENCE_PRECISION_HINT": wish,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        # Processes that pin their threads all pin them to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(content), "CPU", options)
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    if used != getattr(openvino.Type, wish):
        raise ModelMismatchError(
            "OpenVINO does not compute in bfloat16 on this processor; set segment.precision to "
            "auto or float32"
        )
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(streams):
        free.put(compiled.create_infer_request())

    def run(normal: Plane) -> list[Plane]:
        request = free.get()
        try:
            # Of the two ways to infer, this one keeps to the streams' own threads.
            request.start_async([normal], share_inputs=True)
            request.wait()
            # Copied, for the next tile is written to the same memory.
            return [tensor.data.copy() for tensor in request.output_tensors]
        finally:
            free.put(request)

    return run


def _onnxruntime(content: bytes) -> Runner:
    """Run by ONNX Runtime, in the thread that asks."""
    onnxruntime = import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # which is for inputs of one size
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(normal: Plane) -> list[Plane]:
        planes: list[Plane] = session.run(None, {name: normal})
        return planes

    return run
