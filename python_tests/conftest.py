"""Shared fixtures: a tiny model, portraits of noise, and the published implementation's goldens."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from api_tools import LABELS, A
from cli_tools import write_photos
from hypothesis import settings
from tiny_tools import TINY, TINY_PARSER

from e4s_engine import cli, weights
from e4s_engine.engine import Engine
from e4s_engine.faces import auto
from e4s_engine.pipeline import aligned
from e4s_engine.testing.portraits import portrait

# Machines are noisy: no example fails for being slow. CI runs the same examples every time.
settings.register_profile("e4s", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("e4s")

_SHARED = Path(os.environ.get("E4S_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def noise_counts_as_a_face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let square pictures of noise count as aligned, which most tests pass.

    Tests in `faces/` keep the detectors; those marked `faces_wanted` keep everything as users have it.
    """
    if request.node.get_closest_marker("faces_wanted"):
        return
    monkeypatch.setattr(aligned, "check", lambda *_: None)
    if Path(request.path).parent.name != "faces":
        for detector in ("_dlib", "_yunet"):
            monkeypatch.setattr(auto, detector, lambda *_: None)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with model.safetensors and parser.safetensors of the tiny configs."""
    folder = tmp_path_factory.mktemp("weights")
    weights.save(weights.random_model(TINY, 0), folder / "model.safetensors")
    weights.save(weights.random_model(TINY_PARSER, 1), folder / "parser.safetensors")
    return folder


@pytest.fixture(scope="session")
def engine(tiny_weights: Path) -> Engine:
    return Engine(tiny_weights / "model.safetensors", landmarks=None, device="cpu")


@pytest.fixture(scope="session")
def face(engine):
    """Return the encoded picture `A` of `api_tools`."""
    return engine.encode(A, LABELS)


@pytest.fixture(scope="session")
def people() -> list[tuple[np.ndarray, np.ndarray]]:
    """Make three portraits, image uint8 [1024, 1024, 3] and labels uint8 [512, 512] each."""
    return [portrait(seed) for seed in range(3)]


@pytest.fixture(scope="session")
def faces_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for rendered faces, shared by the tests: each shard is drawn once."""
    return tmp_path_factory.mktemp("faces")


@pytest.fixture(scope="session")
def items(faces_cache):
    """Return eight rendered items of 32 x 32."""
    from e4s_engine.training import faces

    return faces.Faces(faces_cache, 32, 8)


@pytest.fixture
def source(items):
    """Return batches of `items`, as the recipes of `training_tools` take them."""
    from training_tools import POOL

    from e4s_engine.training import batches

    return batches.RenderedSwaps(items, POOL, flip=True)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Return the folder of published outputs; skip the test if there is none."""
    folder = _SHARED / "golden"
    if not folder.is_dir():
        pytest.skip("the published implementation's goldens are not at hand (set E4S_SHARED)")
    return folder


@pytest.fixture(scope="session")
def photos() -> Path:
    folder = _SHARED / "photos"
    if not folder.is_dir():
        pytest.skip("the test photos are not at hand (set E4S_SHARED)")
    return folder


@pytest.fixture(scope="session")
def recipe(golden: Path) -> ModuleType:
    """Load the goldens' weight recipe."""
    spec = importlib.util.spec_from_file_location("recipe", golden / "recipe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Enter a folder with the photos of `cli_tools`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    write_photos()
    return tmp_path


@pytest.fixture
def e4s(here, tiny_weights, capsys):
    """Return a function that runs a command with the tiny weights: exit code, stdout, stderr."""

    def run(*arguments, model=True):
        given = ["--weights", str(tiny_weights / "model.safetensors")] if model else []
        code = cli.main([*map(str, arguments), *given])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def fails(e4s):
    """Return a function that runs a command that fails: an exit code, and one line on stderr, its result.

    code: the exit code; None: 1 or 2, for tests that are about the line.
    """

    def run(*arguments, model=True, code=None):
        got, out, err = e4s(*arguments, model=model)
        assert got == code if code else got in (1, 2)
        assert err.startswith("e4s: error: ") and err.endswith("\n") and err.count("\n") == 1, err
        assert not out
        return err

    return run
