"""Weight files: every form of official checkpoint, converted files, and files that are neither."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from conftest import TINY_PARSER
from hypothesis import given, settings
from hypothesis import strategies as st

from e4s_engine import weights
from e4s_engine.errors import ArgumentError, OutputError, WeightsError
from e4s_engine.networks import config, schema
from e4s_engine.networks.config import ModelConfig, ParserConfig

# The units per stage are not visible in a state dict's shapes, so these are the published ones.
TINY = ModelConfig(
    size=8,
    channels=(16, 16),
    latents=4,
    latent_dim=16,
    injected=2,
    mlp_hidden=16,
    stem=16,
    stages=((16, 3), (16, 4), (16, 14), (16, 3)),
)
CONFIGS = {"rgi": TINY, "parser": TINY_PARSER}
MODELS = {kind: weights.random_model(c, 3) for kind, c in CONFIGS.items()}


def state(kind, dtype=torch.float32):
    return {name: torch.from_numpy(t.copy()).to(dtype) for name, t in MODELS[kind].tensors.items()}


def content(kind="rgi", key="state_dict", prefix="module.", **changes):
    """Make a checkpoint in the authors' form: latent_avg apart, each key of the network prefixed."""
    tensors = state(kind)
    tensors.update(changes)
    average = {"latent_avg": tensors.pop("latent_avg")} if kind == "rgi" else {}
    named = OrderedDict((prefix + name, t) for name, t in tensors.items() if t is not None)
    return {key: named, **average} if key else {**named, **average}


def saved(path, what, **options):
    torch.save(what, path, **options)
    return path


def rejected(path, *words, kind="rgi"):
    with pytest.raises(WeightsError) as caught:
        weights.load(path, kind)
    message = str(caught.value)
    assert message.startswith("weights: "), message
    assert all(word in message for word in words), message
    with pytest.raises(WeightsError) as caught:
        weights.open_model(path, kind).check()
    assert str(caught.value) == message  # the same however a file is read
    return message


def assert_same(model, kind):
    assert model.config == {"rgi": TINY, "parser": TINY_PARSER}[kind]
    assert model.tensors.keys() == MODELS[kind].tensors.keys()
    for name, tensor in MODELS[kind].tensors.items():
        assert model.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(model.tensors[name], tensor, err_msg=name)


@pytest.mark.parametrize("kind", ["rgi", "parser"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("key", ["state_dict", "state_dict_ema", None])
def test_round_trip(tmp_path, kind, zipped, prefix, key):
    official = saved(
        tmp_path / "official.pt", content(kind, key, prefix), _use_new_zipfile_serialization=zipped
    )
    assert_same(weights.load(official, kind), kind)
    converted = weights.convert(official, tmp_path / "out.safetensors")
    assert_same(converted, kind)
    assert converted.extra == ()
    assert_same(weights.load(tmp_path / "out.safetensors", kind), kind)


def test_header(tmp_path):
    weights.save(MODELS["rgi"], tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", "numpy") as opened:
        header = opened.metadata()
    assert header["format"] == "e4s_engine" and header["format_version"] == "1" and header["kind"] == "rgi"
    assert config.from_json("rgi", header["config"]) == TINY


def test_plain_and_averaged_weights(tmp_path):
    averaged = {name: t + 1 for name, t in content()["state_dict"].items()}
    path = saved(tmp_path / "both.pt", {**content(), "state_dict_ema": averaged})
    name = "G.conv1.conv.weight"
    plain = weights.convert(path, tmp_path / "plain.safetensors").tensors[name]
    ema = weights.convert(path, tmp_path / "ema.safetensors", ema=True).tensors[name]
    np.testing.assert_array_equal(plain, MODELS["rgi"].tensors[name])
    np.testing.assert_array_equal(ema, MODELS["rgi"].tensors[name] + 1)


def test_asking_for_averaged_weights_that_are_not_there(tmp_path):
    path = saved(tmp_path / "plain.pt", content())
    with pytest.raises(WeightsError, match=r"official_pt: .*no averaged weights.*use ema=False"):
        weights.convert(path, tmp_path / "out.safetensors", ema=True)
    assert not (tmp_path / "out.safetensors").exists()


def test_extra_keys_are_named(tmp_path):
    extra = {"D.conv.weight": torch.zeros(2), "G.convs.0.conv.blur.kernel": torch.zeros(4, 4)}
    what = {**content(**extra), "opts": {"lr": 0.1}, "iteration": 300000}
    model = weights.convert(saved(tmp_path / "a.pt", what), tmp_path / "a.safetensors")
    assert model.extra == ("D.conv.weight",)  # FIR taps are constants and not reported
    assert_same(model, "rgi")


@pytest.mark.parametrize("kind", ["rgi", "parser"])
def test_every_missing_key_is_an_error(tmp_path, kind):
    for name in list(MODELS[kind].tensors)[:: 1 if kind == "parser" else 5]:
        what = content(kind)
        what["state_dict"].pop("module." + name, None)
        what.pop(name, None)
        rejected(saved(tmp_path / "a.pt", what), str(tmp_path / "a.pt"), kind=kind)


@pytest.mark.parametrize("name", ["MLPs.3.mlp.0.bias", "encoder.body.5.res_layer.3.weight"])
def test_missing_and_misshapen_keys_are_named(tmp_path, name):
    rejected(saved(tmp_path / "a.pt", content(**{name: None})), "lacks 1 tensors", name)
    wrong = torch.zeros(*MODELS["rgi"].tensors[name].shape, 2)
    rejected(saved(tmp_path / "a.pt", content(**{name: wrong})), "misshapen", name, "expected")


def test_many_missing_keys_are_summed_up(tmp_path):
    gone = {name: None for name in MODELS["rgi"].tensors if name.startswith("MLPs.") and "MLPs.0" not in name}
    rejected(saved(tmp_path / "a.pt", content(**gone)), "lacks 44 tensors", "and 40 more")


@pytest.mark.parametrize("shape", [(), (0,), (4, 0), (0, 16), (2, 2, 2)])
def test_odd_shapes_of_the_average(tmp_path, shape):
    rejected(saved(tmp_path / "a.pt", content(latent_avg=torch.zeros(shape))))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, dtype):
    model = weights.load(saved(tmp_path / "a.pt", state("rgi", dtype)), "rgi")
    for name, tensor in state("rgi", dtype).items():
        np.testing.assert_array_equal(model.tensors[name], tensor.float().numpy())


NAME = "MLPs.3.mlp.0.bias"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(tmp_path, value):
    wrong = torch.full((16,), value)
    rejected(saved(tmp_path / "a.pt", content(**{NAME: wrong})), "NaN or infinity", NAME, "damaged")
    model = weights.Model(TINY, {**MODELS["rgi"].tensors, NAME: wrong.numpy()})
    weights.save(model, tmp_path / "a.safetensors")
    rejected(tmp_path / "a.safetensors", "NaN or infinity", NAME)


def test_every_tensor_that_is_not_finite_is_named(tmp_path):
    names = [NAME, "latent_avg", "G.to_rgb1.bias"]
    tensors = {name: np.full_like(MODELS["rgi"].tensors[name], np.nan) for name in names}
    weights.save(weights.Model(TINY, {**MODELS["rgi"].tensors, **tensors}), tmp_path / "a.safetensors")
    rejected(tmp_path / "a.safetensors", *names)


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


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(16, dtype=torch.int64),
        torch.zeros(16, dtype=torch.complex64),
        torch.zeros(16).to_sparse(),
        torch.zeros(16, device="meta"),
        torch.zeros(1).expand(16),
    ],
    ids=["integers", "complex", "sparse", "meta", "expanded"],
)
def test_tensors_that_are_not_plain(tmp_path, wrong):
    rejected(saved(tmp_path / "a.pt", content(**{NAME: wrong})), NAME, "plain floating-point")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({}, ["no tensors"]),
        ([torch.zeros(2)], ["list", "expected a dict"]),
        (torch.zeros(2), ["Tensor", "expected a dict"]),
        (None, ["NoneType"]),
        ({"state_dict": {}}, ["no tensors"]),
        ({"state_dict": {"weight": torch.zeros(3)}}, ["neither an E4S checkpoint nor a BiSeNet"]),
        ({"state_dict": [1, 2]}, ["no tensors"]),
        ({"cp.resnet.conv1.weight": torch.zeros(3)}, ["neither an E4S checkpoint nor a BiSeNet"]),
        ({1: torch.zeros(3), "a": 4}, ["neither"]),
    ],
)
def test_other_checkpoints(tmp_path, what, words):
    rejected(saved(tmp_path / "a.pt", what), *words)


class Hostile:
    """Object whose unpickling would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("how", ["zip", "legacy", "plain pickle", "among tensors"])
def test_nothing_in_a_file_is_executed(tmp_path, how):
    path, trace = tmp_path / "evil.pt", tmp_path / "executed"
    if how == "plain pickle":
        path.write_bytes(pickle.dumps(Hostile(trace)))
    elif how == "among tensors":
        saved(path, {**content(), "opts": Hostile(trace)})
    else:
        saved(path, Hostile(trace), _use_new_zipfile_serialization=how == "zip")
    rejected(path, "never executed")
    with pytest.raises(WeightsError):
        weights.convert(path, tmp_path / "out.safetensors")
    assert not trace.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_official_files(tmp_path, zipped):
    whole = saved(tmp_path / "a.pt", content(), _use_new_zipfile_serialization=zipped).read_bytes()
    for length in (1, 2, 4, 30, 100, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        rejected(tmp_path / "cut.pt", "damaged")


@settings(max_examples=25, deadline=None)
@given(data=st.binary(min_size=1, max_size=200), ending=st.sampled_from([".pt", ".pth", ".safetensors"]))
def test_garbage(tmp_path_factory, data, ending):
    path = tmp_path_factory.mktemp("garbage") / f"a{ending}"
    path.write_bytes(data)
    rejected(path, "damaged")


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
    header = {"format": "e4s_engine", "format_version": "1", "kind": "rgi", "config": config.to_json(TINY)}
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
    text = json.dumps({**json.loads(config.to_json(TINY)), **changes})
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
    text = json.dumps({**json.loads(config.to_json(TINY_PARSER)), **changes})
    with pytest.raises(WeightsError, match="no valid parser config"):
        config.from_json("parser", text)


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
    assert config.infer_model(schema.tensors(published)) == published
    assert config.infer_parser(schema.tensors(ParserConfig())) == ParserConfig()
