"""Sources driven to their targets and restored: when it is done, what it is done to, and what results say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from api_tools import LABELS, A, B, refused

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, ImageError
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.rrdbnet.config import RRDBConfig
from e4s_engine.pipeline import driving, reenact

VID2VID = FaceVid2VidConfig(
    points=5, depth=2, features=4, widest=16, mixed=4, first=(4, 4, 8), width=8, out=4, middle=1, hidden=4,
    bins=6, pose=4, blocks=(1, 1, 1, 1),
)  # fmt: skip
SMALL = {
    "facevid2vid": VID2VID,
    "rrdbnet": RRDBConfig(features=4, growth=4, blocks=1),
    "gpen": GPENConfig(channels=(4,) * 8, latent=8, mapping=1),
    "parsenet": ParseNetConfig(classes=19, widths=(4, 8), blocks=1),
    "retinaface": DetectorConfig(blocks=(1, 1, 1, 1), width=8, features=16),
}


@pytest.fixture(scope="module")
def folder(tiny_weights, tmp_path_factory):
    """Make a folder with small weights of every network, under names that say nothing."""
    place = tmp_path_factory.mktemp("pipeline")
    for number, (kind, config) in enumerate(SMALL.items()):
        model = weights.random_model(config)
        if kind == "retinaface":  # it finds nobody
            quiet = {f"ClassHead.{i}.conv1x1.bias": np.array([30, 0, 30, 0], np.float32) for i in range(3)}
            quiet |= {f"ClassHead.{i}.conv1x1.weight": np.zeros((4, 16, 1, 1), np.float32) for i in range(3)}
            model = dataclasses.replace(model, tensors={**model.tensors, **quiet})
        weights.save(model, place / f"{number}.safetensors")
    for name in ("model", "parser"):
        (place / f"a {name} 2.safetensors").write_bytes((tiny_weights / f"{name}.safetensors").read_bytes())
    return place


@pytest.fixture(scope="module")
def engine(folder):
    with Engine(folder, landmarks=None, backend="native", precision="fp32", device="cpu") as made:
        yield made


@pytest.fixture
def apart(monkeypatch):
    """Let targets' yaws differ from those of sources by so many degrees as the test sets."""
    degrees = {"yaw": 20.0}
    look, seen = reenact.look, []

    def looked(*arguments):
        seen.append(arguments)
        yaw = degrees["yaw"] * (len(seen) % 2 == 0)
        subject = look(*arguments)
        pose = dataclasses.replace(subject.pose, angles=np.array([[yaw, 1, -1]], np.float32))
        return dataclasses.replace(subject, pose=pose)

    monkeypatch.setattr(reenact, "look", looked)
    return degrees


def test_a_source_is_driven_and_restored_where_the_weights_are_at_hand(engine, apart) -> None:
    """The swap is that of the driven picture, in whose labels and style vectors it is made."""
    result = engine.swap(A, B, target_labels=LABELS)
    (driven,) = result.faces[0].driven
    assert driven.reenacted.shape == (256, 256, 3) and driven.restored.shape == (1024, 1024, 3)
    assert driven.angles == (20.0, 0.0, 0.0)
    again = engine.swap(driven.restored, B, target_labels=LABELS, reenact=False)
    np.testing.assert_array_equal(result.image, again.image)
    assert again.faces[0].driven == ()
    plain = engine.swap(A, B, target_labels=LABELS, reenact=False)
    assert (plain.image != result.image).any()
    np.testing.assert_array_equal(engine.reenact(A, B), driven.reenacted)
    np.testing.assert_array_equal(engine.reenact(A, B, restore=True), driven.restored)


def test_the_chain_is_that_of_pytorch(engine, folder, apart) -> None:
    """8-bit pictures of every stage: at most half a level apart on average."""
    ours = engine.swap(A, B)
    with Engine(folder, landmarks=None, backend="reference", precision="fp32", device="cpu") as reference:
        theirs = reference.swap(A, B)
    (own,), (other,) = ours.faces[0].driven, theirs.faces[0].driven
    pairs = ((own.reenacted, other.reenacted), (own.restored, other.restored), (ours.image, theirs.image))
    for picture, expected in pairs:
        assert np.abs(picture.astype(int) - expected).mean() <= 0.5


def test_close_poses_leave_the_source_as_it_is(engine, apart) -> None:
    apart["yaw"] = driving.CLOSE_DEGREES
    assert engine.swap(A, B, target_labels=LABELS).faces[0].driven == ()
    assert len(engine.swap(A, B, target_labels=LABELS, reenact=True, restore=False).faces[0].driven) == 1
    apart["yaw"] = driving.CLOSE_DEGREES + 0.1
    assert len(engine.swap(A, B, target_labels=LABELS).faces[0].driven) == 1


def test_what_is_not_driven_by_itself(engine, apart) -> None:
    """Labels describe a photo as it is, a Face is encoded already, an edit takes no shape."""
    face = engine.encode(A)
    for result in (
        engine.swap(A, B, source_labels=LABELS, target_labels=LABELS),
        engine.swap(face, B, target_labels=LABELS),
        engine.swap(engine.encode(A, keep_photo=True), B, target_labels=LABELS),
        engine.swap(A, B, [], target_labels=LABELS),
        engine.edit(B, A, ["lips"], labels=LABELS),
    ):
        assert result.faces[0].driven == ()
    for source, more in ((face, {}), (A, {"source_labels": LABELS})):
        with pytest.raises(ArgumentError, match=r"^reenact=True: the source .*; pass the photo alone"):
            engine.swap(source, B, target_labels=LABELS, reenact=True, **more)
    assert len(engine.edit(B, A, ["lips"], labels=LABELS, reenact=True).faces[0].driven) == 1


def test_a_parsed_portrait_is_driven_like_its_photo(engine, apart) -> None:
    result = engine.swap(engine.portrait(A), engine.portrait(B))
    np.testing.assert_array_equal(result.image, engine.swap(A, B).image)
    assert len(result.faces[0].driven) == 1


def test_without_restoration_the_driven_picture_is_enlarged(engine, apart) -> None:
    (driven,) = engine.swap(A, B, target_labels=LABELS, restore=False).faces[0].driven
    assert driven.restored is None and driven.reenacted is not None


def test_a_source_may_be_restored_alone(engine, apart) -> None:
    (driven,) = engine.swap(A, B, target_labels=LABELS, reenact=False, restore=True).faces[0].driven
    assert driven.reenacted is None and driven.angles is None and driven.restored.shape == (1024, 1024, 3)


def test_a_face_remembers_that_it_was_driven(engine, apart) -> None:
    face = engine.encode(A, driving=B)
    assert face.driven is not None and "driven" in repr(face)
    np.testing.assert_array_equal(
        engine.swap(face, B, target_labels=LABELS).image, engine.swap(A, B, target_labels=LABELS).image
    )
    assert engine.encode(A).driven is None


def test_every_source_is_driven_for_itself(engine, apart) -> None:
    result = engine.swap({"eyes": A, "nose": B}, B, target_labels=LABELS)
    assert len(result.faces[0].driven) == 2
    several = engine.swap_batch(A, [B, A], target_labels=[LABELS, LABELS])
    assert [len(one.faces[0].driven) for one in several] == [1, 1]
    each = list(engine.swap_each(A, [B, A], target_labels=[LABELS, LABELS]))
    for one, other in zip(several, each, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_the_pose_of_a_face_is_the_estimators(engine) -> None:
    pose = engine.pose(A)
    crop = engine.crop(A)
    networks = engine._running().driver.networks
    seen = reenact.look(crop, networks.run, networks.config("facevid2vid")).pose
    assert (pose.yaw, pose.pitch, pose.roll) == tuple(map(float, seen.angles[0]))
    np.testing.assert_array_equal(pose.expression, seen.expression[0])
    assert "facevid2vid" in engine.networks and "HeadPose(yaw=" in repr(pose)


def test_without_weights_what_is_asked_for_is_refused(tiny_weights) -> None:
    with Engine(tiny_weights, landmarks=None, backend="native", precision="fp32", device="cpu") as plain:
        assert plain.swap(A, B).faces[0].driven == ()
        for name in ("reenact", "restore"):
            refused(
                ArgumentError, lambda n=name: plain.swap(A, B, **{n: True}), f"{name}=True: needs weights"
            )
        refused(ArgumentError, lambda: plain.restore(A), "restore: needs weights", "GPEN-BFR-512.pth")
        refused(ArgumentError, lambda: plain.reenact(A, B), "driving: needs weights", "checkpoint.pth.tar")
        refused(ArgumentError, lambda: plain.encode(A, driving=B), "driving: needs weights")
        refused(ArgumentError, lambda: plain.pose(A), "pose: needs weights", "checkpoint.pth.tar")
        assert plain.networks == ()


def test_networks_are_loaded_at_their_first_use(folder) -> None:
    with Engine(folder, landmarks=None, backend="native", precision="fp32", device="cpu") as fresh:
        networks = fresh._pipeline.driver.networks
        assert networks._places == {}
        fresh.swap(A, B, reenact=False)
        assert networks._places == {}
        fresh.restore(np.zeros((32, 40, 3), np.uint8))
        assert set(networks._places) == {"rrdbnet", "retinaface"} | (
            {"gpen", "parsenet"} & set(networks._places)
        )


def test_a_restored_photo_keeps_the_form_of_its_file(engine, tmp_path) -> None:
    from PIL import Image

    photo = np.random.default_rng(0).integers(0, 256, (36, 40, 4), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png", dpi=(300, 300))
    restored = engine.restore(tmp_path / "photo.png")
    assert restored.image.shape == (144, 160, 3) and restored.mask.shape == (144, 160)
    restored.save(tmp_path / "restored.png")
    with Image.open(tmp_path / "restored.png") as saved:
        assert saved.mode == "RGBA" and saved.size == (160, 144)
        assert [round(value) for value in saved.info["dpi"]] == [300, 300]


def test_photos_too_large_to_restore_are_refused_before_memory_is_taken(engine) -> None:
    large = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (3600, 3600, 3))
    refused(ImageError, lambda: engine.restore(large), "3600 x 3600 pixels, at most 12.5 million")
