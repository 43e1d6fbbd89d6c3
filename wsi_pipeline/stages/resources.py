"""Where do the models and the workflow lie?

An installed package carries them inside itself; a checkout keeps them at its top level.
"""

from __future__ import annotations

from pathlib import Path

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.nuclei import NUCLEAR_CLASSES
from wsi_pipeline.segment.card import ModelCard, read_card

_PACKAGE = Path(__file__).parents[1]


def share_folder() -> Path:
    """Folder that holds ``Snakefile``, ``workflows/`` and ``models/``."""
    installed = _PACKAGE / "_share"
    return installed if installed.is_dir() else _PACKAGE.parent


def find_model(model: str) -> Path:
    """Folder of a model, given its id or the folder itself.

    Raises
    ------
    ConfigError
        If there is neither; the message lists the ids that come with the package.
    """
    shipped = share_folder() / "models"
    for folder in (shipped / model, Path(model)):
        if (folder / "model.toml").is_file():
            return folder.resolve()
    known = sorted(folder.parent.name for folder in shipped.glob("*/model.toml"))
    raise ConfigError(
        f"no model '{model}': not an id under models/ (there are: {', '.join(known)}) and not a "
        "folder that holds a model.toml"
    )


def model_card(model: str) -> ModelCard:
    """Card of a model, given its id or the folder itself; its weights are checked.

    Raises
    ------
    ConfigError, ModelMismatchError
        If there is no such model, or its card or weights are at fault.
    """
    return read_card(find_model(model))


def nuclei_card(model: str) -> ModelCard | None:
    """Card of a network of nuclei, as `model_card`; None for the word ``none``: no network."""
    return None if model == "none" else read_card(find_model(model), classes=NUCLEAR_CLASSES)


def is_shipped(card: ModelCard) -> bool:
    """Whether a model came with the package, so that its id is enough to find it."""
    return card.folder == (share_folder() / "models" / card.folder.name).resolve()
