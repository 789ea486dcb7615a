"""The quality benchmark: metrics, baselines, and the keys of its report on a tiny random model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks import baselines, identity, metrics, quality
from e4s_engine import synth
from e4s_engine.testing.metrics import psnr
from e4s_engine.training.faces import Faces, swap_of

KEYS = {
    "recon_psnr", "recon_ssim", "recon_perceptual", "inverted_psnr", "inverted_ssim", "swap_psnr",
    "swap_gain_db", "hair_over_psnr", "hair_over_gain_db", "eyes_gain_db", "nose_gain_db", "lips_gain_db",
    "hair_gain_db", "leakage", "parser_miou", "identity_rate", "identity_truth",
}  # fmt: skip


def test_psnr_and_ssim():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    b = a.copy()
    b[:16] = np.clip(a[:16].astype(int) + 20, 0, 255)
    mask = np.zeros((32, 40), bool)
    mask[16:] = True
    assert psnr(a, a, cap=60) == psnr(a, b, mask, 60) == 60
    assert psnr(a, a) == np.inf and psnr(a, b) == psnr(b, a) < 60
    flat = np.full((32, 40, 3), 100, np.uint8)
    assert psnr(flat, flat + 10) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(flat / 127.5 - 1, (flat + 10) / 127.5 - 1) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(np.float32([0.5, 3]), np.float32([0, 1])) == pytest.approx(10 * np.log10(4 / (0.25 / 2)))
    assert metrics.ssim(a, a) == pytest.approx(1)
    # In flat pictures only the means count.
    c1 = (0.01 * 255) ** 2
    wanted = (2 * 100 * 110 + c1) / (100**2 + 110**2 + c1)
    assert metrics.ssim(flat, flat + 10) == pytest.approx(wanted)
    other = rng.integers(0, 256, a.shape, dtype=np.uint8)
    assert metrics.ssim(a, other) < 0.1
    assert metrics.ssim(a, b, mask) > metrics.ssim(a, b)


def test_iou():
    confusion = metrics.Confusion(3)
    confusion.add(np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8))
    assert confusion.iou()[:2] == pytest.approx([1 / 2, 2 / 3])
    assert np.isnan(confusion.iou()[2])


def test_baselines():
    source, target = np.full((16, 16, 3), 200, np.uint8), np.full((16, 16, 3), 50, np.uint8)
    here, there = np.zeros((2, 16, 16), np.uint8)
    here[4:12, 4:12] = there[2:10, 2:10] = 3
    given = (source, there, target, here, (3,))
    assert (baselines.unchanged(*given) == 50).all()
    pasted = baselines.paste(*given)
    assert (pasted[there == 3] == 200).all() and (pasted[there != 3] == 50).all()
    assert (baselines.paste_matched(*given) == 50).all()  # the target's colour


@pytest.fixture(scope="module")
def judge(tmp_path_factory, faces_cache):
    folder = tmp_path_factory.mktemp("judge")
    options = [
        "--cache",
        str(faces_cache),
        "--output",
        str(folder / "judge.pt"),
        "--size",
        "32",
        "--width",
        "8",
    ]
    counts = ["--count", "8", "--held-out", "8", "--steps", "4", "--batch", "8"]
    assert identity.main([*options, *counts]) == 0
    return folder / "judge.pt"


def test_identity_network(judge):
    loaded = identity.load(judge)
    a, b = synth.person(1), synth.person(2)
    picture = synth.render(a, synth.scene(1), 32, 1).image
    assert identity.prefers_source(loaded, picture, a, b) is not identity.prefers_source(
        loaded, picture, b, a
    )
    assert identity.parameters(a).shape == identity.parameters(b).shape
    torch.save({"format": "another"}, judge.with_name("other.pt"))
    with pytest.raises(ValueError, match="identity"):
        identity.load(judge.with_name("other.pt"))


def test_truth_takes_ears_and_neck_in_colour_only():
    swap = swap_of(1, 2, None)
    assert swap.truth.face == swap.source.face and swap.truth.hair == swap.target.hair
    assert swap.truth.neck.tone == swap.source.neck.tone and swap.truth.neck.width == swap.target.neck.width
    assert swap.source_scene.pose == swap.target_scene.pose
    assert swap.source_scene.light != swap.target_scene.light
    assert swap_of(1, 2, None, driven=False).source_scene == synth.scene(1)


def test_keys_on_a_tiny_random_model(tiny_weights, judge, capsys):
    options = ["--weights", str(tiny_weights / "model.safetensors"), "--size", "64", "--seeds", "0:1"]
    assert quality.main([*options, "--identity", str(judge), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found) == KEYS
    assert found["leakage"] == 0
    gaps = found["swap_psnr"] - found["swap_gain_db"], found["hair_over_psnr"] - found["hair_over_gain_db"]
    assert gaps[0] == pytest.approx(gaps[1])  # the same baseline
    assert all(isinstance(found[name], float) for name in ("recon_psnr", "swap_gain_db", "identity_rate"))
    assert found["inverted_psnr"] is None
    assert quality.main([*options, "--parser", "none", "--device", "cpu", "--steps", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["parser_miou"] is None
    assert found["inverted_psnr"] > found["recon_psnr"]
    assert found["swap_psnr"] != found["hair_over_psnr"]


@pytest.mark.parametrize("seeds", ["5", "3:3", "a:b", "0:500001"])
def test_bad_seeds_are_refused(seeds):
    with pytest.raises(SystemExit):
        quality.main(["--seeds", seeds])


def test_a_missing_model_is_said(capsys, tmp_path):
    assert quality.main(["--weights", str(tmp_path / "none.safetensors")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_held_out_faces_are_those_of_the_seeds(tmp_path):
    items = Faces(tmp_path, 16, 1, first=900_000, supersample=1)
    assert items.path(0).name.startswith("pairs-16-1-")
