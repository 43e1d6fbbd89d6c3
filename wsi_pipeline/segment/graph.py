"""Which graphs may a ``torch.export`` archive hold?

To torch, a graph in JSON is not inert.  It evaluates the sizes (``expr_str``) as Python,
executes the guards, pastes the names of values into Python source that it compiles, imports
modules that a tree specification names, and calls whatever operation a node targets.  So

1. what inference does not need is left out: guards, metadata, calls of submodules, custom
   objects;
2. the signature must be one tensor in, one tensor out;
3. every operation must be on the list (`operations`), every name a plain identifier, every
   size an expression of numbers, symbols and known functions;
4. every weight must be raw bytes of its own.

What is refused is said.  Nothing here stops a network that is merely slow or large.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from wsi_pipeline.errors import ModelMismatchError
from wsi_pipeline.segment.operations import check_operation

_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"(?!__)[A-Za-z0-9_]+(\.(?!__)[A-Za-z0-9_]+)*")
_PAYLOAD = re.compile(r"(weight|tensor)_[0-9]+")
_NO_NUMBER = re.compile(r"-?Infinity|NaN")
_PATH_FIELDS = ("parameter_name", "buffer_name", "tensor_constant_name")
_REFUSED_FIELDS = ("as_graph", "as_operator", "as_custom_obj", "custom_obj", "token")

_LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
_ONE_TENSOR_IN: dict[str, Any] = {
    "type": "builtins.tuple",
    "context": "null",
    "children_spec": [
        {"type": "builtins.tuple", "context": "null", "children_spec": [_LEAF]},
        {"type": "builtins.dict", "context": "[]", "children_spec": []},
    ],
}

_MAX_EXPRESSION = 10_000
"""Characters; sizes of real networks stay in the hundreds."""
_EXPRESSION_TEXT = re.compile(r"[A-Za-z0-9_ ()+\-*/%<>=!,.']*")
_SYMBOL = re.compile(r"[a-z]{1,4}[0-9]+")
_SYMBOL_OR_DIGITS = re.compile(r"[a-z]{1,4}[0-9]+|[0-9.]+")
_FUNCTIONS = frozenset(
    [
        "Symbol",
        "Integer",
        "Float",
        "Rational",
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "And",
        "Or",
        "Not",
        "Eq",
        "Ne",
        "Le",
        "Lt",
        "Ge",
        "Gt",
        "Equality",
        "Unequality",
        "LessThan",
        "StrictLessThan",
        "GreaterThan",
        "StrictGreaterThan",
        "floor",
        "ceiling",
        "CeilDiv",
        "CeilToInt",
        "CleanDiv",
        "FloatPow",
        "FloatTrueDiv",
        "FloorDiv",
        "FloorToInt",
        "Identity",
        "IntTrueDiv",
        "Mod",
        "ModularIndexing",
        "PowByNatural",
        "PythonMod",
        "RoundToInt",
        "ToFloat",
        "TruncToFloat",
        "TruncToInt",
        "Where",
    ]
)
_INERT_SYNTAX = (
    ast.Expression, ast.Load, ast.BinOp, ast.UnaryOp, ast.Compare, ast.cmpop, ast.unaryop,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip


def plain_program(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of an exported program that holds a graph and nothing else.

    Parameters
    ----------
    raw
        Parsed ``models/model.json`` of an archive.

    Raises
    ------
    ModelMismatchError
        If the graph says more than a network needs to say.
    KeyError, TypeError, SyntaxError
        If it is no such program at all.
    """
    module, graph = raw["graph_module"], raw["graph_module"]["graph"]
    nodes = [{**node, "metadata": {}} for node in graph["nodes"]]
    checked = {
        "graph": {**graph, "nodes": nodes, "custom_obj_values": {}},
        "signature": module["signature"],
        "module_call_graph": [_whole_call(module["module_call_graph"][0]["signature"])],
    }
    others = {name: raw[name] for name in ("opset_version", "schema_version", "verifiers")}
    _check(checked)
    _check(others)
    _check(list(raw["range_constraints"].values()))
    return {
        "graph_module": {**checked, "metadata": {}, "treespec_namedtuple_fields": {}},
        "range_constraints": raw["range_constraints"],
        "guards_code": [],
        "torch_version": "",
        **others,
    }


def plain_payload(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of a table of weights or constants, all of them raw bytes.

    Parameters
    ----------
    raw
        Parsed ``…_weights_config.json`` or ``…_constants_config.json`` of an archive.

    Raises
    ------
    ModelMismatchError
        If an entry is pickled or is no tensor.
    """
    for name, entry in raw["config"].items():
        if entry["use_pickle"] is not False:
            raise ModelMismatchError(
                f"'{name[:80]}' is pickled; export the model with plain contiguous tensors"
            )
        if not _PAYLOAD.fullmatch(entry["path_name"]):
            raise ModelMismatchError(f"'{name[:80]}' is no tensor but '{entry['path_name'][:80]}'")
        _check_text(name, field="parameter_name")
        _check({key: value for key, value in entry.items() if key != "path_name"})
    return {"config": raw["config"]}


def _whole_call(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Call of the whole network: one tensor in, one tensor out."""
    specs = [json.loads(signature[name])[1] for name in ("in_spec", "out_spec")]
    if specs != [_ONE_TENSOR_IN, _LEAF]:
        raise ModelMismatchError("it does not take one tensor and return one tensor")
    return {"fqn": "", "signature": {**signature, "inputs": [], "outputs": []}}


def _check(value: object, *, field: str = "") -> None:
    """Walk over parsed JSON; ``field`` is the key that the value was found under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _REFUSED_FIELDS:
                raise ModelMismatchError(f"it holds '{name}', which no plain network needs")
            _check_text(name)
            _check(inner, field=name)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, field=field)
    elif isinstance(value, str):
        _check_text(value, field=field)


def _check_text(text: str, *, field: str = "") -> None:
    if field == "expr_str":
        check_expression(text)
    elif field == "target":
        check_operation(text)
    elif not _is_plain_text(text, field):
        raise ModelMismatchError(f"'{text[:80]}' is no plain name")


def _is_plain_text(text: str, field: str) -> bool:
    """Whether a text can do no harm where torch uses it."""
    if field in ("in_spec", "out_spec"):
        return True  # compared as a whole in `_whole_call`
    if field in ("as_string", "as_strings"):
        return text.isprintable()  # torch quotes these
    if field in ("as_float", "as_floats"):
        return _NO_NUMBER.fullmatch(text) is not None
    if field == "fqn" and not text:
        return True
    return (_PATH if field in _PATH_FIELDS else _NAME).fullmatch(text) is not None


def check_expression(text: str) -> None:
    """Refuse a size that is more than arithmetic: torch evaluates it as Python.

    Raises
    ------
    ModelMismatchError
        If it holds anything but numbers, symbols, operators and known functions.
    """
    inert = len(text) <= _MAX_EXPRESSION and _EXPRESSION_TEXT.fullmatch(text) is not None
    if not inert or not all(map(_is_inert, ast.walk(ast.parse(text, mode="eval")))):
        raise ModelMismatchError(f"the size '{text[:80]}' is no arithmetic expression")


def _is_inert(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in _FUNCTIONS
        case ast.Name(id=name):
            return name in _FUNCTIONS or _SYMBOL.fullmatch(name) is not None
        case ast.Constant(value=str() as text):
            return _SYMBOL_OR_DIGITS.fullmatch(text) is not None
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.keyword(arg=name):
            return name is not None
    return isinstance(node, _INERT_SYNTAX)
