"""Folders of weight files: what is recognised, what is chosen, what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from tiny_tools import TINY
from weights_tools import content, saved

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import WeightsError
from e4s_engine.faces.hog import PREDICTOR
from e4s_engine.networks import registry
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.rrdbnet.config import RRDBConfig
from e4s_engine.weights import folder

RRDB = RRDBConfig(features=8, growth=4, blocks=1)
VID2VID = FaceVid2VidConfig(
    points=5, depth=2, features=4, widest=16, mixed=4, first=(4, 4, 8), width=8, out=4, middle=1, hidden=4,
    bins=6, pose=4, blocks=(1, 1, 1, 1),
)  # fmt: skip


def official(config, key=None):
    """Return a network's tensors as its authors save them."""
    model = weights.random_model(config)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in model.tensors.items()}
    return {key: tensors} if key else tensors


def vid2vid():
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in official(VID2VID).items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = tensor
    return {**parts, "epoch": 188}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Make the authors' tree, under names that say nothing, with files that are not wanted."""
    for place in ("a", "b/weights", "c"):
        (tmp_path / place).mkdir(parents=True)
    saved(tmp_path / "a/one.pt", content("rgi"))
    saved(tmp_path / "a/two.pth", content("parser", key=None, prefix=""))
    saved(tmp_path / "b/weights/three.pth", official(RRDB, "params_ema"))
    saved(tmp_path / "c/four.pth.tar", vid2vid())
    saved(tmp_path / "c/style.pt", {"g_ema": {"x": torch.zeros(3)}})
    (tmp_path / "c/page.pth").write_text("<!DOCTYPE html><html>sign in</html>")
    (tmp_path / "c/notes.txt").write_text("nothing")
    (tmp_path / "c" / PREDICTOR).write_bytes(b"dlib")
    return tmp_path


def test_every_file_is_recognised_by_its_content(checkpoints: Path) -> None:
    found = {str(one.file.relative_to(checkpoints)): one for one in folder.survey(checkpoints)}
    kinds = {name: one.kind for name, one in found.items()}
    assert kinds == {
        "a/one.pt": "rgi", "a/two.pth": "parser", "b/weights/three.pth": "rrdbnet",
        "c/four.pth.tar": "facevid2vid", "c/style.pt": None, "c/page.pth": None,
    }  # fmt: skip
    assert "web page" in found["c/page.pth"].note
    assert not any(one.converted for one in found.values())
    assert folder.named(checkpoints, PREDICTOR) == checkpoints / "c" / PREDICTOR
    assert set(folder.chosen(found.values(), "weights")) == {"rgi", "parser", "rrdbnet", "facevid2vid"}


def test_a_converted_file_comes_before_its_original(checkpoints: Path) -> None:
    weights.convert(checkpoints / "b/weights/three.pth", checkpoints / "x.safetensors")
    assert folder.chosen(folder.survey(checkpoints), "weights")["rrdbnet"] == checkpoints / "x.safetensors"


def test_two_files_of_a_kind_are_refused(checkpoints: Path) -> None:
    saved(checkpoints / "a/another.pt", content("rgi"))
    with pytest.raises(WeightsError, match=r"^weights: .*another\.pt and .*one\.pt are both weights of kind"):
        folder.chosen(folder.survey(checkpoints), "weights")


def test_an_engine_takes_a_folder(tiny_weights: Path, tmp_path: Path) -> None:
    for name in ("model", "parser"):
        (tmp_path / f"{name} (1).safetensors").write_bytes(
            (tiny_weights / f"{name}.safetensors").read_bytes()
        )
    weights.save(weights.random_model(RRDB), tmp_path / "large.safetensors")
    with Engine(tmp_path, landmarks=None, device="cpu") as engine:
        assert engine.weights == tmp_path / "model (1).safetensors" and engine.parser == "network"
        assert engine.config == TINY
        assert engine._pipeline.driver.networks.has("rrdbnet")


def test_a_folder_without_the_model_is_refused(tmp_path: Path) -> None:
    weights.save(weights.random_model(RRDB), tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match=r"holds no weights of the E4S model .* kind rrdbnet; "):
        Engine(tmp_path, device="cpu")
    (tmp_path / "large.safetensors").unlink()
    with pytest.raises(WeightsError, match="it holds no others"):
        Engine(tmp_path, device="cpu")


def test_converted_files_beside_the_model_are_found(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "e4s.safetensors").write_bytes((tiny_weights / "model.safetensors").read_bytes())
    weights.save(weights.random_model(RRDB), tmp_path / "rrdbnet.safetensors")
    with Engine(tmp_path / "e4s.safetensors", landmarks=None, device="cpu") as engine:
        assert engine._pipeline.driver.networks.has("rrdbnet")
    (tmp_path / "gpen.safetensors").write_bytes((tmp_path / "e4s.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="expected 'gpen'"):
        Engine(tmp_path / "e4s.safetensors", landmarks=None, device="cpu")


def test_too_many_files(tmp_path: Path) -> None:
    for number in range(folder.MOST_FILES + 1):
        (tmp_path / f"{number}.pt").touch()
    with pytest.raises(WeightsError, match="more than 200 weight files"):
        folder.survey(tmp_path)


def test_deep_folders_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/c/d/e/f"
    deep.mkdir(parents=True)
    saved(deep / "x.pt", content("rgi"))
    saved(tmp_path / ".hidden.pt", content("rgi"))
    assert folder.survey(tmp_path) == []


def test_everything_published_says_where_it_comes_from() -> None:
    assert set(folder.known()) == set(registry.NETWORKS)
    for kind in folder.known():
        published = registry.get(kind).published
        assert published is not None and "https://" in published.source + published.licence


def test_identifying_a_checkpoint_logs_nothing_of_its_keys(checkpoints: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        folder.survey(checkpoints / "a")
    assert not caplog.records
