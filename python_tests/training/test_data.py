"""Data of training: rendered items, batches of them, folders of photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_tools import (
    PARSER,
    SCHEDULE,
    TOY_PARSER,
    same,
)

from e4s_engine import cli, regions, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError
from e4s_engine.pipeline import compose
from e4s_engine.training import (
    batches,
    faces,
    networks,
    recipe,
)
from e4s_engine.training.found import Found
from e4s_engine.training.photos import PARTS, Photos


def test_rendered_items_are_swaps_with_their_answers(items):
    pictures = items.items(range(8))
    assert pictures.shape == (8, 3, 32, 32, 4)
    chosen = [faces.choice(items.first, i) for i in range(64)]
    assert 0.3 < chosen.count(None) / 64 < 0.6 and len(set(chosen)) == len(faces.CHOICES)
    again = faces.swap_of(*faces.seeds(items.first, 3), chosen[3])
    drawn = faces.synth.render(*again.pairs()[faces.TRUTH], 32)
    assert np.array_equal(drawn.image, pictures[3, faces.TRUTH, ..., :3])
    assert np.array_equal(drawn.labels, pictures[3, faces.TRUTH, ..., 3])


def test_training_seeds_are_no_test_seeds():
    lowest = min(faces.seeds(faces.FIRST_TRAINING_SEED, 0))
    highest = max(faces.seeds(faces.FIRST_PREVIEW_SEED, faces.SHARD - 1))
    assert 500_000 < faces.FIRST_PREVIEW_SEED <= highest < lowest


def test_a_shard_is_the_same_from_another_process(items, tmp_path):
    elsewhere = faces.Faces(tmp_path, 32, 8, workers=1)
    try:
        assert np.array_equal(elsewhere.items([5]), items.items([5]))
    finally:
        elsewhere.close()


def test_batches_depend_on_seed_and_step_alone(source):
    def batch(step, rank=0, world=1):
        return source.batch(step, batches.generator(0, step), rank, world, 4)

    assert same(batch(3), batch(3))
    assert not same(batch(3), batch(4))
    halves = [batch(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.stack([h["pictures"] for h in halves], 1).flatten(0, 1), batch(3)["pictures"])


def test_mirrored_items_are_mirrored_altogether(source):
    batch = source.batch(0, batches.generator(0, 0), 0, 1, 4)
    batch["flips"] = torch.tensor([False] * 4)
    plain = batches.unpacked(batch, "cpu")
    batch["flips"] = torch.tensor([True, False, True, False])
    mirrored = batches.unpacked(batch, "cpu")
    for name in ("image", "truth", "source_labels", "composed"):
        assert torch.equal(mirrored[name][::2], plain[name][::2].flip(-1))
        assert torch.equal(mirrored[name][1::2], plain[name][1::2])
    picked = torch.where(batch["own"][:, None, None], plain["source_labels"], plain["target_labels"])
    assert torch.equal(plain["image_labels"], picked)


def test_the_pool_grows_with_the_steps(items):
    source = batches.RenderedSwaps(items, recipe.Pool(16, 0.5, 40), flip=False)
    source._items = range(40)
    assert [source._available(step) for step in (0, 15, 16, 48, 1000)] == [16, 16, 24, 40, 40]


def test_mixed_styles_are_those_of_compose():
    rng = np.random.default_rng(0)
    given = rng.standard_normal((2, 6, 12, 8)).astype(np.float32)
    given[rng.random((2, 6, 12)) < 0.3] = 0
    labels = rng.integers(0, 12, (2, 6, 16, 16)).astype(np.uint8)
    chosen = [None, None, None, (regions.EYES,), (regions.EARS, regions.MOUTH), (regions.HAIR, regions.LIPS)]
    made = batches.composition(labels[0], labels[1], chosen)
    batch = {name: torch.from_numpy(array) for name, array in made.items()}
    mixed = batches.mixed_styles(*map(torch.from_numpy, given), batch).numpy()
    for i, ids in enumerate(chosen):
        source, target = given[0, i], given[1, i]
        if ids is None:
            wanted = compose.whole_face_styles(source, target)
            parts = [(source, regions.FACE)]
            assert np.array_equal(made["composed"][i], compose.whole_face_labels(*labels[:, i])[0])
        else:
            parts = [(source, ids)]
            wanted = compose.region_styles(parts, target)
        assert np.array_equal(mixed[i], compose.complete_styles(wanted, parts, target))


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 8:56], labels[10:20, 10:50] = 1, 17  # skin and hair, to BiSeNet
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), labels


def test_ffhq_layout_with_broken_files(picture, tmp_path, capsys):
    image, labels = picture
    for i in range(4):
        write(tmp_path / "images1024" / "00000" / f"{i:05d}.png", image)
        write(tmp_path / "BiSeNet_mask" / "00000" / f"{i:05d}.png", labels)
    (tmp_path / "images1024" / "00000" / "00001.png").write_bytes(b"not a picture")
    (tmp_path / "BiSeNet_mask" / "00000" / "00002.png").unlink()
    write(tmp_path / "BiSeNet_mask" / "00000" / "00003.png", labels + 90)
    photos = Photos(tmp_path, 32)
    pictures = [photos.item(i) for i in range(4)]
    assert all(np.array_equal(p, pictures[0]) for p in pictures)  # only one is intact
    assert set(np.unique(pictures[0][..., 3])) == {regions.BACKGROUND, regions.SKIN, regions.HAIR}
    assert {Path(name).name for name in photos.broken} == {"00001.png", "00002.png", "00003.png"}
    out = tmp_path / "run"
    small = recipe.to_json(replace(PARSER, schedule=replace(SCHEDULE, steps=2, batch=2)))
    (tmp_path / "small.json").write_text(small)
    options = ["--recipe", str(tmp_path / "small.json"), "--data", str(tmp_path), "--device", "cpu"]
    assert cli.main(["train", "parser", "-o", str(out), *options]) == 0
    said = capsys.readouterr()
    assert "done" in said.out and "00001.png" in said.err
    assert weights.load(out / "model.safetensors", "parser").config == TOY_PARSER


def test_celebamask_layouts(picture, tmp_path):
    image, _ = picture
    skin, lip = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    skin[8:56, 8:56], lip[40:44, 20:40] = 255, 255
    write(tmp_path / "CelebA-HQ-img" / "3.jpg", image)
    for part, mask in (("skin", skin), ("u_lip", lip)):
        write(tmp_path / "CelebAMask-HQ-mask-anno" / "0" / f"00003_{part}.png", mask)
    by_parts = Photos(tmp_path, 64).item(0)
    merged = np.where(lip > 0, 1 + PARTS.index("u_lip"), np.where(skin > 0, 1, 0)).astype(np.uint8)
    write(tmp_path / "labels" / "3.png", merged)
    by_map = Photos(tmp_path, 64).item(0)
    assert np.array_equal(by_parts, by_map)
    assert by_map[42, 30, 3] == regions.LIPS and by_map[20, 20, 3] == regions.SKIN


def test_folders_of_no_layout_or_nothing_whole(tmp_path):
    with pytest.raises(ArgumentError, match="images1024"):
        Photos(tmp_path, 32)
    (tmp_path / "images1024").mkdir()
    (tmp_path / "images1024" / "1.png").write_bytes(b"")
    with pytest.raises(ArgumentError, match="none of the 1"):
        Photos(tmp_path, 32).item(0)


def test_labels_as_a_parser_finds_them(items, tmp_path):
    copied = faces.Faces(tmp_path, 32, 8)
    for shard in range(copied.shards):
        items.items([shard * faces.SHARD])
        copied.path(shard).write_bytes(items.path(shard).read_bytes())
    parser = networks.initial(TOY_PARSER, 0)
    exact, found = copied.items([5, 2]), Found(copied, parser).items([5, 2])
    assert np.array_equal(found[..., :3], exact[..., :3])
    weights.save(networks.to_model(parser, TOY_PARSER), tmp_path / "p.safetensors")
    with Engine(None, parser=tmp_path / "p.safetensors", device="cpu") as engine:
        seen = engine.parse(exact[1, faces.SOURCE, ..., :3].copy(), align=False)
    near = found[1, faces.SOURCE, ..., 3] == regions.resize_nearest(seen, 32)
    assert near.mean() > 0.9  # the engine enlarges pictures by another filter
    # Labels are cached: the next time they are read from there; another parser's are separate.
    kept = sorted(tmp_path.glob("labels-*.npy"))
    assert len(kept) == 1
    other = Found(copied, networks.initial(TOY_PARSER, 1))
    assert len(other) == 8 and not np.array_equal(other.items([5, 2])[..., 3], found[..., 3])
    np.save(kept[0], np.full((8, 3, 32, 32), 7, np.uint8))
    assert (Found(copied, parser).items([0])[..., 3] == 7).all()
    np.save(kept[0], np.zeros(3, np.uint8))
    with pytest.raises(ArgumentError, match="delete it"):
        Found(copied, parser).items([0])
