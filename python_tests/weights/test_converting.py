"""Converting, and which file is read: paths, outputs, parsers beside a model."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import safetensors
import safetensors.numpy
import torch
from weights_tools import MODELS, NAME, content, rejected, saved

from e4s_engine import weights
from e4s_engine.errors import ArgumentError, OutputError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig, infer_parser
from e4s_engine.networks.rgi.config import ModelConfig, infer_model


def test_the_wrong_kind(tmp_path):
    weights.save(MODELS["parser"], tmp_path / "p.safetensors")
    rejected(tmp_path / "p.safetensors", "kind 'parser'", "expected 'rgi'")
    rejected(saved(tmp_path / "p.pth", content("parser", None, "")), "kind 'parser'", "expected 'rgi'")
    weights.save(MODELS["rgi"], tmp_path / "m.safetensors")
    rejected(tmp_path / "m.safetensors", "kind 'rgi'", "expected 'parser'", kind="parser")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.pt", ["no such file"]),
        ("folder.pt", ["is a folder"]),
        ("empty.pt", ["0 bytes"]),
        ("empty.safetensors", ["0 bytes"]),
        ("model.onnx", ["must end in", ".safetensors"]),
        ("a\0b.pt", []),
        ("x" * 5000, ["path"]),
    ],
)
def test_no_weight_file(tmp_path, name, words):
    (tmp_path / "folder.pt").mkdir()
    for made in ("empty.pt", "empty.safetensors", "model.onnx"):
        (tmp_path / made).touch()
    rejected(tmp_path / name, *words)


@pytest.mark.parametrize("path", [None, 5, b"model.pt", [], io.BytesIO()])
def test_not_even_a_path(path):
    rejected(path, "expected a path")


def test_convert_checks_its_arguments(tmp_path):
    official = saved(tmp_path / "a.pt", content())
    weights.save(MODELS["rgi"], tmp_path / "a.safetensors")
    for arguments, error, words in [
        ((tmp_path / "absent.pt", tmp_path / "o.safetensors"), WeightsError, "official_pt: no such file"),
        ((tmp_path / "a.safetensors", tmp_path / "o.safetensors"), WeightsError, "official_pt: .*already"),
        ((official, tmp_path / "out.bin"), WeightsError, "out_safetensors: .*must end in .safetensors"),
        ((official, tmp_path / "no" / "out.safetensors"), OutputError, "out_safetensors: .*create it first"),
        ((official, None), ArgumentError, "out_safetensors: expected a path"),
    ]:
        with pytest.raises(error, match=words):
            weights.convert(*arguments)


def test_the_output_is_checked_before_the_long_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read before the output was checked"))
    (tmp_path / "out.safetensors").mkdir()
    with pytest.raises(OutputError, match=r"out_safetensors: .*is a folder"):
        weights.convert(saved(tmp_path / "a.pt", content()), tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), safetensors.SafetensorError("I/O error")]
)
def test_a_failed_conversion_keeps_the_old_file(tmp_path, monkeypatch, failure):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    official = saved(tmp_path / "a.pt", content())

    def half_written(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise failure

    monkeypatch.setattr(safetensors.numpy, "save_file", half_written)
    with pytest.raises(OutputError, match="out_safetensors: cannot write"):
        weights.convert(official, out)
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pt", "out.safetensors"]


def test_a_bad_checkpoint_keeps_the_old_output(tmp_path):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"old")
    with pytest.raises(WeightsError, match=r"official_pt: .*misshapen"):
        weights.convert(saved(tmp_path / "a.pt", content(**{NAME: torch.zeros(3, 3)})), out)
    assert out.read_bytes() == b"old"


def test_find_parser(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    model = tmp_path / "elsewhere" / "e4s.safetensors"
    model.touch()
    link = tmp_path / "linked.safetensors"
    link.symlink_to(model)
    assert weights.find_parser(model) is None
    for name in ("79999_iter.pth", "parser.safetensors", "e4s.parser.safetensors"):  # the preferred one last
        (model.parent / name).touch()
        assert weights.find_parser(model) == model.parent / name
    assert weights.find_parser(link) == model.parent / "e4s.parser.safetensors"
    (tmp_path / "parser.safetensors").touch()  # beside the link itself: preferred
    assert weights.find_parser(link) == tmp_path / "parser.safetensors"


def test_the_published_model_is_inferred_from_its_shapes():
    published = ModelConfig()
    assert infer_model(registry.tensors(published)) == published
    assert infer_parser(registry.tensors(ParserConfig())) == ParserConfig()
