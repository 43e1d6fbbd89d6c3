"""What does a model say about itself?

1. A model is a folder with a ``model.toml``, its weights, and a ``CARD.md`` for people.
2. `read_card` parses the file into a frozen `ModelCard` and checks everything that can be
   checked without loading the network: fields, classes, numbers, checksums of weights and of
   the statistics of novelty.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError

NETWORKS = ("unet", "lite-unet")
"""Built-in networks whose weights are learnt."""
CARD_NAME = "model.toml"
_TEXT = ("id", "version", "licence", "training_data", "intended_use", "limits")
_LOADERS = ("builtin", "torch-export")
_FILES = ("weights", "novelty", "int8")
"""Tables that name a file and its checksum."""
_TEMPERATURES = (0.05, 20.0)
"""Beyond, probabilities would all but be 0 and 1, or all alike: a mistake, not a calibration."""


@dataclass(frozen=True, slots=True)
class NoveltyCard:
    """How a model tells tissue unlike what it was trained on.

    Parameters
    ----------
    file, sha256
        Statistics of the deepest plane's channels inside the model's folder, and their checksum.
    quantile, limit
        The score that this share of the held-out tissue stays below.
    """

    file: str
    sha256: str
    quantile: float
    limit: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model needs, what it gives, and what it is not for.

    Parameters
    ----------
    folder
        Where the card was read.
    id, version, licence
        Name, version and SPDX licence of the weights.
    mpp
        Pixel width the network expects, µm.
    stride_px, halo_px
        Coarsest stride inside the network and context it needs on each side, in pixels at
        ``mpp``.
    mean, std
        Per-channel normalisation of RGB in [0, 1]: the network sees ``(rgb - mean) / std``.
    architecture, parameters
        Name and arguments of a built-in architecture; empty for a ``torch-export`` archive.
    weights_file, weights_sha256
        Weights inside the folder; None for a model without learnt weights.
    training_data, intended_use, limits
        Plain words for the reader of a report.
    classes
        What it tells apart, in the order of its logits.
    never_called
        Classes that the model cannot call; their absence from a label map says nothing.
    temperature
        Logits are divided by it before the softmax (Guo et al. 2017, arXiv:1706.04599); 1 for a
        model that was not calibrated.
    false_tumour
        Share of held-out tissue without tumour that it calls tumour; 0 where that is not known.
    novelty
        How unlike its training data a place is; None for a model that cannot say.
    int8_file, int8_sha256
        The same network in eight bits, an ONNX file inside the folder, and its checksum; None for
        a model that was not quantised.
    """

    folder: Path
    id: str
    version: str
    licence: str
    loader: str
    mpp: float
    stride_px: int
    halo_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    architecture: str
    weights_file: str | None
    weights_sha256: str | None
    training_data: str
    intended_use: str
    limits: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = CLASS_NAMES
    never_called: tuple[str, ...] = ()
    temperature: float = 1.0
    false_tumour: float = 0.0
    novelty: NoveltyCard | None = None
    int8_file: str | None = None
    int8_sha256: str | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether nothing in the model was learnt from examples."""
        return self.weights_file is None

    @property
    def weights_path(self) -> Path | None:
        """Path of the weights, if the model has any."""
        return self.folder / self.weights_file if self.weights_file else None

    @property
    def int8_path(self) -> Path | None:
        """Path of the network in eight bits, if the model has that."""
        return self.folder / self.int8_file if self.int8_file else None

    @property
    def sha256(self) -> str:
        """Fingerprint of card and weights together: what provenance records.

        The card names the checksums of the other files, so these are covered too.
        """
        digest = hashlib.sha256((self.folder / CARD_NAME).read_bytes())
        digest.update((self.weights_sha256 or "").encode())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What a report says about the model."""
        return {
            "id": self.id,
            "version": self.version,
            "sha256": self.sha256,
            "licence": self.licence,
            "mpp": self.mpp,
            "is_baseline": self.is_baseline,
            "training_data": self.training_data,
            "intended_use": self.intended_use,
            "limits": self.limits,
            "never_called": list(self.never_called),
            "temperature": self.temperature,
            "false_tumour": self.false_tumour,
        }


def read_card(folder: Path, *, classes: Sequence[str] = CLASS_NAMES) -> ModelCard:
    """Read and check the card of the model in ``folder``, which must tell those classes apart.

    Raises
    ------
    ModelMismatchError
        If the card is missing, not TOML, incomplete or contradictory, or if the weights are
        missing or do not have the stated checksum.  All faults of a card are named at once.
    """
    path = folder / CARD_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise ModelMismatchError(
            f"model '{folder.name}' has no {CARD_NAME} in {folder}; give a model id under "
            "models/ or a folder that holds one"
        ) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ModelMismatchError(f"{path} is not valid TOML: {fault}") from fault
    faults = _faults(raw, classes)
    if faults:
        raise ModelMismatchError(f"{path}: " + "; ".join(faults))
    card = _card(folder, raw)
    if card.weights_file is not None:
        _check_file(card, card.weights_file, what="weights", sha256=card.weights_sha256)
    if card.novelty is not None:
        _check_file(card, card.novelty.file, what="novelty", sha256=card.novelty.sha256)
    if card.int8_file is not None:
        _check_file(card, card.int8_file, what="int8", sha256=card.int8_sha256)
    return card


def _faults(raw: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    faults = [f"'{name}' must be a text" for name in _TEXT if not isinstance(raw.get(name), str)]
    if not _is_number(raw.get("mpp")) or raw["mpp"] <= 0:
        faults.append("'mpp' must be a number above zero")
    faults += [
        f"'{name}' must be a whole number, {least} or more"
        for name, least in (("stride_px", 1), ("halo_px", 0))
        if not _is_whole(raw.get(name), least=least)
    ]
    if raw.get("classes") != list(classes):
        faults.append(f"'classes' must be {', '.join(classes)}, in this order")
    never_called = raw.get("never_called", [])
    if not isinstance(never_called, list) or any(name not in classes for name in never_called):
        faults.append(f"'never_called' must be a list of classes: {', '.join(classes)}")
    faults += _loader_faults(raw)
    faults += _normalisation_faults(_table(raw, "normalisation"))
    faults += [f for name in _FILES if name in raw for f in _file_faults(raw, name)]
    if "calibration" in raw:
        faults += _calibration_faults(_table(raw, "calibration"))
    if "novelty" in raw:
        faults += _novelty_faults(raw)
    if "int8" in raw:
        faults += _int8_faults(raw)
    return faults


def _loader_faults(raw: Mapping[str, Any]) -> list[str]:
    faults = []
    if raw.get("loader") not in _LOADERS:
        faults.append(f"'loader' must be one of {', '.join(_LOADERS)}")
    if raw.get("loader") == "torch-export" and "weights" not in raw:
        faults.append("a torch-export model needs a [weights] table")
    if raw.get("loader") == "builtin" and not isinstance(
        _table(raw, "architecture").get("name"), str
    ):
        faults.append("a builtin model needs an [architecture] table with a 'name'")
    return faults


def _normalisation_faults(normalisation: Mapping[str, Any]) -> list[str]:
    faults = [
        f"'normalisation.{name}' must be three finite numbers"
        for name in ("mean", "std")
        if not _is_triple(normalisation.get(name))
    ]
    if not faults and min(normalisation["std"]) <= 0:
        faults.append("'normalisation.std' must be above zero in each channel")
    return faults


def _file_faults(raw: Mapping[str, Any], table: str) -> list[str]:
    named = _table(raw, table)
    faults = [
        f"'{table}.{name}' must be a text"
        for name in ("file", "sha256")
        if not isinstance(named.get(name), str)
    ]
    if not faults and Path(named["file"]).name != named["file"]:
        faults.append(f"'{table}.file' must be a file name inside the model's folder")
    return faults


def _calibration_faults(calibration: Mapping[str, Any]) -> list[str]:
    (low, high), faults = _TEMPERATURES, []
    temperature: Any = calibration.get("temperature")
    if not _is_number(temperature) or not low <= temperature <= high:
        faults.append(f"'calibration.temperature' must be a number from {low:g} to {high:g}")
    mistaken: Any = calibration.get("false_tumour", 0.0)
    if not _is_number(mistaken) or not 0 <= mistaken < 1:
        faults.append("'calibration.false_tumour' must be a share from 0 to below 1")
    return faults


def _novelty_faults(raw: Mapping[str, Any]) -> list[str]:
    novelty, faults = _table(raw, "novelty"), []
    if raw.get("loader") != "builtin" or _table(raw, "architecture").get("name") not in NETWORKS:
        faults.append(f"[novelty] needs the deepest plane of a builtin {' or '.join(NETWORKS)}")
    if not _is_number(novelty.get("limit")) or novelty["limit"] <= 0:
        faults.append("'novelty.limit' must be a number above zero")
    if not _is_number(novelty.get("quantile")) or not 0.5 <= novelty["quantile"] < 1:
        faults.append("'novelty.quantile' must be a share from 0.5 to below 1")
    return faults


def _int8_faults(raw: Mapping[str, Any]) -> list[str]:
    """Eight bits of other weights would be another model."""
    if _table(raw, "int8").get("weights_sha256") == _table(raw, "weights").get("sha256"):
        return []
    return ["[int8] was made from other weights; make it again with 'wsi-pipeline quantise'"]


def _table(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = raw.get(name, {})
    return table if isinstance(table, dict) else {}


def _is_number(value: object) -> bool:
    """Whether a value is a number that a float can hold; NaN compares as false."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max


def _is_whole(value: object, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_triple(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _card(folder: Path, raw: Mapping[str, Any]) -> ModelCard:
    architecture = dict(_table(raw, "architecture"))
    weights, int8 = _table(raw, "weights"), _table(raw, "int8")
    normalisation = raw["normalisation"]
    return ModelCard(
        folder=folder,
        **{name: raw[name].strip() for name in _TEXT},
        loader=raw["loader"],
        mpp=float(raw["mpp"]),
        stride_px=raw["stride_px"],
        halo_px=raw["halo_px"],
        mean=_triple(normalisation["mean"]),
        std=_triple(normalisation["std"]),
        architecture=architecture.pop("name", ""),
        parameters=architecture,
        weights_file=weights.get("file"),
        weights_sha256=weights.get("sha256"),
        classes=tuple(raw["classes"]),
        never_called=tuple(raw.get("never_called", ())),
        temperature=float(_table(raw, "calibration").get("temperature", 1.0)),
        false_tumour=float(_table(raw, "calibration").get("false_tumour", 0.0)),
        novelty=_novelty(_table(raw, "novelty")),
        int8_file=int8.get("file"),
        int8_sha256=int8.get("sha256"),
    )


def _novelty(table: Mapping[str, Any]) -> NoveltyCard | None:
    if not table:
        return None
    quantile, limit = float(table["quantile"]), float(table["limit"])
    return NoveltyCard(table["file"], table["sha256"], quantile, limit)


def _check_file(card: ModelCard, name: str, *, what: str, sha256: str | None) -> None:
    """Compare a file with the checksum in the card before anything opens it."""
    path = card.folder / name
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise ModelMismatchError(
            f"model '{card.id}': {what} {path} cannot be read ({fault.strerror})"
        ) from fault
    if actual != sha256:
        raise ModelMismatchError(
            f"model '{card.id}': {path.name} has sha256 {actual}, the card says {sha256}; fetch "
            f"the {what} again or correct the card"
        )
