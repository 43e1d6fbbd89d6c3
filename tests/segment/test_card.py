from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import wsi_pipeline.segment
from wsi_pipeline.classes import CLASS_NAMES
from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.nuclei import NUCLEAR_CLASSES
from wsi_pipeline.segment import read_card

SHIPPED = sorted((Path(__file__).parents[2] / "models").glob("*/model.toml"))


def write_card(
    folder: Path, *, drop: str = "", extra: str = "", change: tuple[str, str] = ("", "")
) -> Path:
    lines = [
        'id = "m"', 'version = "1"', 'licence = "BSD-3-Clause"', 'loader = "builtin"',
        f"classes = {list(CLASS_NAMES)!r}", "mpp = 2.0", "stride_px = 4", "halo_px = 23",
        'training_data = "none"', 'intended_use = "tests"', 'limits = "all"',
    ]  # fmt: skip
    kept = [line for line in lines if not drop or not line.startswith(f"{drop} ")]
    tables = (
        '[architecture]\nname = "unet"\nwidth = 4\ndepth = 2\n'
        "[normalisation]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n"
    )
    text = "\n".join(kept) + "\n" + tables + extra
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(text.replace(*change) if change[0] else text)
    return folder


def test_a_card_is_read(tmp_path: Path) -> None:
    card = read_card(write_card(tmp_path / "m"))
    assert (card.id, card.mpp, card.stride_px, card.halo_px) == ("m", 2.0, 4, 23)
    assert card.architecture == "unet"
    assert card.parameters == {"width": 4, "depth": 2}
    assert card.is_baseline


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_cards_are_complete(path: Path) -> None:
    of_nuclei = path.parent.name == "nuclei-1"
    card = read_card(path.parent, classes=NUCLEAR_CLASSES if of_nuclei else CLASS_NAMES)
    assert card.id == path.parent.name
    assert (path.parent / "CARD.md").is_file()
    assert tomllib.loads(path.read_text())["licence"]


@pytest.mark.parametrize(
    "field",
    ["id", "version", "licence", "mpp", "halo_px", "stride_px", "limits", "loader", "classes"],
)
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    with pytest.raises(ModelMismatchError, match=f"'{field}'"):
        read_card(write_card(tmp_path / "m", drop=field))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mpp = 2.0", "mpp = -1"), "'mpp' must be a number"),
        (("mpp = 2.0", 'mpp = "2"'), "'mpp' must be a number"),
        (("'epidermis', 'dermis'", "'dermis', 'epidermis'"), "in this order"),
        (('loader = "builtin"', 'loader = "pickle"'), "'loader' must be one of"),
        (("std = [0.25, 0.25, 0.25]", "std = [0.25]"), "'normalisation.std' must be three"),
        (("mpp = 2.0", 'never_called = ["bone"]\nmpp = 2.0'), "'never_called' must be a list"),
        (("mpp = 2.0", 'never_called = "tumour"\nmpp = 2.0'), "'never_called' must be a list"),
        (("mpp = 2.0", "never_called = 3\nmpp = 2.0"), "'never_called' must be a list"),
        (("mpp = 2.0", "never_called = [[1]]\nmpp = 2.0"), "'never_called' must be a list"),
        (("mpp = 2.0", "mpp = inf"), "'mpp' must be a number"),
        (("mpp = 2.0", "mpp = nan"), "'mpp' must be a number"),
        (("mpp = 2.0", f"mpp = 1{'0' * 400}"), "'mpp' must be a number"),
        (("stride_px = 4", "stride_px = 4.5"), "'stride_px' must be a whole number"),
        (("stride_px = 4", "stride_px = true"), "'stride_px' must be a whole number"),
        (("halo_px = 23", "halo_px = 23.0"), "'halo_px' must be a whole number"),
        (("halo_px = 23", "halo_px = -1"), "'halo_px' must be a whole number"),
        (("mean = [0.5, 0.5,", "mean = [0.5, nan,"), "'normalisation.mean' must be three finite"),
        (("mean = [0.5, 0.5,", "mean = [0.5, true,"), "'normalisation.mean' must be three finite"),
        (("std = [0.25,", "std = [inf,"), "'normalisation.std' must be three finite"),
        (("std = [0.25,", "std = [0.0,"), "'normalisation.std' must be above zero"),
        (("std = [0.25,", "std = [-0.25,"), "'normalisation.std' must be above zero"),
        (('name = "unet"', ""), "needs an \\[architecture\\] table"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ModelMismatchError, match=message):
        read_card(write_card(tmp_path / "m", change=change))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[calibration]\n", "'calibration.temperature' must be a number from 0.05 to 20"),
        (
            "[calibration]\ntemperature = 1\nfalse_tumour = 1\n",
            "'calibration.false_tumour' must be a share from 0 to below 1",
        ),
        ("[calibration]\ntemperature = 0\n", "'calibration.temperature'"),
        ("[calibration]\ntemperature = 21\n", "'calibration.temperature'"),
        ("[calibration]\ntemperature = nan\n", "'calibration.temperature'"),
        ("[calibration]\ntemperature = inf\n", "'calibration.temperature'"),
        ("[calibration]\ntemperature = true\n", "'calibration.temperature'"),
        ('[calibration]\ntemperature = "1"\n', "'calibration.temperature'"),
        ("[novelty]\n", "'novelty.file' must be a text"),
        ('[novelty]\nfile = "../n"\nsha256 = "0"\n', "'novelty.file' must be a file name"),
        ("[novelty]\nlimit = 0.0\n", "'novelty.limit' must be a number above zero"),
        ("[novelty]\nlimit = inf\n", "'novelty.limit' must be a number above zero"),
        ("[novelty]\nquantile = 1.0\n", "'novelty.quantile' must be a share"),
        ("[novelty]\nquantile = 0.4\n", "'novelty.quantile' must be a share"),
    ],
)
def test_a_wrong_calibration_or_novelty_is_named(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(ModelMismatchError, match=message):
        read_card(write_card(tmp_path / "m", extra=extra))


def test_only_a_unet_can_have_statistics_of_novelty(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="needs the deepest plane of a builtin unet"):
        read_card(
            write_card(
                tmp_path / "m", extra="[novelty]\n", change=('"unet"', '"colour-deconvolution"')
            )
        )


def test_a_card_without_calibration_has_a_temperature_of_one(tmp_path: Path) -> None:
    card = read_card(write_card(tmp_path / "m"))
    assert (card.temperature, card.false_tumour, card.novelty) == (1.0, 0.0, None)
    hot = read_card(
        write_card(tmp_path / "h", extra="[calibration]\ntemperature = 2\nfalse_tumour = 0.01\n")
    )
    assert (hot.temperature, hot.false_tumour) == (2.0, 0.01)
    assert hot.to_json()["temperature"] == 2.0


def test_the_fingerprint_covers_calibration_and_statistics(tmp_path: Path) -> None:
    """The statistics through their checksum, which the card states."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "n").write_bytes(b"1")
    table = '[novelty]\nfile = "n"\nsha256 = "{}"\nquantile = 0.99\nlimit = 1.5\n'
    prints = set()
    for content, heat in ((b"1", "1.5"), (b"1", "1.6"), (b"2", "1.5")):
        (tmp_path / "m" / "n").write_bytes(content)
        stated = table.format(hashlib.sha256(content).hexdigest())
        extra = f"[calibration]\ntemperature = {heat}\n{stated}"
        prints.add(read_card(write_card(tmp_path / "m", extra=extra)).sha256)
    assert len(prints) == 3


def test_reading_a_card_does_not_load_torch() -> None:
    code = "import sys, wsi_pipeline.segment.card; print('torch' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


def test_what_needs_torch_is_found_by_name() -> None:
    for name in wsi_pipeline.segment.__all__:
        assert callable(getattr(wsi_pipeline.segment, name))
    unknown = "segment_all"
    with pytest.raises(AttributeError, match="no attribute 'segment_all'"):
        getattr(wsi_pipeline.segment, unknown)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError) as fault:
        read_card(write_card(tmp_path / "m", drop="id", change=("mpp = 2.0", "mpp = 0")))
    assert "'id'" in str(fault.value)
    assert "'mpp'" in str(fault.value)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match=r"has no model.toml"):
        read_card(tmp_path)


def test_a_card_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("id = ")
    with pytest.raises(ModelMismatchError, match="not valid TOML"):
        read_card(tmp_path)


def weights(sha256: str, file: str = "w.safetensors") -> str:
    return f'[weights]\nfile = "{file}"\nsha256 = "{sha256}"\n'


def test_weights_must_have_the_stated_checksum(tmp_path: Path) -> None:
    folder = write_card(tmp_path / "m", extra=weights("0" * 64))
    (folder / "w.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelMismatchError, match="the card says 000"):
        read_card(folder)
    write_card(folder, extra=weights(hashlib.sha256(b"weights").hexdigest()))
    card = read_card(folder)
    assert card.weights_path == folder / "w.safetensors"
    assert not card.is_baseline


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="cannot be read"):
        read_card(write_card(tmp_path / "m", extra=weights("0" * 64)))


def test_weights_stay_inside_their_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="inside the model's folder"):
        read_card(write_card(tmp_path / "m", extra=weights("0" * 64, file="../w.safetensors")))


def test_the_fingerprint_follows_card_and_weights(tmp_path: Path) -> None:
    one = read_card(write_card(tmp_path / "a")).sha256
    two = read_card(write_card(tmp_path / "b", change=("halo_px = 23", "halo_px = 24"))).sha256
    assert one != two
