"""A shell completes verbs and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")


@pytest.fixture
def command(tmp_path: Path) -> dict[str, str]:
    """Environment in which ``wsi-pipeline`` is this checkout's, installed or not."""
    script = tmp_path / "bin" / "wsi-pipeline"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from wsi_pipeline.cli import main\nmain()\n"
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "wanted"), [(("ins",), {"inspect"}), (("tile", "--pic"), {"--picture"})]
)
def test_bash_completes(command: dict[str, str], words: tuple[str, ...], wanted: set[str]) -> None:
    """The script is loaded, and its function called as bash does when Tab is pressed."""
    shown = subprocess.run(
        ["wsi-pipeline", "--show-completion", "bash"],
        env={**command, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    typed = " ".join(f"'{word}'" for word in ("wsi-pipeline", *words))
    script = (
        f"{shown}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}\n"
        "name=$(complete -p wsi-pipeline | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        '$name wsi-pipeline; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script], env=command, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == wanted


def test_help_says_how_to_install_it(command: dict[str, str]) -> None:
    done = subprocess.run(
        ["wsi-pipeline", "--help"], env=command, capture_output=True, text=True, check=True
    )
    assert "--install-completion" in done.stdout
