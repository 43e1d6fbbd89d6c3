"""Settings, or a model → where training starts: which network, with which weights?

A new decoder starts from random weights, its encoder from those that photographs have taught; the
latter come with the package, in ``models/efficientnet-lite0/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import TrainSettings
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.segment import ModelCard
from wsi_pipeline.segment.lite_unet import LiteUNet
from wsi_pipeline.segment.loading import load_trainable
from wsi_pipeline.segment.network import PixelNetwork
from wsi_pipeline.segment.unet import UNet
from wsi_pipeline.stages.resources import model_card, share_folder

_ENCODER = Path("models", "efficientnet-lite0", "encoder.safetensors")
_NORMALISATION = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where training starts.

    Parameters
    ----------
    settings
        Settings, with the size of the network as it is.
    network
        Network with its first weights.
    architecture
        Its name and the arguments it is built with.
    base
        Card of the model whose weights these are; None for random ones.
    """

    settings: TrainSettings
    network: PixelNetwork
    architecture: Mapping[str, Any]
    base: ModelCard | None = None


def new_start(settings: TrainSettings, *, classes: int = len(CLASS_NAMES)) -> Start:
    """Random weights, which the seed decides, and an encoder that photographs have taught."""
    torch.manual_seed(settings.seed)
    width = settings.width
    if settings.network == "lite-unet":
        lite = LiteUNet(width=width, classes=classes)
        lite.encoder.load_state_dict(load_file(share_folder() / _ENCODER))
        return Start(settings, lite, {"name": settings.network, "width": width})
    size = {name: getattr(settings, name) for name in ("width", "depth", "most", "fold")}
    return Start(settings, UNet(**size, classes=classes), {"name": settings.network, **size})


def start_from(model: str, settings: TrainSettings) -> Start:
    """Weights of a model that was learnt before.

    Parameters
    ----------
    model
        Model id or folder.
    settings
        Settings; the size of the network is that of the model, whatever they say.

    Raises
    ------
    ConfigError, ModelMismatchError
        If there is no such model, or it is none that can be trained further.
    """
    card = model_card(model)
    network = load_trainable(card)
    if (card.mean, card.std) != _NORMALISATION:
        raise ConfigError(
            f"model '{card.id}' normalises colours by {card.mean} and {card.std}; training goes "
            "on only from models that 'wsi-pipeline train' wrote"
        )
    if card.mpp != settings.mpp:
        raise ConfigError(
            f"model '{card.id}' works at {card.mpp:g} µm/px, 'train.mpp' is {settings.mpp:g}; add "
            f"--set train.mpp={card.mpp:g}"
        )
    settings = replace(settings, network=card.architecture, **card.parameters)
    return Start(settings, network, {"name": card.architecture, **card.parameters}, card)
