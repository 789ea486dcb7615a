"""The script that trains the bundled model: its stages run, at a tiny size."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e4s_engine.engine import Engine
from e4s_engine.testing.portraits import portrait

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "train_demo.sh"
STAGES = ["parser", "parser2", "parser3", "rgi", "more", "last", "found", "lit0", "lit"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "PRECISION": "fp32"}
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_it_is_valid_bash_and_says_how_it_is_used(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    for wrong in ([], ["--tiny"], [tmp_path / "new", "--small"], [tmp_path / "new", "--tiny", "more"]):
        done = run(*wrong)
        assert done.returncode == 2 and "usage: train_demo.sh FOLDER [--tiny]" in done.stderr
    assert not (tmp_path / "new").exists()


def test_the_model_card_names_it_and_its_stages() -> None:
    card = (ROOT / "e4s_engine" / "models" / "README.md").read_text()
    assert "benchmarks/train_demo.sh" in card
    assert [stage for stage in STAGES if f"| `{stage}` |" not in card] == []


@pytest.mark.sweep
def test_every_stage_runs(tmp_path: Path) -> None:
    done = run(tmp_path, "--tiny")
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / stage / "finished").is_file() for stage in STAGES)
    assert "lit0: stopped at step 2" in done.stdout
    with Engine(tmp_path / "demo.safetensors", device="cpu") as engine:
        assert (engine.config.size, engine.config.relight, engine.parser) == (32, 16, "network")
        assert engine.swap(portrait(0)[0], portrait(1)[0]).image.shape == (1024, 1024, 3)
    again = run(tmp_path, "--tiny")
    assert again.returncode == 0 and again.stdout.count("finished before") == len(STAGES)
