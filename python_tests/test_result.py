"""Results and faces, which the engine returns."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import NotPicklableError
from e4s_engine.photo import blend, images
from e4s_engine.pipeline import compose
from e4s_engine.result import Face, Lazy, Result

FIELDS = ("image", "face", "labels", "holes", "crop", "changed")
ZEROS = np.zeros((4, 4, 3), np.uint8)
FIVE = np.array([[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]], float)


def result(**values):
    return Result(**(dict.fromkeys(FIELDS, ZEROS) | values))


@pytest.mark.parametrize("make", [result, lambda: Face(ZEROS, ZEROS)], ids=["result", "face"])
def test_results_and_faces_compare_by_identity(make) -> None:
    """Comparing arrays would raise: neither could then be a key or be looked up in a list."""
    one, other = make(), make()
    assert one == one and one != other  # noqa: PLR0124
    assert len({one, other, one}) == 2 and [one, other].index(other) == 1


def test_a_result_does_not_change() -> None:
    made = result()
    for name in (*FIELDS, "resident"):
        with pytest.raises(AttributeError):
            setattr(made, name, ZEROS)


def test_a_result_is_one_line() -> None:
    assert repr(result(image=np.zeros((40, 30, 3), np.uint8))) == "<Result: 30 x 40 pixels>"


def test_what_the_engine_returns_is_one_line(engine, face, tiny_weights) -> None:
    swapped = engine.swap(face, np.zeros((96, 96, 3), np.uint8), ["eyes"])
    portrait = engine.portrait(np.zeros((96, 96, 3), np.uint8))
    model = weights.load(tiny_weights / "model.safetensors", "rgi")
    shown = {
        face: "<Face: labels uint8 [512, 512], styles float32 [12, 80]>",
        swapped.faces[0]: "<SwappedFace: of landmarks or of the whole photo, eyes swapped>",
        portrait: "<Portrait: image, 96 x 96 pixels, parsed>",
        model: f"<Model: ModelConfig, {len(model.tensors)} tensors>",
        engine: f"<Engine: model.safetensors, native backend on cpu in {engine.precision}>",
    }
    for value, text in shown.items():  # as keys of a dict: they can be hashed
        assert repr(value) == text and value in [None, value]
    assert repr(Face(None, [1])) == "<Face: labels NoneType [], styles list []>"  # made by hand


@pytest.mark.parametrize("again", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_engine_says_how_to_use_processes(engine, again) -> None:
    with pytest.raises(NotPicklableError, match=r"let every process create its own.* process pool"):
        again(engine)


def test_a_closed_engine_says_so(tiny_weights) -> None:
    with Engine(tiny_weights / "model.safetensors", landmarks=None) as engine:
        pass
    assert repr(engine).endswith(", closed>")


def test_a_lazy_value_is_computed_once_whoever_reads() -> None:
    begun, calls = threading.Barrier(8), []

    def read(_):
        begun.wait()
        return value.get()

    value = Lazy(lambda: calls.append(1) or object())
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(8)))) == 1
    assert calls == [1]


def test_a_lazy_value_that_fails_is_tried_again() -> None:
    outcomes = iter([ValueError("not yet"), 3])

    def compute():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    value = Lazy(compute)
    with pytest.raises(ValueError, match="not yet"):
        value.get()
    assert value.get() == value.get() == 3


@pytest.mark.parametrize("again", [lambda r: pickle.loads(pickle.dumps(r)), copy.copy, copy.deepcopy])
def test_copies_hold_the_same(engine, people, again) -> None:
    (a, a_labels), (b, b_labels), _ = people
    made = engine.swap(a, b, source_labels=a_labels, target_labels=b_labels)
    other = again(made)
    assert type(other) is Result and other != made and other.resident is None
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(other, name), getattr(made, name))


@pytest.mark.parametrize("chosen", [None, ["eyes"], []], ids=["face", "eyes", "nothing"])
@pytest.mark.parametrize("mode", blend.MODES)
@pytest.mark.parametrize("place", ["aligned", "small", "landmarks"])
def test_everything_else_is_the_targets(engine, people, chosen, mode, place) -> None:
    """`changed` is where the opacity in the photo is above 0, `crop` is what `engine.crop` returns."""
    (a, a_labels), (b, b_labels), _ = people
    photo = {"aligned": b, "small": b[:200, :200], "landmarks": b[:96, :120]}[place]
    points = FIVE if place == "landmarks" else None
    labels = {"source_labels": a_labels, "target_labels": b_labels}
    made = engine.swap(a, photo, chosen, blend=mode, target_landmarks=points, **labels)
    assert made.changed.dtype == bool and made.changed.shape == photo.shape[:2]
    np.testing.assert_array_equal(made.image[~made.changed], photo[~made.changed])
    assert made.changed.any() == (chosen != [])
    np.testing.assert_array_equal(made.crop, engine.crop(photo, landmarks=points))
    if place != "landmarks" and chosen is None and mode not in blend.PYRAMIDS:
        foreground = compose.whole_face_foreground(made.labels, made.holes)
        opacity = blend.alpha(foreground, mode)
        side = len(photo)
        shown = images.resize(opacity, side, side, Image.Resampling.BILINEAR) > 0
        np.testing.assert_array_equal(made.changed, shown)
    elif place == "landmarks" and chosen is not None:
        assert made.changed.sum() < made.changed.size / 2


def test_results_share_a_crop_that_none_can_change(engine, people) -> None:
    (a, a_labels), (b, b_labels), (c, c_labels) = people
    made = engine.swap_batch([a, c], [b, b], source_labels=[a_labels, c_labels], target_labels=[b_labels] * 2)
    assert np.shares_memory(made[0].crop, made[1].crop)
    with pytest.raises(ValueError, match="read-only"):
        made[0].crop[0] = 0
    assert made[0].image.flags.writeable and not np.shares_memory(made[0].image, made[0].crop)
