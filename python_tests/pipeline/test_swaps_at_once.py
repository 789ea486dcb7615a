"""Fused swaps: which calls a backend gets, and that results equal those of the separate stages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_tools import TINY

from e4s_engine import Steady, regions, weights
from e4s_engine.backends import APART, PASTED
from e4s_engine.engine import Engine
from e4s_engine.networks.rgi import relight
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align, blend, images
from e4s_engine.pipeline import compose, generate, pipeline
from e4s_engine.pipeline.portraits import Job, Part, Regions, WholeFace
from e4s_engine.result import Face
from e4s_engine.testing.portraits import portrait

RESAMPLING = images.Image.Resampling.LANCZOS


class AtOnce:
    """Backend with the networks of another, and a fused `swap` composed of them."""

    def __init__(self, backend, lights=None):
        self._backend, self.batches, self.outputs, self.lights = backend, [], [], lights
        self.held = []  # style vectors of targets that were encoded before, or None

    swapper = property(lambda self: self)

    def resident(self, image):
        return None

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def swap(self, asks):
        self.batches.append(len(asks))
        self.outputs += [ask.outputs for ask in asks]
        return [self._one(ask) for ask in asks]

    def _face(self, pixels, labels):
        return Face(labels, self._backend.run("rgi", "encode", pixels[None], labels[None])[0])

    def _one(self, ask):
        target = object()
        self.held.append(ask.target_styles)
        if ask.target_styles is None:
            faces = {target: self._face(ask.target, ask.target_labels)}
        else:
            faces = {target: Face(ask.target_labels, ask.target_styles)}
        parts = []
        for given, flags in zip(ask.sources, ask.chosen, strict=True):
            face = self._face(*given[1::-1]) if given.styles is None else Face(given.labels, given.styles)
            faces[face] = face
            parts.append(Part(face, tuple(np.flatnonzero(flags & compose.TAKEN))))
        whole = (ask.chosen & compose.WHOLE).any()
        request = WholeFace() if whole else Regions(tuple(i for part in parts for i in part.ids))
        extent, *switches = ask.settings.tolist()
        names = compose.SETTINGS[1:]
        options = SwapOptions(extent=extent, **dict(zip(names, map(bool, switches), strict=True)))
        lights = self.lights if ask.relight else None
        one = pipeline._compose(Job(target, tuple(parts), request), faces, options, lights)
        face = generate.to_uint8(self._backend.run("rgi", "decode", one.styles[None], one.labels[None])[0])
        alpha = blend.alpha(one.foreground, "feather")
        large = images.resize(face, align.CROP, align.CROP, RESAMPLING)
        made = {
            "pasted": align.composite(ask.target, large, alpha),
            "picture": face,
            "styles": one.styles,
            "labels": one.labels,
            "holes": one.holes.astype(np.uint8),
            "foreground": one.foreground.astype(np.uint8),
            "opacity": alpha,
        }
        return {name: made[name] for name in ask.outputs}


@pytest.fixture
def at_once(tiny_weights):
    with Engine(tiny_weights / "model.safetensors", device="cpu") as engine:
        backend = AtOnce(engine._pipeline.backend)
        engine._pipeline = dataclasses.replace(engine._pipeline, backend=backend)
        yield engine, backend


PEOPLE = [portrait(seed) for seed in range(3)]
(A, A_LABELS), (B, B_LABELS), (C, _) = PEOPLE
KNOWN = {"source_labels": A_LABELS, "target_labels": B_LABELS}


FIELDS = ("image", "face", "labels", "holes", "crop", "changed")


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def test_a_swap_of_crops_is_done_in_one_go(at_once, engine):
    whole, backend = at_once
    assert same(whole.swap(A, B, **KNOWN), engine.swap(A, B, **KNOWN))
    for chosen in (["eyes", "lips"], "hair", "face"):
        assert same(whole.swap(A, B, chosen, **KNOWN), engine.swap(A, B, chosen, **KNOWN))
    assert same(whole.swap({"hair": A}, B), engine.swap({"hair": A}, B))
    assert same(whole.swap(A, C), engine.swap(A, C))  # the parser's labels
    assert same(whole.swap(A, A), engine.swap(A, A))
    assert backend.batches == [1] * 7


def test_what_a_source_hides_stays_the_targets(at_once, engine):
    whole, _ = at_once
    glasses = np.where(A_LABELS == regions.EYES, regions.GLASSES, A_LABELS).astype(np.uint8)
    known = {"source_labels": glasses, "target_labels": B_LABELS}
    assert (engine.swap(A, B, "face", **known).labels == regions.EYES).any()
    assert not (engine.swap(A, B, **known).labels == regions.EYES).any()  # as published
    assert np.array_equal(engine.swap(A, B, ["eyes"], **known).image, B)
    for chosen in (None, ["eyes"], ["eyes", "nose"]):
        assert same(whole.swap(A, B, chosen, **known), engine.swap(A, B, chosen, **known))


@pytest.mark.parametrize(
    "options",
    [{"extent": 0.5}, {"texture": False}, {"shape": False}, {"hair_first": False}, {"earrings_first": True},
     {"hair_first": False, "earrings_first": True},
     {"blend": "none"}, {"blend": "multiband"}, {"regions": []}, {"regions": "hair", "shape": False},
     {"match": "color"}, {"regions": ["nose"]}],
    ids=str,
)  # fmt: skip
def test_it_follows_every_option(at_once, engine, options):
    whole, backend = at_once
    assert same(whole.swap(A, B, **options, **KNOWN), engine.swap(A, B, **options, **KNOWN))
    assert backend.batches == ([1] if options.get("regions", "face") else [])


def test_a_nose_takes_the_colours_of_the_targets(at_once, engine):
    """By default in partial swaps that are not relit; never in swaps of the face's skin, or of texture."""
    whole, backend = at_once
    pasted = engine.swap(A, B, ["nose"], match="none", **KNOWN)
    matched = engine.swap(A, B, ["nose"], **KNOWN)
    nose = (matched.labels == regions.NOSE).repeat(2, 0).repeat(2, 1) & matched.changed
    own = B[(B_LABELS == regions.NOSE).repeat(2, 0).repeat(2, 1)].mean(0)
    distances = [np.abs(made.image[nose].mean(0) - own).max() for made in (matched, pasted)]
    assert distances[0] < distances[1] / 2
    np.testing.assert_array_equal(matched.face, pasted.face)  # the generated picture stays as it was
    np.testing.assert_array_equal(matched.changed, pasted.changed)
    assert same(whole.swap(A, B, ["nose"], match="none", **KNOWN), pasted) and backend.batches == [1]
    for chosen, more in ((None, {}), ("face", {}), (["eyes"], {}), (["nose"], {"shape": False})):
        plain = engine.swap(A, B, chosen, match="none", **more, **KNOWN)
        assert same(engine.swap(A, B, chosen, **more, **KNOWN), plain)
    coloured = engine.swap(A, B, match="color", **KNOWN)
    assert not np.array_equal(coloured.image, engine.swap(A, B, **KNOWN).image)


def test_models_that_relight(at_once):
    whole, backend = at_once
    lit = weights.random_model(dataclasses.replace(TINY, relight=8), 0)
    layers = relight.layers(lit.tensors, np.stack)
    staged = dataclasses.replace(whole._pipeline, lights=layers, backend=backend._backend)
    whole._pipeline = dataclasses.replace(whole._pipeline, lights=layers)
    backend.lights = layers
    relit = whole.swap(A, B, **KNOWN)
    assert not np.array_equal(whole.swap(A, B, relight=False, **KNOWN).face, relit.face)
    assert backend.batches == [1, 1]
    whole._pipeline = staged
    assert same(whole.swap(A, B, **KNOWN), relit)


def test_other_inputs(at_once, engine):
    """Faces, several sources, photos of other sizes and photos with landmarks come out as from the stages."""
    whole, backend = at_once
    small = np.ascontiguousarray(B[::2, ::2])
    face = engine.encode(A, A_LABELS)
    five = np.array([[400, 420], [620, 420], [512, 560], [430, 680], [600, 680]], float)
    for source, target, more in (
        (A, small, {}),
        (face, B, {}),
        ({"hair": A, "nose": C}, B, {}),
        ({"hair": face, "nose": C}, B, {}),
        (A, B, {"target_landmarks": five}),
        (A, B, {"target_landmarks": five, "blend": "multiband"}),
    ):
        assert same(whole.swap(source, target, **more), engine.swap(source, target, **more))
    assert backend.batches == [1] * 6


def test_batches_go_together(at_once, engine):
    whole, backend = at_once
    for made, wanted in zip(whole.swap_batch([A, B], [C, A]), engine.swap_batch([A, B], [C, A]), strict=True):
        assert same(made, wanted)
    assert backend.batches == [2]
    for made, wanted in zip(whole.swap_batch(A, [B, C]), engine.swap_batch(A, [B, C]), strict=True):
        assert same(made, wanted)
    mixed = [whole.swap_batch(*jobs) for jobs in [([A, B], [C, B[::2, ::2].copy()])]]
    assert backend.batches == [2, 2, 1, 1] and len(mixed[0]) == 2


def test_a_grey_target_stays_grey(at_once, engine):
    """The face is made in one go, and pasted by the host."""
    whole, backend = at_once
    grey = np.repeat(B[..., :1], 3, axis=2)
    for chosen in (None, ["nose"]):
        result = whole.swap(A, grey, chosen, **KNOWN)
        assert (result.image == result.image[..., :1]).all() and result.changed.any()
        assert same(result, engine.swap(A, grey, chosen, **KNOWN))
    assert backend.outputs == [APART, APART]
    assert (whole.swap(grey, B, **KNOWN).image != B).any()
    assert backend.outputs[2:] == [PASTED]  # a grey source may be


def test_the_targets_earrings_stay_where_the_sources_cheek_would_cover_them(at_once, engine):
    """In the default, whatever the route; the published order paints them over."""
    whole, _ = at_once
    ringed = B_LABELS.copy()
    ringed[300:330, 150:165] = regions.EARRINGS  # where the source shows skin
    assert (A_LABELS[300:330, 150:165] == regions.SKIN).all()
    known = {"source_labels": A_LABELS, "target_labels": ringed}
    for kept in (whole.swap(A, B, **known), engine.swap(A, B, **known)):
        assert (kept.labels[300:330, 150:165] == regions.EARRINGS).all()
        np.testing.assert_array_equal(kept.image[620:640, 312:318], B[620:640, 312:318])
    for painted in (run.swap(A, B, earrings_first=True, **known) for run in (whole, engine)):
        assert (painted.labels[300:330, 150:165] == regions.SKIN).all()
        assert (painted.image[620:640, 312:318] != B[620:640, 312:318]).any()


@pytest.mark.parametrize(
    ("read", "lit", "more"),
    [(list, False, {"faces": "all"}), (iter, False, {"regions": ["eyes"]}), (list, True, {})],
    ids=["clip of two", "stream", "relit"],
)
def test_frames_bring_the_style_vectors_that_are_held(tiny_weights, read, lit, more):
    video_faces = pytest.importorskip("video_faces", reason="needs PyAV")
    frames, steady = video_faces.drawn(3, squares=2), Steady(every=2)
    relit = weights.random_model(dataclasses.replace(TINY, relight=8), 0)
    layers = relight.layers(relit.tensors, np.stack) if lit else None
    made = []
    with Engine(tiny_weights / "model.safetensors", device="cpu", landmarks=video_faces.Painted(2)) as engine:
        source, staged = engine.encode(A, A_LABELS), engine._pipeline
        backend = AtOnce(staged.backend, layers)
        for own in (staged.backend, backend):
            engine._pipeline = dataclasses.replace(staged, backend=own, lights=layers)
            made.append(list(engine.video(source, read(frames), steady=steady, **more)))
        engine._pipeline = staged
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.changed.any()
    assert len(backend.held) == (6 if "faces" in more else 3) and all(map(np.any, backend.held))
    assert set(map(tuple, backend.outputs)) == {APART}
