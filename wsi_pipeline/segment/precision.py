"""In which numbers does a network compute?

1. `choose_precision` settles ``auto``: bfloat16 where the processor or the GPU multiplies it in
   hardware, else float32.  A network that is not built in always computes in float32; int8 is
   never chosen unasked, and needs a file that was made for it (`quantise`).
2. `prepare_network` folds what can be folded and, on a processor, turns the weights into that
   precision.

Eight bits of mantissa are enough for the planes of a network that calls classes, whose inputs have
eight bits themselves; half as many bytes are half as much memory to move.  What is summed over
channels is summed in float32 inside each operation.  The last step (temperature, softmax) and the
score of novelty are always float32.

References
----------
Kalamkar et al. 2019, arXiv:1905.12322 (bfloat16).
"""

from __future__ import annotations

import torch
from torch import nn

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment.card import NETWORKS, ModelCard
from wsi_pipeline.segment.folding import fold_batch_norm, fold_enlarging, fuse_activations
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.scored import ScoredNetwork


def choose_precision(wish: str, *, card: ModelCard, device: str, runtime: str = "torch") -> str:
    """Settle in which numbers a model computes on a device.

    Parameters
    ----------
    wish
        ``auto``, ``float32``, ``bfloat16`` or ``int8``.
    card
        Of the model.
    device
        ``cpu`` or ``cuda``.
    runtime
        ``torch``, ``openvino`` or ``onnxruntime``.

    Returns
    -------
    str
        ``float32``, ``bfloat16`` or ``int8``.

    Raises
    ------
    ModelMismatchError
        If the model, or the runtime, does not compute in what was asked for.
    """
    if wish == "int8":
        _check_int8(card, runtime=runtime)
        return wish
    is_network = card.loader == "builtin" and card.architecture in NETWORKS
    if wish == "bfloat16" and not (is_network and runtime != "onnxruntime"):
        who = f"model '{card.id}'" if not is_network else "ONNX Runtime"
        raise ModelMismatchError(
            f"{who} computes in float32 only; set segment.precision to auto or float32"
        )
    if wish == "auto" and is_network and runtime != "onnxruntime":
        return "bfloat16" if _multiplies_bfloat16(device) else "float32"
    return "float32" if wish == "auto" else wish


def _check_int8(card: ModelCard, *, runtime: str) -> None:
    if runtime == "torch":
        raise ModelMismatchError(
            "torch does not compute in int8 here; set segment.runtime to openvino or onnxruntime, "
            "or segment.precision to auto"
        )
    if card.int8_file is None:
        raise ModelMismatchError(
            f"model '{card.id}' has no [int8]; make it with 'wsi-pipeline quantise', or set "
            "segment.precision to auto"
        )


def prepare_network(
    network: nn.Module, *, precision: str, device: str, handed_over: bool = False
) -> nn.Module:
    """Make a loaded network ready to run; built-in ones are folded and cast.

    Parameters
    ----------
    network
        In evaluation mode; it is changed.
    precision
        See `choose_precision`.
    device
        A GPU keeps float32 weights and casts as it goes (autocast).
    handed_over
        Whether another runtime will run it, which folds in ways of its own.
    """
    inner = network.network if isinstance(network, ScoredNetwork) else network
    if isinstance(inner, PixelNetwork):
        fold_batch_norm(inner)
        if device == "cpu" and not handed_over:
            fold_enlarging(inner.up, small_channels=inner.small_channels)
            fuse_activations(inner, half=precision == "bfloat16")
            inner.save_memory()
        if precision == "bfloat16" and device == "cpu":
            # Weights of bfloat16 were 1.3 times as fast as autocast on a processor.
            inner.to(torch.bfloat16)
    return network


def _multiplies_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32: without instructions for it, it is slower."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch.backends.cpu.get_cpu_capability() says AVX512 with and without them.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
