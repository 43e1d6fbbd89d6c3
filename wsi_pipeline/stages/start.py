"""Settings, or a model → where training starts: which network, with which weights?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.config import TrainSettings
from wsi_pipeline.errors import ConfigError
from wsi_pipeline.segment import ModelCard
from wsi_pipeline.segment.loading import load_unet
from wsi_pipeline.segment.unet import UNet
from wsi_pipeline.stages.resources import model_card

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
        Arguments it is built with.
    base
        Card of the model whose weights these are; None for random ones.
    """

    settings: TrainSettings
    network: UNet
    architecture: Mapping[str, Any]
    base: ModelCard | None = None


def new_start(settings: TrainSettings) -> Start:
    """Random weights, which the seed decides."""
    names = ("width", "depth", "most", "fold")
    architecture = {name: getattr(settings, name) for name in names}
    torch.manual_seed(settings.seed)
    return Start(settings, UNet(**architecture, classes=len(CLASS_NAMES)), architecture)


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
    network = load_unet(card)
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
    return Start(replace(settings, **card.parameters), network, card.parameters, card)
