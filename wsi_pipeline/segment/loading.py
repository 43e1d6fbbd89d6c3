"""How does a folder become a function from RGB to probabilities?

1. The card is read and the weights' checksum compared (`card`).
2. A built-in architecture takes its weights from ``safetensors``; a bring-your-own network
   is a ``torch.export`` archive (`exported`).  Neither way runs code from the file.
3. Stride and halo of a built-in architecture are compared with what the card says.
4. A trial tile shows that output and card agree.

The result is a plain callable, so the rest of the pipeline knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.geometry import Box
from wsi_pipeline.segment.card import NETWORKS, ModelCard, read_card
from wsi_pipeline.segment.colour import ColourDeconvolution
from wsi_pipeline.segment.decoder import cut
from wsi_pipeline.segment.lite_unet import LiteUNet
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.precision import choose_precision, prepare_network
from wsi_pipeline.segment.runtime import check_runs_elsewhere, check_runtime, compile_network
from wsi_pipeline.segment.scored import ScoredNetwork, load_scored
from wsi_pipeline.segment.unet import UNet

Keep = tuple[slice, slice]
EVERYTHING: Keep = (slice(None), slice(None))
_STRIP_PX = 64
"""Rows whose probabilities are made at a time."""
_NETWORK_FAULTS = (
    RuntimeError, ValueError, TypeError, LookupError, AttributeError, NameError, AssertionError,
)  # fmt: skip
"""What a network raises that was not made for an RGB tile, or that returns no tensor."""


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """What a model says of one tile.

    Parameters
    ----------
    probabilities : (C, Y, X) float32
        They sum to one at each pixel.
    novelty : (Y / stride, X / stride) float32
        How unlike the training data each position of the deepest plane is; 1 is the median of
        held-out phantom tissue.  Of the pixels kept, and those that share a stride of the card with
        them.  None from a model that cannot tell.
    """

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None


class Segmenter:
    """A network that is ready to run.

    Parameters
    ----------
    card
        What the network needs.
    network
        Module from normalised RGB (1, 3, Y, X) to logits (1, C, Y, X); a `ScoredNetwork` also
        scores how unlike its training data they are.
    device
        ``cpu`` or ``cuda``.
    precision
        Numbers the network computes in, ``float32``, ``bfloat16`` or ``int8``; on a processor those
        of its weights.
    runtime
        Library that runs it, see `compile_network`.
    """

    def __init__(
        self,
        card: ModelCard,
        network: nn.Module,
        *,
        device: str,
        precision: str = "float32",
        runtime: str = "torch",
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self.precision = precision
        self.runtime = runtime
        self._network = network.to(self.device)
        mean, std = (torch.tensor(values, device=self.device) for values in (card.mean, card.std))
        self._scale, self._offset = 1.0 / (255.0 * std), -mean / std

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities (C, Y, X) of one tile, see `infer`."""
        return self.infer(rgb).probabilities

    @torch.inference_mode()
    def infer(self, rgb: NDArray[np.uint8], *, keep: Keep = EVERYTHING) -> TileResult:
        """Class probabilities of one tile, and how unlike the training data it is, in one pass.

        Parameters
        ----------
        rgb : (Y, X, 3) uint8
            Tile at the card's mpp; Y and X are multiples of its stride.
        keep
            Part whose probabilities are wanted; a built-in network leaves out what these do not
            need, which for a tile of 1024 px is almost half of its decoder.

        Returns
        -------
        TileResult
            All numbers are finite.

        Raises
        ------
        ModelMismatchError
            If any logit of what is kept is NaN, or infinite such that there is no probability; the
            whole tile is refused, for a label could not be told from a fault.
        """
        rows, columns = (range(edge)[part] for edge, part in zip(rgb.shape[:2], keep, strict=True))
        kept = Box(rows.start, columns.start, rows.stop, columns.stop)
        squares = kept.coarsened(self.card.stride_px).refined(self.card.stride_px)
        logits, scores = self._run(self.normalised(rgb), keep=squares)
        probabilities = self._probabilities(cut(logits, kept.within(squares))[0])
        # Each lies in [0, 1] or is NaN, so that their sum tells (0.1 ms for 512 × 512 px).
        if not probabilities.sum().isfinite():
            raise ModelMismatchError(
                f"model '{self.card.id}' gives no finite probabilities for a tile of "
                f"{rgb.shape[0]} × {rgb.shape[1]} px; check its weights and 'normalisation'"
            )
        return TileResult(
            probabilities.cpu().numpy(), None if scores is None else scores[0].float().cpu().numpy()
        )

    def normalised(self, rgb: NDArray[np.uint8]) -> Tensor:
        """What the network sees, (1, 3, Y, X) float32.

        RGB as it lies is "channels last", with which convolutions are 1.6 times faster on CPUs.
        """
        tile = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)[None]
        return tile.to(torch.float32).mul_(self._scale).add_(self._offset).permute(0, 3, 1, 2)

    def _probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated, (C, Y, X) float32; by strips, which stay in the cache."""
        probabilities = torch.empty(logits.shape, dtype=torch.float32, device=logits.device)
        for top in range(0, logits.shape[1], _STRIP_PX):
            strip = slice(top, top + _STRIP_PX)
            # Divided by the temperature, which changes no order among classes.
            scaled = logits[:, strip].float() / self.card.temperature
            probabilities[:, strip] = scaled.softmax(dim=0)
        return probabilities

    def _run(self, normal: Tensor, *, keep: Box) -> tuple[Tensor, Tensor | None]:
        """Logits, and scores if the network gives any, of the pixels in ``keep``."""
        half = self.precision == "bfloat16" and self.runtime == "torch"
        if half and self.device.type == "cpu":
            normal = normal.to(torch.bfloat16)
        with torch.autocast("cuda", torch.bfloat16, enabled=half and self.device.type == "cuda"):
            if isinstance(self._network, ScoredNetwork):
                return self._network(normal, keep=keep)  # type: ignore[no-any-return]
            if isinstance(self._network, PixelNetwork):
                return self._network.with_deepest(normal, keep=keep)[0], None
            answer = self._network(normal)
        logits, scores = answer if isinstance(answer, tuple) else (answer, None)
        if logits.shape[2:] != normal.shape[2:]:
            raise ModelMismatchError(
                f"model '{self.card.id}' returns {tuple(logits.shape)} for a tile of "
                f"{normal.shape[2]} × {normal.shape[3]} px; a model must give one logit per class "
                "and pixel"
            )
        if scores is not None:
            scores = cut(scores[None], keep.coarsened(normal.shape[-1] // scores.shape[-1]))[0]
        return cut(logits, keep), scores


def load_segmenter(
    folder: Path,
    *,
    classes: Sequence[str] = CLASS_NAMES,
    device: str = "auto",
    precision: str = "float32",
    runtime: str = "torch",
) -> Segmenter:
    """Load the model in ``folder``.

    Parameters
    ----------
    folder
        Holds ``model.toml`` and the weights it names.
    classes
        What the model must tell apart.
    device
        ``auto`` (a GPU where torch sees one), ``cpu`` or ``cuda``.
    precision
        ``auto`` (what is fastest there, of the next two), ``float32``, ``bfloat16`` or ``int8``.
    runtime
        ``torch``, or on a processor ``openvino`` or ``onnxruntime``.

    Raises
    ------
    ModelMismatchError
        If card, weights and output do not agree, or device, runtime or precision are not there.
    """
    card = read_card(folder, classes=classes)
    device = settle_device(device)
    precision = settle_precision(precision, card=card, device=device, runtime=runtime)
    if runtime == "torch":
        network = prepare_network(_network(card), precision=precision, device=device)
    else:
        own = load_float32(card)
        network = compile_network(own, card=card, precision=precision, runtime=runtime)
    segmenter = Segmenter(card, network, device=device, precision=precision, runtime=runtime)
    check_output(segmenter)
    return segmenter


def load_float32(card: ModelCard) -> nn.Module:
    """Load a model's network, folded, to be handed to another runtime.

    Raises
    ------
    ModelMismatchError
        If card and weights do not agree.
    """
    return prepare_network(_network(card), precision="float32", device="cpu", handed_over=True)


def settle_precision(wish: str, *, card: ModelCard, device: str, runtime: str = "torch") -> str:
    """Say in which numbers a model would compute here: ``float32``, ``bfloat16`` or ``int8``.

    Parameters
    ----------
    wish, device, runtime
        As for `load_segmenter`.
    card
        Of the model, which is not loaded.

    Raises
    ------
    ModelMismatchError
        If the device or the runtime is not there, or the model does not compute in that precision.
    """
    device = settle_device(device)
    check_runtime(runtime, device=device)
    check_runs_elsewhere(card, runtime=runtime)
    return choose_precision(wish, card=card, device=device, runtime=runtime)


def load_trainable(card: ModelCard) -> PixelNetwork:
    """Load a built-in network with its weights, to train it further.

    Raises
    ------
    ModelMismatchError
        If the model is of another kind, or card and weights do not agree.
    """
    network = _builtin(card) if card.loader == "builtin" and card.weights_path else None
    if isinstance(network, ScoredNetwork):
        network = network.network
    if not isinstance(network, PixelNetwork):
        raise ModelMismatchError(
            f"model '{card.id}' cannot be trained further: it is no built-in network with weights; "
            "start from one that 'wsi-pipeline train' wrote"
        )
    return network


def limit_threads(threads: int) -> None:
    """Let each torch operation use at most so many threads (the tiles run side by side)."""
    torch.set_num_threads(threads)


def _network(card: ModelCard) -> nn.Module:
    if card.loader == "torch-export" and card.weights_path is not None:
        # Torch's reader of archives takes a second to import, which other models need not pay.
        from wsi_pipeline.segment.exported import load_exported  # noqa: PLC0415

        return load_exported(card.weights_path)
    return _builtin(card)


def settle_device(wish: str) -> str:
    """Settle where a model runs: ``cpu`` or ``cuda``.

    Raises
    ------
    ModelMismatchError
        If a GPU was asked for and there is none.
    """
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wish == "cuda" and not torch.cuda.is_available():
        raise ModelMismatchError("device 'cuda' was asked for, but torch sees no GPU; use 'auto'")
    return wish


def _architecture(card: ModelCard) -> ColourDeconvolution | PixelNetwork:
    try:
        if card.architecture == "colour-deconvolution":
            return ColourDeconvolution(**card.parameters)
        if card.architecture == "unet":
            return UNet(**card.parameters, classes=len(card.classes))
        if card.architecture == "lite-unet":
            return LiteUNet(**card.parameters, classes=len(card.classes))
    except (TypeError, ValueError, RuntimeError) as fault:
        raise ModelMismatchError(
            f"model '{card.id}': [architecture] does not fit '{card.architecture}': {fault}"
        ) from fault
    raise ModelMismatchError(
        f"model '{card.id}': no built-in architecture '{card.architecture}' "
        f"(there are: colour-deconvolution, {', '.join(NETWORKS)})"
    )


def _builtin(card: ModelCard) -> nn.Module:
    network = _architecture(card)
    _check_reach(card, network)
    if card.weights_path is None and any(True for _ in network.parameters()):
        raise ModelMismatchError(
            f"model '{card.id}': the card has no [weights], and '{card.architecture}' without "
            "learnt weights would call classes at random"
        )
    if card.weights_path is not None:
        try:
            weights = load_file(card.weights_path)
            network.load_state_dict(weights)
        except (RuntimeError, SafetensorError) as fault:
            raise ModelMismatchError(
                f"model '{card.id}': {card.weights_path.name} does not fit the architecture "
                f"'{card.architecture}': {fault}"
            ) from fault
        # An activation that is joined to its convolution takes NaN for nothing.
        if not all(values.isfinite().all() for values in weights.values()):
            raise ModelMismatchError(
                f"model '{card.id}': {card.weights_path.name} holds numbers that are not finite; "
                "train it again, or take an earlier checkpoint"
            )
    whole = _with_novelty(card, network)
    # Module.to takes a memory format, but torch's own stubs leave that overload out.
    return whole.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _with_novelty(card: ModelCard, network: nn.Module) -> nn.Module:
    """Network that also scores, if its card has statistics for that."""
    if card.novelty is None or not isinstance(network, PixelNetwork):
        return network
    return load_scored(network, card.folder / card.novelty.file, model=card.id)


def _check_reach(card: ModelCard, network: ColourDeconvolution | PixelNetwork) -> None:
    """Compare stride and halo in the card with those of the architecture."""
    if card.stride_px % network.stride_px:
        raise ModelMismatchError(
            f"model '{card.id}': stride_px is {card.stride_px}, but '{card.architecture}' works in "
            f"steps of {network.stride_px} px; set stride_px = {network.stride_px}"
        )
    if card.halo_px < network.receptive_px:
        raise ModelMismatchError(
            f"model '{card.id}': halo_px is {card.halo_px}, but an output pixel of "
            f"'{card.architecture}' sees {network.receptive_px} px to each side; set "
            f"halo_px = {network.receptive_px} or more, or tiles would show seams"
        )


def check_output(segmenter: Segmenter) -> None:
    """Run one tile of noise and look at what comes back.

    Raises
    ------
    ModelMismatchError
        If the network does not run, or gives no probability for each class and pixel.
    """
    card = segmenter.card
    edge = card.stride_px * max(1, 64 // card.stride_px)
    noise = np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8)
    try:
        probabilities = segmenter(noise)
    except ModelMismatchError:
        raise
    except _NETWORK_FAULTS as fault:
        raise ModelMismatchError(
            f"model '{card.id}' does not run on a tile of {edge} × {edge} px: {fault}"
        ) from fault
    expected = (len(card.classes), edge, edge)
    if probabilities.shape != expected:
        raise ModelMismatchError(
            f"model '{card.id}' returns {probabilities.shape} for a tile of {edge} × {edge} px, "
            f"not {expected}; a model must give one logit per class and pixel"
        )
    if not np.allclose(probabilities.sum(axis=0), 1.0, atol=1e-3):
        raise ModelMismatchError(f"model '{card.id}': probabilities of a pixel do not sum to one")
