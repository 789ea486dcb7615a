"""Evaluation: lists of pairs, measures with known answers, judges, and a run that is cut off and goes on."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from e4s_engine import regions, synth
from e4s_engine.cli import main
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, OutputError, RegionError
from e4s_engine.evaluation import distances, judges, measures, pairs
from e4s_engine.evaluation.evaluate import evaluate
from e4s_engine.photo import images
from e4s_engine.result import HeadPose

SIDE = 256


def luma(crop):
    """Judge: a coarse picture of the face, without its mean."""
    small = crop.astype(float).mean(2).reshape(8, 128, 8, 128).mean((1, 3)).ravel()
    return small - small.mean()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    for seed in range(3):
        images.write(synth.render(synth.person(seed), synth.scene(seed), SIDE).image, folder / f"{seed}.png")
    (folder / "pairs.csv").write_text(
        'source,target,regions,name\n0.png,1.png,,whole\n2.png,1.png,"eyes,nose",part\n'
    )
    return folder


@pytest.fixture(scope="module")
def demo():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("E4S_WEIGHTS", raising=False)
        with Engine(device="cpu", landmarks=None) as engine:
            yield engine


@pytest.fixture(scope="module")
def done(demo, folder):
    """Evaluate the list once; return the summary and the folder of its files."""
    out = folder / "out"
    listed = pairs.read(folder / "pairs.csv")
    return evaluate(demo, listed, out, identity=luma, expression=luma, features=luma), out


def rows(out):
    with (out / "pairs.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_list_is_swapped_and_measured(done, demo, folder):
    summary, out = done
    assert (summary["pairs"], summary["failed"], summary["untouched"]) == (2, 0, True)
    assert summary == json.loads((out / "summary.json").read_text())
    whole, part = rows(out)
    assert (whole["name"], whole["regions"], part["regions"]) == ("whole", "", "eyes,nose")
    photos = [images.read(folder / f"{seed}.png") for seed in range(3)]
    expected = demo.swap(photos[2], photos[1], ["eyes", "nose"])
    np.testing.assert_array_equal(images.read(out / "swaps" / "00001.png"), expected.image)
    assert float(part["changed"]) == expected.changed.mean() < float(whole["changed"]) < 1
    crops = [demo.crop(photo) for photo in (photos[2], photos[1], expected.image)]
    for column, other in (("identity_source", 0), ("identity_target", 1)):
        assert float(part[column]) == pytest.approx(measures.cosine(luma(crops[2]), luma(crops[other])))
    assert float(part["expression"]) == pytest.approx(
        np.linalg.norm(luma(crops[2]) - luma(crops[1])), rel=1e-6
    )
    assert part["pose"] == "" and "pose" not in summary["mean"]  # its network is not at hand
    assert summary["mean"]["leak"] == 0 and summary["fid"] > 0
    assert images.read(out / "worst.png").shape[0] > 800


def test_poses_are_measured_where_their_network_is_at_hand(demo, folder, tmp_path, monkeypatch):
    seen = []

    def pose(_, crop, align):
        seen.append(crop)
        target = len(seen) % 2 == 0  # after the result
        angles = (3.0, 4.0, 12.0) if target else (0.0, 0.0, 0.0)
        return HeadPose(*angles, np.full((15, 3), float(target), np.float32))

    monkeypatch.setattr(demo, "networks", ("facevid2vid",))
    monkeypatch.setattr(Engine, "pose", pose)
    summary = evaluate(demo, pairs.read(folder / "pairs.csv")[1:], tmp_path / "out", worst=0)
    assert summary["mean"]["pose"] == 13 and summary["mean"]["expression"] == pytest.approx(45**0.5)
    np.testing.assert_array_equal(seen[1], demo.crop(images.read(folder / "1.png")))
    assert not (tmp_path / "out" / "worst.png").exists()


def test_an_evaluation_that_was_cut_off_goes_on(done, demo, folder, monkeypatch):
    """Finished pairs are not swapped again; a line that was being written, and failures, are done anew."""
    summary, out = done
    journal = out / "pairs.jsonl"
    first, second = journal.read_text().splitlines()
    journal.write_text(f"{first}\n{second[:40]}")
    listed = pairs.read(folder / "pairs.csv")
    swaps = []
    plain = Engine.swap
    monkeypatch.setattr(Engine, "swap", lambda *a, **k: swaps.append(a[3]) or plain(*a, **k))
    again = evaluate(demo, listed, out, identity=luma, expression=luma, features=luma)
    assert swaps == ["eyes,nose"]
    for value in (summary, again):
        for kind in ("mean", "median"):
            value[kind].pop("seconds", None)
    assert again == summary
    with pytest.raises(
        OutputError, match=r"holds another evaluation \(judges differs\); choose another folder"
    ):
        evaluate(demo, listed, out)
    assert journal.read_text().count("\n") == 2


def test_a_pair_that_fails_is_named_and_tried_again(demo, folder, tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("source,target\nmissing.png,target.png\nmissing.png,target.png\n")
    images.write(images.read(folder / "1.png"), tmp_path / "target.png")
    listed = pairs.read(table)
    summary = evaluate(demo, listed, tmp_path / "out")
    assert summary["failed"] == 2 and summary["mean"] == {}
    assert summary["errors"]["00000"].startswith("source: no such file")
    images.write(images.read(folder / "0.png"), tmp_path / "missing.png")
    assert evaluate(demo, listed, tmp_path / "out")["failed"] == 0


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("my_judge.py").write_text("def see(crop):\n    return crop.mean((0, 1))\n")
    table = folder / "command.csv"
    table.write_text("source,target,regions\n0.png,1.png,lips\nnone.png,1.png,lips\n")
    command = ["evaluate", str(table), "-o", "out", "--identity", "my_judge:see", "--worst-by", "sharpness"]
    assert main([*command, "--landmarks", "none", "--align", "no", "--device", "cpu"]) == 1
    out, err = capsys.readouterr()
    assert "1 of 2 pairs swapped and measured" in out and "identity_source" in out
    assert "e4s: error: 00001: source: no such file" in err
    assert Path("out/worst.png").is_file() and len(rows(Path("out"))) == 2


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", ArgumentError, "expected a header with source and target"),
        ("source,dest\na,b\n", ArgumentError, "got source,dest"),
        ("source,target\n", ArgumentError, "lists no pairs"),
        ("source,target\na.png\n", ArgumentError, r"line 2: expected 2 values"),
        ("source,target\na.png,b.png,eyes,nose\n", ArgumentError, "quote lists of regions"),
        ("source,target\na.png,\n", ArgumentError, "line 2: source and target must not be empty"),
        ("source,target,name\na,b,x\nc,d,x\n", ArgumentError, "line 3: the name 'x' is taken"),
        ("source,target,regions\na,b,eyez\n", RegionError, "line 2: regions: unknown region 'eyez'"),
    ],
)
def test_lists_that_cannot_be_read_say_where(tmp_path, text, error, words):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(error, match=words):
        pairs.read(tmp_path / "pairs.csv")


def test_paths_are_those_of_the_lists_folder(tmp_path):
    (tmp_path / "pairs.csv").write_text("\ufeffsource, target\na/b.png, c.png\n", encoding="utf-8")
    (pair,) = pairs.read(tmp_path / "pairs.csv")
    assert (pair.source, pair.target) == (tmp_path / "a" / "b.png", tmp_path / "c.png")


def test_a_split_of_faceforensics_is_swapped_both_ways(tmp_path):
    (tmp_path / "test.json").write_text('[["012", "026"]]')
    for video, count in (("012", 4), ("026", 2)):
        (tmp_path / video).mkdir()
        for number in range(count):
            (tmp_path / video / f"{number}.png").touch()
    listed = pairs.read(tmp_path / "test.json", tmp_path, per_video=2)
    named = [(p.name, p.source.relative_to(tmp_path), p.target.relative_to(tmp_path)) for p in listed]
    there = [Path("012/1.png"), Path("012/3.png")]
    back = [Path("026/0.png"), Path("026/1.png")]
    assert named == [
        ("026_012_0", there[0], back[0]),
        ("026_012_1", there[1], back[1]),
        ("012_026_0", back[0], there[0]),
        ("012_026_1", back[1], there[1]),
    ]
    with pytest.raises(ArgumentError, match="needs --frames"):
        pairs.read(tmp_path / "test.json")
    (tmp_path / "test.json").write_text('[["012", "999"]]')
    with pytest.raises(ArgumentError, match=r"--frames: .*999 holds no pictures"):
        pairs.read(tmp_path / "test.json", tmp_path)


def test_measures_of_pictures_with_known_answers():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    changed = np.zeros((64, 64), bool)
    changed[16:48, 16:48] = True
    result = target.copy()
    result[changed] = 128
    assert measures.leak(target, result, changed) == 0
    assert (
        measures.sharpness(target, target, changed) == 1 and measures.sharpness(target, result, changed) < 0.2
    )
    assert measures.sharpness(target, result, np.zeros_like(changed)) is None
    result[0, 0, 1] ^= 7
    assert measures.leak(target, result, changed) in range(1, 8)
    labels = np.full((512, 512), regions.SKIN, np.uint8)
    grey, lighter = (np.full((1024, 1024, 3), value, np.uint8) for value in (128, 160))
    assert measures.colour((grey, labels), (grey, labels), [regions.SKIN]) == 0
    assert 10 < measures.colour((grey, labels), (lighter, labels), [regions.SKIN, regions.LIPS]) < 13
    assert measures.colour((grey, labels), (grey, labels), [regions.LIPS]) is None
    assert measures.cosine(np.array([1.0, 0]), np.array([0, 2.0])) == 0


def test_distances_of_sets_with_known_answers():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4000, 3))
    assert distances.fid(a, a) == pytest.approx(0, abs=1e-9)
    assert distances.fid(a, a + np.array([3, 0, 0])) == pytest.approx(9)
    assert distances.fid(a, 2 * a) == pytest.approx(3, rel=0.1)  # (2 - 1)^2 for each axis, and no offset
    half = rng.normal(size=(4000, 3))
    assert abs(distances.kid(a, half)) < 0.01 < distances.kid(a, half + 1)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_judges_are_callables_names_or_torchscript(tmp_path):
    torch = pytest.importorskip("torch")
    crop = np.full((1024, 1024, 3), 7, np.uint8)

    class Features(torch.nn.Module):
        def forward(self, image: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return image.float().mean((2, 3)) if return_features else image.float()

    torch.jit.script(Features()).save(str(tmp_path / "features.pt"))
    judge = judges.load(str(tmp_path / "features.pt"), "features")
    assert judge is not None and judge.name == "features.pt" and judge(crop).tolist() == [7, 7, 7]
    assert judges.load(None, "identity") is None
    (tmp_path / "broken.pt").write_text("no archive")
    with pytest.raises(ArgumentError, match=r"features: cannot read .*broken\.pt as TorchScript"):
        judges.load(str(tmp_path / "broken.pt"), "features")
    with pytest.raises(ArgumentError, match="identity: cannot import 'nowhere:net'"):
        judges.load("nowhere:net", "identity")
    empty = judges.load(lambda crop: [np.nan], "identity")
    assert empty is not None
    with pytest.raises(
        ArgumentError, match="identity: expected <lambda> to return a vector of finite numbers"
    ):
        empty(crop)


def test_a_judges_own_error_passes_through(demo, folder, tmp_path):
    def broken(crop):
        raise KeyError("no face")

    with pytest.raises(KeyError) as caught:
        evaluate(demo, pairs.read(folder / "pairs.csv"), tmp_path / "out", identity=broken)
    assert "raised by broken, the judge that was passed as identity" in caught.value.__notes__
