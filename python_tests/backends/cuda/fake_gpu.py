"""The whole CUDA path except the arithmetic, over a fake driver that counts its calls (fake_cuda.c).

Not collected by itself: `test_cuda_driver.py` builds that driver and runs this file in a separate process.
One file for that reason, though longer than others: all its tests share the process and its driver.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import dataclasses
import gc
import importlib.util
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FAKE = ctypes.CDLL(os.environ["FAKE_CUDA"])  # before the extension looks for a driver

from tiny_tools import TINY, TINY_PARSER  # noqa: E402

from e4s_engine import Steady, _native, backends, regions, weights  # noqa: E402
from e4s_engine.backends.cuda import ahead, archive, tune, workers  # noqa: E402
from e4s_engine.backends.cuda import backend as cuda  # noqa: E402
from e4s_engine.backends.cuda import compile as compiling  # noqa: E402
from e4s_engine.backends.cuda import swap as swaps  # noqa: E402
from e4s_engine.backends.plans import example  # noqa: E402
from e4s_engine.engine import Engine  # noqa: E402
from e4s_engine.errors import (  # noqa: E402
    ArgumentError,
    BackendError,
    DeviceLostError,
    DeviceMemoryError,
    LabelsError,
)
from e4s_engine.kernels import tiles  # noqa: E402
from e4s_engine.kernels.launch import Program  # noqa: E402
from e4s_engine.testing.portraits import portrait  # noqa: E402
from e4s_engine.video import lines  # noqa: E402

OUT_OF_MEMORY, ILLEGAL_ADDRESS, OTHER = 2, 700, 1
ALIVE = ("memory", "bytes", "locked", "modules", "streams", "graphs", "execs", "contexts")
CALLS = (
    "cuMemAlloc_v2",
    "cuMemHostAlloc",
    "cuStreamCreate",
    "cuGraphAddKernelNode",
    "cuGraphInstantiateWithFlags",
    "cuModuleLoadData",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuGraphLaunch",
    "cuStreamSynchronize",
)
LABELS = np.random.default_rng(3).integers(0, regions.COUNT, (64, 64), dtype=np.uint8)
CROP, CROP_LABELS = portrait(0)
KNOWN = {"source_labels": CROP_LABELS, "target_labels": CROP_LABELS}
A, B = (np.random.default_rng(s).integers(0, 256, (96, 96, 3), dtype=np.uint8) for s in (1, 2))


def count(name: str) -> int:
    return ctypes.c_long.in_dll(FAKE, f"fake_{name}").value


def alive() -> dict[str, int]:
    return {name: count(name) for name in ALIVE}


def fail(name: str, code: int, after: int = 0, forever: bool = False) -> None:
    FAKE.fake_fail(name.encode(), code, after, int(forever))


def limit(bytes_: int) -> None:
    ctypes.c_long.in_dll(FAKE, "fake_limit").value = bytes_


GET, READY = compiling.get, workers.ready  # not the fixture's


@pytest.fixture(autouse=True)
def books(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Supply fake cubins; after every test, check that nothing leaked and no call was wrong."""

    def get(launch: Any, arch: int) -> tuple[dict[str, Any], bytes]:
        return {"entry": launch.kernel, "shared": 0, "warps": launch.tile.warps, "scratch": 2}, b"cubin"

    monkeypatch.setattr(compiling, "get", get)
    monkeypatch.setattr(workers, "ready", lambda launches, arch: None)
    fail("", 0)
    limit(0)
    yield
    assert count("wrong") == 0
    assert not any(alive().values()), alive()


@pytest.fixture
def made(tiny_weights: Path) -> Iterator[Engine]:
    with Engine(
        tiny_weights / "model.safetensors", backend="native", device="cuda", precision="bf16"
    ) as engine:
        yield engine


def swap(engine: Engine) -> Any:
    return engine.swap(A, B, source_labels=LABELS, target_labels=LABELS)


def test_a_card_with_kernels_is_what_auto_takes(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _native.cuda_architectures() == [90]
    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    file = tiny_weights / "model.safetensors"
    spec = importlib.util.find_spec
    without = lambda name, *rest: None if name == "triton" else spec(name, *rest)  # noqa: E731
    monkeypatch.setattr(backends.importlib.util, "find_spec", without)
    assert not backends._kernels_at_hand("cuda")
    compiling.store(tmp_path / "kernels", {"key": "k", "cubin": "c", "arch": 90}, b"cubin")
    assert backends._kernels_at_hand("cuda") and not backends._kernels_at_hand("cuda:3")
    with Engine(file) as engine:
        assert (engine.backend, engine.device, engine.precision) == ("native", "cuda:0", "bf16")
        backend: Any = engine._pipeline.backend  # type: ignore[union-attr]
        precisions = {name.partition(" ")[0]: plan.precision for name, plan in backend._examples()}
        assert precisions == {"encode": "bf16", "decode": "bf16", "parse": "fp16"}
    with Engine(file, device="cpu") as engine:
        assert (engine.backend, engine.device) == ("native", "cpu")


def test_an_archive_of_kernels_stands_in_for_the_compiler(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With all kernels in the archive an engine needs neither a cache nor Triton."""
    entries: dict[str, archive.Entry] = {}
    fake = compiling.get

    def noted(launch: Any, arch: int) -> archive.Entry:
        key = compiling.key(launch, arch)
        more = {"key": key, "kernel": launch.kernel, "arch": arch, "cubin": "c", "registers": 1, "spills": 0}
        more |= {"stages": launch.tile.stages, "constants": launch.constants}
        entries[key] = fake(launch, arch)[0] | more, b"cubin"
        return entries[key]

    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    file = tiny_weights / "model.safetensors"
    with monkeypatch.context() as patch, Engine(file, backend="native", device="cuda") as engine:
        patch.setattr(compiling, "get", noted)
        swap(engine)
    archive.write(tmp_path / "kernels.zip", {90: list(entries.values())})
    monkeypatch.setattr(compiling, "get", GET)
    monkeypatch.setattr(workers, "ready", READY)
    monkeypatch.setattr(compiling.language, "triton", None)
    with Engine(file, backend="native", device="cuda") as engine:
        with pytest.raises(BackendError, match="Triton is not installed"):
            swap(engine)
        monkeypatch.setattr(archive, "SHIPPED", tmp_path / "kernels.zip")
        assert swap(engine).image.shape == B.shape
    assert not (tmp_path / "kernels").exists()


def test_what_engines_run_is_compiled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path
) -> None:
    """Every kind of swap, or an engine without Triton would miss a kernel in the middle of a call."""
    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    config = dataclasses.replace(TINY, size=1024, channels=(8,) * 9, latents=18)
    weights.save(weights.random_model(config), tmp_path / "w.safetensors")
    asked: dict[str, str] = {}
    fake = compiling.get

    def noted(launch: Any, arch: int) -> Any:
        asked[compiling.key(launch, arch)] = launch.kernel
        return fake(launch, arch)

    monkeypatch.setattr(compiling, "get", noted)
    parser = tiny_weights / "parser.safetensors"
    with Engine(tmp_path / "w.safetensors", parser=parser, backend="native", device="cuda") as engine:
        face = engine.encode(CROP, CROP_LABELS, keep_photo=True)
        for count_ in (1, 3, 5):
            several = dict(zip(["eyes", "nose", "lips", "hair", "brows"][:count_], [face] * 5, strict=False))
            engine.swap(several, CROP, target_labels=CROP_LABELS, full_face=True)
            people = {name: engine.encode(CROP, CROP_LABELS) for name in several}
            engine.swap(people, face)
            pictures, labels = [CROP.copy() for _ in range(count_)], [CROP_LABELS] * count_
            engine.swap_batch(pictures, pictures, source_labels=labels, target_labels=labels)
        engine.swap_batch(face, [CROP] * 11, target_labels=[CROP_LABELS] * 11)
        engine.swap(CROP, CROP, relight=False, blend="multiband", **KNOWN)
        engine.decode(face.styles, CROP_LABELS)
        engine.parse(A, align=False)
    known = {
        compiling.key(launch, 90)
        for batch in ahead.BATCHES
        for launch in ahead.launches("bf16", 90, batch, [config, TINY_PARSER])
    }
    assert len(asked) > 50 and {asked[key] for key in set(asked) - known} == set()


def test_swaps_take_memory_once_and_closing_frees_it(made: Engine) -> None:
    assert (made.device, made.backend, made.precision) == ("cuda:0", "native", "bf16")
    assert swap(made).image.shape == B.shape
    before, nodes, launches = alive(), count("nodes"), count("launches")
    for _ in range(3):
        swap(made)
    assert alive() == before and count("nodes") == nodes and count("launches") == launches + 3
    assert made.parse(A).shape == (512, 512)
    made.close()
    assert not any(alive().values())


def test_threads_share_two_instances_of_each_graph(made: Engine) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: swap(made), range(18)))
    assert all(np.array_equal(result.image, results[0].image) for result in results)
    assert count("execs") <= 2


def test_short_memory_frees_what_lies_idle(made: Engine) -> None:
    made.encode(A, LABELS)
    assert count("execs") == 1
    limit(count("bytes"))
    made.decode(np.zeros((regions.COUNT, made.config.style_dim), np.float32), LABELS)
    assert count("execs") == 1  # the encoder's graph was freed to make room


def test_no_memory_at_all_is_an_error_and_the_engine_works_on(made: Engine) -> None:
    swap(made)
    limit(1)
    with pytest.raises(DeviceMemoryError, match=r"CUDA_ERROR_OUT_OF_MEMORY \(so it was told\)"):
        made.parse(A)
    limit(0)
    made.parse(A)
    swap(made)


def test_calls_take_turns_where_there_is_no_memory_for_one_more(made: Engine) -> None:
    made.encode(A, LABELS)
    limit(count("bytes"))
    with ThreadPoolExecutor(4) as pool:
        faces = list(pool.map(lambda _: made.encode(A, LABELS), range(12)))
    assert len(faces) == 12 and count("execs") == 1


@pytest.mark.parametrize("call", CALLS)
def test_whatever_fails_leaks_nothing_and_the_next_call_works(made: Engine, call: str) -> None:
    fail(call, OTHER)
    with pytest.raises(BackendError, match=r"device: .* failed: CUDA_ERROR_OTHER"):
        swap(made)
    swap(made)


def test_an_engine_that_cannot_load_leaves_nothing(tiny_weights: Path) -> None:
    for call in ("cuMemAlloc_v2", "cuMemcpyHtoDAsync_v2", "cuStreamSynchronize"):
        for after in (0, 7):
            fail(call, OUT_OF_MEMORY, after)
            with pytest.raises(DeviceMemoryError):
                Engine(tiny_weights / "model.safetensors", backend="native", device="cuda")
    with pytest.raises(BackendError, match="cuda:3 does not exist, this machine has 1"):
        Engine(tiny_weights / "model.safetensors", backend="native", device="cuda:3")


@pytest.mark.parametrize("call", ["cuGraphLaunch", "cuGraphInstantiateWithFlags", "cuStreamSynchronize"])
def test_a_lost_device_is_said_by_every_later_call(made: Engine, call: str) -> None:
    made.parse(A)
    fail(call, ILLEGAL_ADDRESS)
    for _ in range(3):
        with pytest.raises(DeviceLostError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS.*start anew"):
            swap(made)
    launches = count("launches")
    with pytest.raises(DeviceLostError):
        made.parse(A)
    assert count("launches") == launches


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Engine]:
    """Make an engine whose pictures have the crop's size."""
    config = dataclasses.replace(TINY, size=1024, channels=(8,) * 9, latents=18)
    weights.save(weights.random_model(config), tmp_path / "w.safetensors")
    with Engine(tmp_path / "w.safetensors", backend="native", device="cuda") as engine:
        yield engine


def test_a_published_swap_is_one_launch(whole: Engine) -> None:
    launches = count("launches")
    made = whole.swap(CROP, CROP, **KNOWN, full_face=True)
    assert count("launches") == launches + 1
    assert made.image.shape == made.face.shape == (1024, 1024, 3) and made.resident is None
    assert count("launches") == launches + 1
    whole.swap(CROP, CROP, ["eyes", "lips"], **KNOWN)  # the same graph
    assert count("launches") == launches + 2 and count("execs") == 1
    assert np.array_equal(whole.swap(CROP, CROP, [], **KNOWN).image, CROP)
    assert count("launches") == launches + 2
    made = whole.swap(CROP, CROP, "face", extent=0.5, shape=False, **KNOWN)
    assert count("launches") == launches + 3 and count("execs") == 1
    assert made.face.shape == made.face.shape == (1024, 1024, 3)
    assert count("launches") == launches + 4  # the rest of the face, generated once


def test_a_cached_face_is_one_launch(whole: Engine) -> None:
    face = whole.encode(CROP, CROP_LABELS)
    launches = count("launches")
    for regions_ in (None, ["eyes"]):
        made = whole.swap(face, CROP, regions_, target_labels=CROP_LABELS)
        assert made.image.shape == (1024, 1024, 3)
    assert count("launches") == launches + 2
    resident = whole.swap(face, Interface(CROP), target_labels=CROP_LABELS)
    assert resident.resident is not None and count("launches") == launches + 3
    several = {"eyes": face, "nose": CROP}
    whole.swap(several, CROP, source_labels={"nose": CROP_LABELS}, target_labels=CROP_LABELS)
    assert count("launches") == launches + 5  # an encode, and the swap
    many = whole.swap_batch(face, [CROP] * 20, target_labels=[CROP_LABELS] * 20)
    assert len(many) == 20 and count("launches") == launches + 8


def test_a_swap_between_faces_encodes_nobody(whole: Engine) -> None:
    face, target = whole.encode(CROP, CROP_LABELS), whole.encode(CROP, CROP_LABELS, keep_photo=True)
    whole.swap(face, target, ["eyes"])
    nodes, launches, copies = count("nodes"), count("launches"), count("copies")
    made = whole.swap(face, target, ["eyes", "lips"], extent=0.5)
    assert count("launches") == launches + 1 and count("nodes") == nodes
    # Vectors and labels of both, a picture, flags, settings, reach; a picture, vectors and two maps back.
    assert count("copies") == copies + 12 and made.image.shape == CROP.shape
    whole.swap(CROP, target, source_labels=CROP_LABELS)
    assert count("launches") == launches + 3  # an encode of the source, and the swap


def test_frames_of_a_clip_are_swapped_from_style_vectors_that_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_faces = pytest.importorskip("video_faces", reason="needs PyAV")
    # Paper kernels leave zeros, which count as regions that no encoding has seen.
    monkeypatch.setattr(lines, "lacking", lambda labels, styles: np.zeros(len(styles), np.bool_))
    # One graph per key: whether two calls meet, so that a second one is built, is a matter of time.
    monkeypatch.setattr(cuda, "IN_FLIGHT", 1)
    config = dataclasses.replace(TINY, size=1024, channels=(8,) * 9, latents=18)
    weights.save(weights.random_model(config), tmp_path / "w.safetensors")
    with Engine(
        tmp_path / "w.safetensors",
        backend="native",
        device="cuda",
        parser=lambda image: CROP_LABELS,
        landmarks=video_faces.Painted(),
    ) as engine:
        source = engine.encode(CROP, CROP_LABELS)
        frames, steady = video_faces.drawn(24), Steady(every=8)
        list(engine.video(source, frames, steady=steady))  # builds the graphs
        launches, nodes = count("launches"), count("nodes")
        made = list(engine.video(source, frames, steady=steady))
        assert [one.tracks for one in made] == [(0,)] * 24 and made[3].image.shape == frames[3].shape
        # Encodings of the frames 0, 8, 16 and 23, and three graphs of eight swaps that encode nobody.
        assert count("launches") == launches + 4 + 3 and count("nodes") == nodes


def test_photos_with_landmarks_are_pasted_on_the_host(whole: Engine) -> None:
    five = np.array([[400, 420], [620, 420], [512, 560], [430, 680], [600, 680]], float)
    for blend in ("feather", "none", "multiband"):
        made = whole.swap(CROP, CROP, target_landmarks=five, blend=blend, **KNOWN)
        assert made.image.shape == CROP.shape and made.resident is None


# Pictures on the device


class Interface:
    """Array with the interface of CuPy's and torch's arrays."""

    def __init__(self, array: np.ndarray, **more: Any) -> None:
        self.array = array
        told = {"shape": array.shape, "typestr": "|u1", "data": (array.ctypes.data, False), "version": 3}
        self.__cuda_array_interface__ = told | more

    def get(self) -> np.ndarray:
        return self.array


def lent(device: Any, value: int) -> Any:
    """Make a crop on the device, filled with one value."""
    made = _native.CudaArray(device, (1024, 1024, 3))
    ctypes.memset(made.pointer, value, made.nbytes)
    return made


def test_arrays_travel_by_dlpack() -> None:
    array = _native.CudaArray(_native.CudaDevice(0), (2, 3, 4))
    ctypes.memmove(array.pointer, bytes(range(24)), 24)
    assert np.array_equal(np.asarray(array), np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    assert array.__dlpack_device__() == (2, 0) and array.__cuda_array_interface__["data"][0] == array.pointer
    capsule = array.__dlpack__(stream=1)
    pointer = array.pointer
    del array
    gc.collect()
    assert count("memory") == 1  # the capsule keeps the memory alive
    assert _native.dlpack_seen(capsule) == (pointer, [2, 3, 4], 0, True)
    del capsule
    assert _native.dlpack_seen(np.zeros(3, np.uint8).__dlpack__()) is None
    with pytest.raises(ValueError, match="PyCapsule"):
        _native.dlpack_seen(3)
    for shape in ((0, 3), (1 << 20,), (1, -1)):
        with pytest.raises(ArgumentError):
            _native.CudaArray(_native.CudaDevice(0), shape)


def test_slots_are_copied_from_and_to_the_device() -> None:
    """A graph of one slot and no kernels returns its input, from either side to either side."""
    device = _native.CudaDevice(0)
    graph = _native.CudaGraph(device, [12, 12], [])
    source, target = (_native.CudaArray(device, (12,)) for _ in range(2))
    ctypes.memmove(source.pointer, bytes(range(12)), 12)
    waits = count("waits")
    graph.run({0: source}, {0: target}, [1, 2])
    assert bytes(target.numpy()) == bytes(range(12)) and count("waits") == waits + 2
    back = np.zeros(12, np.uint8)
    graph.run({0: (source.pointer, 12), 1: np.full(12, 7, np.uint8)}, {0: back, 1: target})
    assert bytes(back) == bytes(range(12)) and set(target.numpy()) == {7}
    thirds = [np.full(4, i, np.uint8) for i in range(3)]
    made = [np.zeros(4, np.uint8) for _ in thirds]
    graph.run({0: thirds}, {0: made})
    assert np.array_equal(made, thirds)
    with pytest.raises(ArgumentError, match="must be of 6 bytes"):
        graph.run({0: thirds[:2]}, {})
    for wrong in ({0: (source.pointer, 11)}, {2: source}, {0: _native.CudaArray(device, (13,))}):
        with pytest.raises(ArgumentError, match="graph: "):
            graph.run(wrong, {})


def test_a_swap_of_resident_pictures_stays_on_the_device(whole: Engine) -> None:
    backend: Any = whole._pipeline
    device = backend.backend.linker.device
    a, b = lent(device, 1), lent(device, 2)
    whole.swap(a, b, **KNOWN)  # builds the graph
    copies, launches = count("copies"), count("launches")
    made = whole.swap(a, b, **KNOWN)
    assert count("launches") == launches + 1
    # Two pictures, four label maps, flags, settings, reach, style vectors, the result and the target again.
    assert count("copies") == copies + 12
    assert made.resident.shape == (1024, 1024, 3) and made.resident.__dlpack_device__() == (2, 0)
    assert made.image.shape == made.face.shape == (1024, 1024, 3)
    assert made.labels.shape == made.holes.shape == (512, 512) and made.holes.dtype == bool
    assert whole.swap(made.resident, b, **KNOWN).resident is not None  # a result can be an input
    assert repr(made) == "<Result: 1024 x 1024 pixels, on a GPU>"
    ctypes.memset(b.pointer, 9, b.nbytes)  # the caller's next picture
    whole.close()  # the result outlives the engine
    assert np.array_equal(np.asarray(made.resident), made.image)
    assert (made.crop == 2).all() and made.changed.all()  # the kernels do nothing: the result is all zeros


def test_a_resident_result_copies_each_picture_once(whole: Engine) -> None:
    made = whole.swap(Interface(CROP), Interface(CROP), **KNOWN, full_face=True)
    copies = count("copies")
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: (made.image, made.face), range(8)))
    assert count("copies") == copies + 2
    assert all(image is made.image and face is made.face for image, face in seen)
    again = copy.deepcopy(made)
    assert again.resident is None and np.array_equal(again.image, made.image)


def test_arrays_with_an_interface_are_taken_where_they_are(whole: Engine) -> None:
    waits = count("waits")
    made = whole.swap(Interface(CROP, stream=5), Interface(CROP), **KNOWN)
    assert made.resident is not None and count("waits") == waits + 2  # caller's stream, default stream


def test_arrays_on_another_device_are_not_taken(whole: Engine) -> None:
    ordinal = ctypes.c_long.in_dll(FAKE, "fake_ordinal")
    for number, taken in ((1, False), (0, True)):
        ordinal.value = number
        made = whole.swap(Interface(CROP), Interface(CROP), **KNOWN)
        assert (made.resident is not None) == taken


@pytest.mark.parametrize(
    "other",
    [
        lambda: Interface(np.ascontiguousarray(CROP[:512, :512])),
        lambda: Interface(CROP, strides=(1, 3, 3072)),
        lambda: CROP,
    ],
    ids=["small", "turned", "numpy"],
)
def test_other_arrays_go_through_the_cpu(whole: Engine, other: Callable[[], Any]) -> None:
    assert whole.swap(Interface(CROP), other(), **KNOWN).resident is None
    assert whole.swap(Interface(CROP), Interface(CROP), "face", blend="none", **KNOWN).resident is None


def test_what_a_swap_left_on_the_device_goes_into_any_other(whole: Engine) -> None:
    left = whole.swap(Interface(CROP), Interface(CROP), **KNOWN).resident
    assert whole.swap(left, left, iter(["lips"]), **KNOWN).resident is not None
    again = whole.swap(left, left, "lips", blend="none", **KNOWN)  # not as published: through the CPU
    assert again.image.shape == (1024, 1024, 3) and again.resident is None


def test_labels_of_resident_pictures_are_checked(whole: Engine) -> None:
    with pytest.raises(LabelsError, match="source labels"):
        whole.swap(Interface(CROP), Interface(CROP), source_labels=LABELS + 99, target_labels=LABELS)
    with pytest.raises(LabelsError, match="source: this engine has no parser"):
        whole.swap(Interface(CROP), Interface(CROP))


# Times


def test_time_is_the_devices(made: Engine) -> None:
    backend: Any = made._pipeline
    measure: Callable[..., float] = backend.backend.time
    styles = np.zeros((1, regions.COUNT, made.config.style_dim), np.float32)
    copies = count("copies")
    assert measure("rgi", "decode", [styles, CROP_LABELS[None]], 3) == pytest.approx(2.0)
    assert count("copies") >= copies + 2  # the inputs, before the launches that are timed


def test_the_tuner_times_products_and_whole_networks() -> None:
    """A product whose depth is split is timed with the launch that sums its parts."""
    model = weights.random_model(dataclasses.replace(TINY, channels=(32,) * 5))
    program = Program(example(model.config, "decode", "bf16"))
    measure = tune.OnDevice(cuda.Linker(_native.CudaDevice(0)), [(program, model.tensors)], 3)
    problem = next(one for one in measure.problems if one.taps == 9)
    block = dataclasses.replace(tiles.default(problem), k=16, split=1)
    nodes = []
    for split in (block, dataclasses.replace(block, split=2)):
        before = count("nodes")
        assert measure(problem, split) > 0
        nodes.append(count("nodes") - before)
    assert nodes[1] == nodes[0] + 1
    before = count("nodes")
    assert measure.whole(problem, {}) > 0
    assert count("nodes") - before == len(program.launches)
    gc.collect()


def test_benchmarks_time_portraits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of zeros put every tile of a regional layer into one region, which is no swap of faces."""
    from benchmarks import gpu_kernels, gpu_times

    small = dataclasses.replace(TINY, size=1024, channels=(8,) * 9, latents=18)
    models = weights.random_model(small), weights.random_model(TINY_PARSER)
    monkeypatch.setattr(gpu_kernels, "models", lambda: models)
    options = argparse.Namespace(precisions=["bf16"], batches=[1, 3], runs=2)
    people = [portrait(0)[1], portrait(1)[1]]
    portraits = []
    fill, time = gpu_times.set_portraits, cuda.Cuda.time

    def filled(graph: Any, batch: int, *rest: Any, **more: Any) -> None:
        fill(graph, batch, *rest, **more)
        labels = [np.empty((batch, *CROP_LABELS.shape), np.uint8) for _ in people]
        names = ("source_labels", "target_labels")
        graph.run({}, {swaps.SLOTS.index(name): array for name, array in zip(names, labels, strict=True)})
        for i in range(batch):
            portraits.append(np.array_equal(labels[0][i], people[i % 2]))
            portraits.append(np.array_equal(labels[1][i], people[1 - i % 2]))

    def timed(self: Any, network: str, function: str, arrays: list[Any], runs: int) -> float:
        if network == "rgi":
            portraits.extend(np.array_equal(labels, people[i % 2]) for i, labels in enumerate(arrays[1]))
        return time(self, network, function, arrays, runs)

    monkeypatch.setattr(gpu_times, "set_portraits", filled)
    times = gpu_times.fused_swaps(_native.CudaDevice(0), options)
    assert {"bf16 1", "bf16 3", "bf16 1 full", "bf16 3 eyes, encoded"} <= set(times) and len(times) == 14
    assert len(portraits) == 7 * 8 and all(portraits)
    assert set(gpu_times.forms(_native.CudaDevice(0), options)) == {
        f"bf16 {batch} without {form}" for batch in (1, 3) for form in ("none", *tiles.FORMS)
    }
    assert len(portraits) == (7 + 1 + len(tiles.FORMS)) * 8 and all(portraits)
    portraits.clear()
    monkeypatch.setattr(cuda.Cuda, "time", timed)
    assert len(gpu_times.stages(options)) == 6
    assert len(portraits) == 2 * 6 * (1 + 3) and all(portraits)
    gc.collect()


def test_the_benchmark_of_public_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu_api, gpu_kernels

    small = dataclasses.replace(TINY, size=1024, channels=(8,) * 9, latents=18)
    models = weights.random_model(small), weights.random_model(TINY_PARSER)
    monkeypatch.setattr(gpu_kernels, "models", lambda: models)
    monkeypatch.setattr(gpu_api, "_on_card", Interface)
    monkeypatch.setattr(gpu_api, "BATCHES", (3,))
    monkeypatch.setattr(gpu_api, "_LEAST", 1)
    report = gpu_api.calls(argparse.Namespace(runs=1))
    assert set(report) == {"1024", "demo 256"} and report["demo 256"]["precision"] == "bf16"
    for one in report.values():
        assert len(one["ms"]) == 14 and all(ms > 0 for ms in one["ms"].values())
        assert one["graph_ms"] > 0 and {"read", "fused", "total", "rest"} <= set(one["stages_ms"])
    gc.collect()
