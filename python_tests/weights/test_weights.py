"""Official checkpoints in every form, and files that are none."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from weights_tools import MODELS, NAME, TINY, assert_same, content, rejected, saved, state

from e4s_engine import weights
from e4s_engine.errors import WeightsError
from e4s_engine.photo.files import impostor


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
    with pytest.raises(WeightsError) as caught:
        weights.convert(path, tmp_path / "out.safetensors")
    assert not trace.exists()
    # PyTorch advises to load such a file with weights_only=False: neither message nor traceback passes it on.
    shown = "".join(traceback.format_exception(caught.value))
    assert "weights_only`" not in shown and "False" not in shown and "trust" not in shown, shown


def test_the_reason_names_the_code(tmp_path):
    path = tmp_path / "evil.pt"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x05\0\0\0touch\x85R.")
    rejected(path, "it holds code or objects (os.system), which are never executed")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_what_was_downloaded_wrongly_is_named(tmp_path, suffix):
    path = tmp_path / f"e4s{suffix}"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n")
    rejected(path, "is a Git LFS pointer", "git lfs pull")
    path.write_bytes(b"<!DOCTYPE html>\n<html><title>Google Drive - Quota exceeded</title></html>")
    rejected(path, "is a web page", "browser")
    rejected("https://example.com/e4s.pt", "is a URL, nothing is downloaded")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_official_files(tmp_path, zipped):
    whole = saved(tmp_path / "a.pt", content(), _use_new_zipfile_serialization=zipped).read_bytes()
    for length in (1, 2, 4, 30, 100, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        rejected(tmp_path / "cut.pt", "damaged")


@settings(max_examples=25, deadline=None)
@given(data=st.binary(min_size=1, max_size=200), ending=st.sampled_from([".pt", ".pth", ".safetensors"]))
def test_garbage(tmp_path_factory, data, ending):
    # hypothesis tries constants of the sources, too; those have tests of their own
    assume(not impostor(data))
    path = tmp_path_factory.mktemp("garbage") / f"a{ending}"
    path.write_bytes(data)
    rejected(path, "damaged")
