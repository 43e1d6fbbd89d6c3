"""A hostile archive is refused with a reason, and nothing in it goes off."""

from __future__ import annotations

import io
import json
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_makers import write_model
from torch import nn
from torch.nn import functional

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment import load_segmenter
from wsi_pipeline.segment.exported import load_exported
from wsi_pipeline.segment.graph import check_expression
from wsi_pipeline.segment.operations import check_operation

PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLE = "data/sample_inputs/model.pt"


class Bomb:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.trap), "w")


def torch_bomb(trap: Path) -> bytes:
    packed = io.BytesIO()
    torch.save({"x": Bomb(trap)}, packed)
    return packed.getvalue()


def members_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


def write_archive(path: Path, members: dict[str, bytes], *, top: str = "w/") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(top + name, content)
    return path


def replaced(content: bytes, old: str, new: str) -> bytes:
    assert old in content.decode()
    return content.decode().replace(old, new).encode()


def changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    parsed = json.loads(content)
    change(parsed)
    return json.dumps(parsed).encode()


def touch(trap: Path) -> str:
    """Expression that leaves a file behind wherever it is evaluated."""
    return f"__import__('pathlib').Path('{trap}').touch()"


Members = dict[str, bytes]
ATTACKS: dict[str, tuple[Callable[[Members, Path], Members], str]] = {}


def attack(reason: str) -> Callable[[Callable[[Members, Path], Members]], None]:
    def remember(build: Callable[[Members, Path], Members]) -> None:
        ATTACKS[build.__name__] = (build, reason)

    return remember


@attack(r"holds 'data/weights/model\.pt'")
def legacy_weights(members: Members, trap: Path) -> Members:
    return members | {"data/weights/model.pt": torch_bomb(trap)}


@attack(r"holds 'data/constants/model\.pt'")
def legacy_constants(members: Members, trap: Path) -> Members:
    return members | {"data/constants/model.pt": torch_bomb(trap)}


def constant(members: Members, path_name: str) -> dict[str, bytes]:
    """Table of constants that names a member; its shape is borrowed from a weight."""
    weight = next(iter(json.loads(members[WEIGHTS])["config"].values()))
    return {CONSTANTS: json.dumps({"config": {"c": weight | {"path_name": path_name}}}).encode()}


@attack(r"holds 'data/constants/opaque_obj_0'")
def opaque_object(members: Members, trap: Path) -> Members:
    pickled = pickle.dumps(Bomb(trap))
    whole_floats = pickled + b"." * (-len(pickled) % 4)
    bomb = {"data/constants/opaque_obj_0": whole_floats}
    return members | bomb | constant(members, "opaque_obj_0")


@attack(r"holds 'data/constants/custom_obj_0'")
def custom_object(members: Members, trap: Path) -> Members:
    bomb = {"data/constants/custom_obj_0": torch_bomb(trap)}
    return members | bomb | constant(members, "custom_obj_0")


@attack(r"'c' is no tensor but 'opaque_obj_0/\.\./tensor_0'")
def object_under_the_name_of_a_tensor(members: Members, trap: Path) -> Members:
    bomb = {"data/constants/tensor_0": pickle.dumps(Bomb(trap))}
    return members | bomb | constant(members, "opaque_obj_0/../tensor_0")


@attack(r"'down\.0\.0\.weight' is pickled")
def pickled_weights(members: Members, trap: Path) -> Members:
    def pickled(table: dict[str, Any]) -> None:
        table["config"]["down.0.0.weight"]["use_pickle"] = 1

    bomb = {"data/weights/weight_0": torch_bomb(trap)}
    return members | bomb | {WEIGHTS: changed(members[WEIGHTS], pickled)}


@attack(r"the size '__import__.* is no arithmetic")
def code_in_a_size(members: Members, trap: Path) -> Members:
    old, new = '"expr_str": "', f'"expr_str": "{touch(trap)} or '
    return members | {PROGRAM: replaced(members[PROGRAM], old, new)}


@attack(r"is no plain name")
def code_in_the_name_of_a_value(members: Members, trap: Path) -> Members:
    """Torch pastes the names of values into source code that it compiles."""
    name = f'"rgb.__dict__[{touch(trap)}]"'
    return members | {PROGRAM: replaced(members[PROGRAM], '"conv2d"', name)}


@attack(r"is no plain name")
def code_in_the_name_of_an_argument(members: Members, trap: Path) -> Members:
    def named(program: Any) -> None:
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        signature["forward_arg_names"] = [f"rgb={touch(trap)}"]

    return members | {PROGRAM: changed(members[PROGRAM], named)}


@attack(r"does not take one tensor")
def import_in_a_tree_specification(members: Members, trap: Path) -> Members:
    factory = {"default_factory_module": "this", "default_factory_name": "d", "dict_context": []}
    tree = {
        "type": "collections.defaultdict",
        "context": factory,
        "children_spec": [],
    }

    def grown(program: Any) -> None:
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        signature["out_spec"] = json.dumps([1, tree])

    return members | {PROGRAM: changed(members[PROGRAM], grown)}


def targeting(target: str) -> Callable[[Any], None]:
    def aimed(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    return aimed


@attack(r"operation 'torch\.ops\.aten\.from_file\.default'")
def operation_that_creates_a_file(members: Members, trap: Path) -> Members:
    values = {"filename": {"as_string": str(trap)}, "shared": {"as_bool": True}}
    values |= {"size": {"as_int": 4}}
    node = {
        "target": "torch.ops.aten.from_file.default",
        "inputs": [{"name": name, "arg": arg, "kind": 1} for name, arg in values.items()],
        "outputs": [{"as_tensor": {"name": "mapped"}}],
        "metadata": {},
        "name": "mapped",
        "is_hop_single_tensor_return": None,
    }

    def mapping(program: Any) -> None:
        graph = program["graph_module"]["graph"]
        graph["nodes"].insert(0, node)
        graph["tensor_values"]["mapped"] = graph["tensor_values"]["rgb"]

    return members | {PROGRAM: changed(members[PROGRAM], mapping)}


@attack(r"operation 'torch\.load'")
def python_function_as_operation(members: Members, trap: Path) -> Members:
    return members | {PROGRAM: changed(members[PROGRAM], targeting("torch.load"))}


@attack(r"holds 'as_operator'")
def operation_as_argument(members: Members, trap: Path) -> Members:
    old, new = '"as_none": true', '"as_operator": "torch.load"'
    return members | {PROGRAM: replaced(members[PROGRAM], old, new)}


@attack(r"holds 'as_graph'")
def graph_inside_the_graph(members: Members, trap: Path) -> Members:
    old, new = '"as_none": true', '"as_graph": {}'
    return members | {PROGRAM: replaced(members[PROGRAM], old, new)}


@attack(r"holds 'data/aotinductor/model/model\.so'")
def compiled_library(members: Members, trap: Path) -> Members:
    return members | {"data/aotinductor/model/model.so": b"\x7fELF"}


@attack(r"not in the pt2 format")
def another_format(members: Members, trap: Path) -> Members:
    return members | {"archive_format": b"pt3"}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_archive_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    build, reason = ATTACKS[name]
    trap = tmp_path / "exploded"
    archive = write_archive(tmp_path / "w.pt2", build(members_of(exported / "w.pt2"), trap))
    with pytest.raises(ModelMismatchError, match=reason):
        load_segmenter(write_model(tmp_path, loader="torch-export", file=archive.name))
    assert not trap.exists()
    assert "this" not in sys.modules


def test_the_layout_of_older_torch_is_refused(exported: Path, tmp_path: Path) -> None:
    trap = tmp_path / "exploded"
    members = {
        "version": b"8.8",
        "serialized_exported_program.json": members_of(exported / "w.pt2")[PROGRAM],
        "serialized_state_dict.pt": torch_bomb(trap),
        "serialized_constants.pt": b"",
        "serialized_example_inputs.pt": b"",
    }
    with pytest.raises(ModelMismatchError, match=r"holds 'serialized_exported_program\.json'"):
        load_exported(write_archive(tmp_path / "w.pt2", members, top=""))
    assert not trap.exists()


def test_code_that_inference_does_not_need_is_dropped(exported: Path, tmp_path: Path) -> None:
    """Guards and sample inputs belong to every archive, and are never looked at."""
    trap = tmp_path / "exploded"
    members = members_of(exported / "w.pt2")

    def guarded(program: Any) -> None:
        program["guards_code"] = [touch(trap)]

    members |= {PROGRAM: changed(members[PROGRAM], guarded), SAMPLE: torch_bomb(trap)}
    network = load_exported(write_archive(tmp_path / "w.pt2", members))
    assert network(torch.rand(1, 3, 32, 64)).shape == (1, 8, 32, 64)
    assert not trap.exists()


def test_a_member_may_not_come_twice(exported: Path, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "w.pt2", members_of(exported / "w.pt2"))
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr(f"w/{PROGRAM}", b"{}")
    with pytest.raises(ModelMismatchError, match="twice"):
        load_exported(archive)


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: {key: value for key, value in members.items() if key != name}


def with_program(change: Callable[[Any], None]) -> Callable[[Members], Members]:
    return lambda members: members | {PROGRAM: changed(members[PROGRAM], change)}


@pytest.mark.parametrize(
    "damage",
    [
        without(PROGRAM),
        without(WEIGHTS),
        without("archive_version"),
        without("data/weights/weight_3"),
        lambda members: members | {PROGRAM: b"[1]"},
        lambda members: members | {PROGRAM: b"{"},
        lambda members: members | {PROGRAM: b"\xff"},
        lambda members: members | {WEIGHTS: b'{"config": []}'},
        lambda members: members | {"data/weights/weight_3": b"123"},
        with_program(lambda program: program["graph_module"].clear()),
        with_program(lambda program: program["graph_module"]["graph"]["nodes"].pop()),
        with_program(lambda program: program["graph_module"]["graph"]["nodes"].pop(0)),
        with_program(lambda program: program["verifiers"].clear()),
        with_program(lambda program: program.update(schema_version={"major": 99, "minor": 0})),
        with_program(targeting("torch.ops.aten.relu.default")),
    ],
)
def test_a_broken_archive_is_refused(
    exported: Path, tmp_path: Path, damage: Callable[[Members], Members]
) -> None:
    archive = write_archive(tmp_path / "w.pt2", damage(members_of(exported / "w.pt2")))
    with pytest.raises(ModelMismatchError, match=r"is not a torch\.export archive"):
        load_exported(archive)


@pytest.mark.parametrize("keep", [0, 100, 20_000, -30])
def test_a_truncated_archive_is_refused(exported: Path, tmp_path: Path, keep: int) -> None:
    (tmp_path / "w.pt2").write_bytes((exported / "w.pt2").read_bytes()[:keep])
    with pytest.raises(ModelMismatchError, match=r"is not (a torch\.export archive|read)"):
        load_exported(tmp_path / "w.pt2")


class Attentive(nn.Module):
    """The parts that a U-Net lacks: attention, resizing to a size, padding, constants."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.GroupNorm(2, 8)
        self.attend = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        coarse = functional.silu(self.norm(self.patch(rgb)))
        batch, channels, rows, columns = coarse.shape
        words = self.attend(coarse.flatten(2).transpose(1, 2))
        plane = words.transpose(1, 2).view(batch, channels, rows, columns)
        plane = functional.pad(self.up(plane), (1, 1, 1, 1), mode="reflect")[..., 1:-1, 1:-1]
        scale = torch.tensor([1.0, 2.0]).repeat(4).view(1, 8, 1, 1)
        limit = torch.full((), float("-inf"))
        return torch.maximum(
            functional.interpolate(plane, size=rgb.shape[-2:], mode="bilinear") * scale, limit
        )


@pytest.mark.parametrize("decomposed", [False, True])
def test_other_genuine_networks_are_read(tmp_path: Path, decomposed: bool) -> None:
    torch.manual_seed(0)
    network = Attentive().eval()
    any_size = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter
        program = torch.export.export(
            network, (torch.rand(1, 3, 64, 96),), dynamic_shapes={"rgb": any_size}
        )
        torch.export.save(
            program.run_decompositions() if decomposed else program, tmp_path / "w.pt2"
        )
    tile = torch.rand(1, 3, 128, 48)
    torch.testing.assert_close(load_exported(tmp_path / "w.pt2")(tile), network(tile))


@pytest.mark.parametrize(
    "text",
    [
        "4*s30",
        "Mul(Integer(-2), Symbol('s18', positive=True, integer=True))",
        "FloorDiv(Add(Symbol('u0', integer=True), Integer(1)), Integer(2))",
        "Pow(Float('0.5', precision=53), Rational(1, 2))",
        "s0 // 2 + 1 <= 7",
    ],
)
def test_arithmetic_is_a_size(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "s0.__class__",
        "Symbol('__import__')",
        "Integer(1)(2)",
        "(lambda: 1)()",
        "[s0 for s0 in s1]",
        "Max(*s0)",
        "Max(**s0)",
        "s0 if s1 else s2",
        "Integer(open)",
        "Integer(\n1)",
        "s0 # comment",
        "f'{s0}'",
        "None",
        "1" * 20_000,
    ],
)
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ModelMismatchError, match="no arithmetic expression"):
        check_expression(text)


@given(st.text(alphabet="sO0(1)_ .,'*[]:={}\\\nabcdefimport", max_size=40))
def test_no_size_reaches_an_attribute_or_a_foreign_name(text: str) -> None:
    """Whatever passes evaluates in a world that holds nothing but symbols."""
    try:
        check_expression(text)
    except (ModelMismatchError, SyntaxError):
        return
    assert "__" not in text
    assert not set(text) & set("[]{}:\\\n")


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.conv2d.overloads",
        "torch.ops.aten.conv2d.__class__",
        "torch.ops.aten.conv2d",
        "torch.ops.load_library",
        "torch.ops.higher_order.cond",
        "torch.ops.prims.sin.default",
        "math.ceil",
        "_operator.attrgetter",
        "_operator.add.__call__",
        "#ns:op",
        "",
    ],
)
def test_an_operation_off_the_list_is_refused(target: str) -> None:
    with pytest.raises(ModelMismatchError, match="not among those"):
        check_operation(target)
