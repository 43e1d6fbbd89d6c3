"""Recipes for containers: do they copy what an installation needs?"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "workflows" / "containers"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def copied(recipe: Path) -> set[str]:
    """Files and folders of the checkout that a recipe copies."""
    text = recipe.read_text()
    if recipe.suffix == ".def":
        return set(re.findall(r"^    (\S+) /src/\S+$", text, re.MULTILINE))
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    return {name for line in lines for name in line.split()[:-1]}


@pytest.mark.parametrize("name", ["Dockerfile", "wsi-pipeline.def"])
def test_a_recipe_copies_what_the_package_is_built_from(name: str) -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "pyproject.toml"}
    needed |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    found = copied(RECIPES / name)
    assert needed <= found
    assert all((ROOT / path).exists() for path in found)


@pytest.mark.parametrize("name", ["Dockerfile", "wsi-pipeline.def"])
def test_a_recipe_installs_extras_that_exist_on_a_supported_python(name: str) -> None:
    text = (RECIPES / name).read_text()
    extras = re.search(r"\[([a-z,]+)\]'", text)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert "python:3.12-slim" in text
    assert "Programming Language :: Python :: 3.12" in PROJECT["project"]["classifiers"]
