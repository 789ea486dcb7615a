"""Converted files: read tensor by tensor, damaged, with wrong headers, configs or tensors."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from tiny_tools import TINY_PARSER
from weights_tools import MODELS, NAME, TINY, assert_same, rejected

from e4s_engine import weights
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry


def test_header(tmp_path):
    weights.save(MODELS["rgi"], tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "numpy") as opened:
        header = opened.metadata()
    assert header["format"] == "e4s_engine" and header["format_version"] == "1" and header["kind"] == "rgi"
    assert registry.from_json("rgi", header["config"]) == TINY


def test_an_opened_file_is_read_tensor_by_tensor(tmp_path):
    weights.save(MODELS["rgi"], tmp_path / "a.safetensors")
    model = weights.open_model(tmp_path / "a.safetensors", "rgi")
    assert_same(model, "rgi")
    assert model.tensors[NAME] is not model.tensors[NAME]  # not cached, so the caller may change it


def test_a_file_that_changes_while_it_is_open(tmp_path):
    path = tmp_path / "a.safetensors"
    weights.save(MODELS["rgi"], path)
    model = weights.open_model(path, "rgi")
    whole = path.read_bytes()
    for data in (whole[:-100], whole + b"more"):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="changed while it was read"):
            model.tensors[NAME]
    path.unlink()
    with pytest.raises(WeightsError, match="damaged"):
        model.tensors[NAME]


def test_truncated_safetensors(tmp_path):
    weights.save(MODELS["rgi"], tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for length in (1, 7, 8, 9, header // 2, header, header + 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        rejected(tmp_path / "cut.safetensors", "damaged or half-written", "again")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 0),
        struct.pack("<Q", 8) + b"garbage!",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ',
        struct.pack("<Q", 66) + b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[4,0]}}'.ljust(66),
        struct.pack("<Q", 90)
        + b'{"a":{"dtype":"F32","shape":[9000000000,9000000000],"data_offsets":[0,4]}}'.ljust(90),
        struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
    ],
)  # fmt: skip
def test_absurd_safetensors(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    rejected(tmp_path / "a.safetensors", "damaged")


def with_header(path, tensors=None, **changes):
    header = {"format": "e4s_engine", "format_version": "1", "kind": "rgi", "config": registry.to_json(TINY)}
    header = {name: value for name, value in {**header, **changes}.items() if value is not None}
    safetensors.numpy.save_file(MODELS["rgi"].tensors if tensors is None else tensors, path, header or None)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": None}, ["no e4s_engine header", "e4s convert"]),
        ({"format": "pt"}, ["no e4s_engine header", "e4s convert"]),
        ({"format": None, "format_version": None, "kind": None, "config": None}, ["no e4s_engine header"]),
        ({"format_version": "2"}, ["format version '2'", "upgrade"]),
        ({"format_version": "9" * 5000}, ["format version", "upgrade"]),
        ({"format_version": None}, ["format version ''"]),
        ({"format_version": "-1"}, ["format version '-1'"]),
        ({"format_version": "²"}, ["format version"]),
        ({"kind": None}, ["kind of model ''", "rgi, parser"]),
        ({"kind": "sdxl"}, ["kind of model 'sdxl'", "rgi, parser"]),
        ({"kind": "parser"}, ["no valid parser config"]),
        ({"config": None}, ["no valid rgi config"]),
        ({"config": "not JSON"}, ["no valid rgi config"]),
        ({"config": "[" * 100_000}, ["no valid rgi config"]),
        ({"config": "{}"}, ["lacks 115 tensors"]),
    ],
)
def test_wrong_headers(tmp_path, changes, words):
    rejected(with_header(tmp_path / "a.safetensors", **changes), *words)


HUGE = 10**12


@pytest.mark.parametrize(
    "changes",
    [
        {"size": HUGE},
        {"size": 1024.0},
        {"size": True},
        {"size": -8},
        {"channels": []},
        {"channels": 16},
        {"channels": [HUGE, HUGE]},
        {"channels": [16.0, 16]},
        {"channels": [[16], 16]},
        {"latents": HUGE},
        {"latents": float("inf")},
        {"latents": 4.5},
        {"injected": HUGE},
        {"injected": 0},
        {"latent_dim": HUGE},
        {"mlp_hidden": HUGE},
        {"stem": HUGE},
        {"stem": 16.0},
        {"stages": [[16, HUGE]] * 4},
        {"stages": [[HUGE, 1]] * 4},
        {"stages": [[16, 3]] * 5},
        {"stages": [[16, 3, 3]] * 4},
        {"stages": [16, 16, 16, 16]},
        {"encoder_size": HUGE},
        {"encoder_size": None},
        {"size": "8"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_impossible_configs_are_refused_before_anything_is_made_for_them(tmp_path, changes):
    text = json.dumps({**json.loads(registry.to_json(TINY)), **changes})
    rejected(with_header(tmp_path / "a.safetensors", config=text), "no valid rgi config")


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 7},
        {"widths": [8] * 4},
        {"widths": [HUGE] * 5},
        {"fusion": 0},
        {"context": 8.0},
        {"table": {}},
    ],
    ids=str,
)
def test_impossible_parser_configs(changes):
    text = json.dumps({**json.loads(registry.to_json(TINY_PARSER)), **changes})
    with pytest.raises(WeightsError, match="no valid parser config"):
        registry.from_json("parser", text)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, ["lacks 1 tensors"]),
        (np.zeros((2, 2), np.float32), ["misshapen"]),
        (np.zeros(16, np.int32), ["I32"]),
    ],
    ids=["missing", "misshapen", "integers"],
)
def test_wrong_tensors_in_a_converted_file(tmp_path, wrong, words):
    tensors = {**MODELS["rgi"].tensors, NAME: wrong}
    if wrong is None:
        del tensors[NAME]
    rejected(with_header(tmp_path / "a.safetensors", tensors), NAME, *words)


def test_half_precision_and_extra_tensors_in_a_converted_file(tmp_path):
    tensors = {name: t.astype(np.float16) for name, t in MODELS["rgi"].tensors.items()}
    model = weights.load(with_header(tmp_path / "a.safetensors", {**tensors, "more": np.zeros(3)}), "rgi")
    assert model.extra == ("more",)
    assert {t.dtype for t in model.tensors.values()} == {np.dtype(np.float32)}
