"""One person from several photos: means, and the best view of each region."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from api_tools import LABELS, A, B, C, refused
from PIL import Image, ImageFilter

from e4s_engine import regions, synth
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, ImageError
from e4s_engine.pipeline.loading import BUNDLED
from e4s_engine.result import Face
from e4s_engine.synth import params as P

SIDE = 256
CALM = dataclasses.replace(
    synth.scene(3),
    pose=P.Pose(0, 0, 0),
    occluder=P.Occluder("none", 1.0, 0.0),
    expression=synth.scene(0).expression,
)
ANN = dataclasses.replace(synth.person(4), glasses=P.Glasses("none"), earrings=P.Earrings("none"))
INNER = [regions.LIPS, regions.EYES, regions.NOSE, regions.SKIN, regions.EYEBROWS]


@pytest.fixture(scope="module")
def demo():
    with Engine(BUNDLED, device="cpu", precision="fp32", landmarks=None) as engine:
        yield engine


def view(engine, scene, person=ANN, blur=0.0):
    picture = synth.render(person, scene, SIDE, 2)
    image = Image.fromarray(picture.image).filter(ImageFilter.GaussianBlur(blur))
    return engine.encode(np.asarray(image), picture.labels, align=False)


@pytest.fixture(scope="module")
def views(demo):
    """Return Ann in four lights, seen from slightly different sides."""
    lit = [synth.scene(seed) for seed in (11, 12, 13, 14)]
    poses = [P.Pose(yaw, pitch, 0) for yaw, pitch in ((0, 0), (8, 2), (-8, -2), (4, 3))]
    scenes = [dataclasses.replace(CALM, light=s.light, pose=p) for s, p in zip(lit, poses, strict=True)]
    return [view(demo, scene) for scene in scenes]


def test_a_mean_of_views_is_nearer_to_a_view_that_it_does_not_contain(demo, views):
    *known, other = views
    mean = demo.average(known)
    errors = [np.linalg.norm((one.styles - other.styles)[INNER], axis=1) for one in (*known, mean)]
    assert errors[-1].sum() < 0.9 * np.mean([error.sum() for error in errors[:-1]])


def test_the_best_views_are_the_sharp_ones(demo, views):
    blurred, sharp = view(demo, CALM, blur=2.0), view(demo, CALM)
    best = demo.average([blurred, sharp], how="best")
    np.testing.assert_array_equal(best.styles[INNER], sharp.styles[INNER])
    assert best.thumbnail == sharp.thumbnail
    np.testing.assert_array_equal(best.labels, sharp.labels)


def test_a_region_that_a_view_hides_comes_from_another(demo):
    """Dark glasses are sharp, but they hide the eyes: those come from the softer photo."""
    shades = dataclasses.replace(ANN, glasses=P.Glasses("round", size=1.15, tint=0.95))
    hidden, soft = view(demo, CALM, shades), view(demo, CALM, blur=1.0)
    eyes = [np.count_nonzero(face.labels == regions.EYES) for face in (hidden, soft)]
    assert eyes[0] < 0.5 * eyes[1]
    best = demo.average([hidden, soft], how="best")
    np.testing.assert_array_equal(best.styles[regions.EYES], soft.styles[regions.EYES])
    np.testing.assert_array_equal(best.styles[regions.LIPS], hidden.styles[regions.LIPS])


def test_means_are_of_the_photos_that_show_a_region(engine):
    bald = np.where(LABELS == regions.HAIR, np.uint8(0), LABELS)
    one, two, three = engine.encode(A, LABELS), engine.encode(B, bald), engine.encode(C, LABELS)
    mean = engine.average([one, two, three])
    wanted = np.mean([one.styles, two.styles, three.styles], axis=0)
    wanted[regions.HAIR] = (one.styles + three.styles)[regions.HAIR] / 2
    # Nobody shows glasses: all count.
    np.testing.assert_allclose(mean.styles, wanted, atol=1e-5)
    assert mean.styles.dtype == np.float32 and mean.model == engine.fingerprint


def test_photos_faces_and_files_go_together(engine, tmp_path):
    portrait = engine.portrait(A, LABELS)
    face = dataclasses.replace(engine.encode(B, LABELS), consent="b agreed", licence="CC0")
    face.save(tmp_path / "b.face")
    mixed = engine.average([portrait, tmp_path / "b.face", face])
    wanted = engine.average([engine.encode(A, LABELS), face, face])
    np.testing.assert_array_equal(mixed.styles, wanted.styles)
    np.testing.assert_allclose(mixed.sharpness, wanted.sharpness)
    assert (mixed.consent, mixed.licence) == ("b agreed", "CC0")
    both = engine.average([face, dataclasses.replace(face, consent="a agreed")])
    assert both.consent == "b agreed\n\na agreed"
    engine.swap(mixed, C, ["eyes"], target_labels=LABELS)


@pytest.mark.parametrize("how", ["mean", "best"])
def test_one_photo_is_its_own_average(engine, how):
    face = engine.encode(A, LABELS)
    alone = engine.average([face], how=how)
    np.testing.assert_array_equal(alone.styles, face.styles)
    np.testing.assert_array_equal(alone.labels, face.labels)


def test_what_cannot_be_averaged(engine):
    face = engine.encode(A, LABELS)
    refused(ArgumentError, lambda: engine.average(A), "images: expected a list", "ndarray")
    refused(ArgumentError, lambda: engine.average([]), "images: ", "an empty one")
    refused(ArgumentError, lambda: engine.average([face], how="median"), "how: ", "'median'")
    by_hand = Face(face.labels, face.styles)
    assert engine.average([face, by_hand]).sharpness is None
    refused(ArgumentError, lambda: engine.average([face, by_hand], how="best"), "images[1]", "how='mean'")
    refused(ImageError, lambda: engine.average([face, b"no picture"]), "images[1]: ")


def test_blurred_photos_do_not_decide_what_is_hidden(engine):
    """A blurred photo is parsed badly: brows that it alone seems to show in full are not taken from it."""
    thin = LABELS.copy()
    thin[LABELS == regions.EYEBROWS] = regions.SKIN
    thin[200, 180:260] = regions.EYEBROWS
    sharp = engine.encode(A, thin)
    blurred = engine.encode(np.asarray(Image.fromarray(B).filter(ImageFilter.GaussianBlur(4))), LABELS)
    areas = [np.count_nonzero(face.labels == regions.EYEBROWS) for face in (sharp, blurred)]
    assert 0 < areas[0] < 0.5 * areas[1]
    best = engine.average([blurred, sharp], how="best")
    np.testing.assert_array_equal(best.styles[regions.EYEBROWS], sharp.styles[regions.EYEBROWS])
    assert best.thumbnail == sharp.thumbnail
