"""Cubins without a GPU: which kernels compile, the compiler's report, and the cache on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import interpreted  # noqa: F401
import pytest

from e4s_engine import kernels
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.errors import BackendError
from e4s_engine.kernels.launch import Launch, Operand

# fp32 has other tiles, the same on all cards; fp16 has those of bf16. sm_80 has least registers to spare.
FIRST = (80, "bf16")
WANTED = [
    pytest.param(arch, precision, marks=() if (arch, precision) == FIRST else pytest.mark.sweep)
    for arch, precision in [*((arch, "bf16") for arch in compiling.ARCHITECTURES), (90, "fp32")]
]

# Every kernel of the published networks, in a separate process: in this one kernels may be interpreted. The
# detector and the restoration have many sizes, which take time to compile: one card stands for all, and small
# networks that take every one of their steps run on each.
ALL = """
import json, sys
from e4s_engine import ops
from e4s_engine.backends import plans
from e4s_engine.backends.cuda import ahead, compile, swap, workers
from e4s_engine.kernels.launch import Program
from e4s_engine.networks import registry
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.rrdbnet.config import RealESRGANConfig, RRDBConfig
from e4s_engine.networks.segnext.config import SegNeXtConfig
from e4s_engine.plan import Plan
from e4s_engine.pipeline.loading import BUNDLED
from e4s_engine.plan.fuse import fuse
from e4s_engine.weights import open_model

def affine(precision):
    plan = Plan(precision)
    w = plan.weights({"w": (32, 3, 3, 3), "slope": (32,)}, "affine")
    pixels = ops.record.from_uint8(plan.pixels(1, 16, 16), -1, 1)
    plan.output(ops.record.activation(ops.record.conv2d(pixels, w["w"], relu=True), prelu=w["slope"]))
    return Program(fuse(plan)).launches

def demo(precision):
    swapped = swap.record(open_model(BUNDLED, "rgi").config, precision, 1, None, swap.Recipe(0, True))
    return swapped.composition + swapped.paste

def whole(config, precision):
    names = registry.of(config).functions
    return [l for name in names for l in Program(plans.example(config, name, precision)).launches]

LARGE = [
    DetectorConfig(), ParseNetConfig(), RRDBConfig(), GPENConfig(), FaceVid2VidConfig(), SegNeXtConfig(),
    RealESRGANConfig(blocks=1), SegNeXtConfig(depths=(1, 1, 1, 1), head=1024, rank=64, classes=150),
    RecolorConfig(), InpaintConfig(),
]
SMALL = [
    ParseNetConfig(widths=(32, 64), blocks=1), RRDBConfig(blocks=1), GPENConfig(channels=(64, 64, 32)),
    SegNeXtConfig((32, 64, 96, 128), (1, 1, 1, 1), head=64, rank=64),
    FaceVid2VidConfig(
        depth=4, widest=64, levels=2, first=(32, 32, 64), width=64, out=32, middle=1, hidden=32, pose=16,
        blocks=(1, 1, 1, 1),
    ),
    RecolorConfig(layers=(32,) * 5, features=64, hidden=32, unet=(32, 32, 32, 32), side=64),
    InpaintConfig(channels=(64, 32), narrow=32, latent=64),
]

if __name__ == "__main__":
    arch, precision = int(sys.argv[1]), sys.argv[2]
    listed = affine(precision) + demo(precision)
    for batch in map(int, sys.argv[3:]):
        listed += ahead.launches(precision, arch, batch)
    for config in LARGE if arch == 90 else SMALL:
        listed += whole(config, precision)
    launches = compile.distinct(listed, arch)
    for launch, manifest in zip(launches.values(), workers.warm(launches.values(), arch, jobs=2)):
        print(json.dumps(manifest | {"may_spill": ahead.may_spill(launch, arch)}))
"""


def _launch(block: int = 256) -> Launch:
    """Return a launch of a small kernel, for the cache's tests."""
    return Launch(
        "to_uint8.to_uint8",
        {"x": Operand(0, "f32"), "y": Operand(1, "u8")},
        ("y",),
        {"ROWS": 100, "X_PIXEL": 4, "BLOCK": block},
        (1, 1),
        1,
    )


@pytest.mark.parametrize(("arch", "precision"), WANTED)
def test_every_kernel_compiles_without_spills(tmp_path: Path, arch: int, precision: str) -> None:
    pytest.importorskip("triton", reason="compiling needs Triton (Linux: `pip install triton`)")
    (tmp_path / "all.py").write_text(ALL)
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    env[compiling.CACHE_VARIABLE] = str(tmp_path)
    batches = ["1"] if (arch, precision) == FIRST else ["1", "8"]
    command = [sys.executable, str(tmp_path / "all.py"), str(arch), precision, *batches]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = [json.loads(line) for line in done.stdout.splitlines()]
    # In fp32 a patch of the published layers has too many sums.
    more = {"box", "compose", "enlarge", "feather", "relight", "seams", "spread", "transposed", "winograd"}
    more |= {"patches"} if precision != "fp32" else set()
    assert {m["kernel"].partition(".")[0] for m in manifests} == {*kernels.STEPS, *more}
    for manifest in manifests:
        assert manifest["spills"] == 0 or manifest["may_spill"], manifest
        assert 0 < manifest["registers"] <= compiling.REGISTERS
        assert manifest["shared"] <= compiling.SHARED_LIMIT[arch]
        assert manifest["warps"] in (4, 8)


def test_the_cache_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged, half-written and foreign entries are compiled again; intact ones are not."""
    built: list[str] = []

    def build(launch: Launch, arch: int, name: str) -> tuple[dict[str, Any], bytes]:
        built.append(name)
        cubin = f"cubin {len(built)}".encode()
        return {"key": name, "cubin": compiling.hashlib.sha256(cubin).hexdigest()[:40]}, cubin

    monkeypatch.setattr(compiling, "build", build)
    first = compiling.get(_launch(), 90, tmp_path)
    assert compiling.get(_launch(), 90, tmp_path) == first and len(built) == 1
    manifest = tmp_path / f"{built[0]}.json"
    cubin = tmp_path / f"{first[0]['cubin']}.cubin"
    whole = manifest.read_text()
    for spoil in (
        lambda: cubin.write_bytes(b"cub"),
        cubin.unlink,
        lambda: manifest.write_text(whole[:-9]),
        lambda: manifest.write_text("[]"),
        lambda: manifest.write_text(whole.replace(built[0], "0" * 40)),
    ):
        before = len(built)
        spoil()
        assert compiling.get(_launch(), 90, tmp_path)[1] == f"cubin {before + 1}".encode()
        assert len(built) == before + 1
        compiling.store(tmp_path, *first)
    assert not list(tmp_path.glob(".e4s-*"))


def test_writers_at_the_same_time_leave_a_whole_entry(tmp_path: Path) -> None:
    def write(number: int) -> None:
        cubin = bytes([number]) * 5000
        name = compiling.hashlib.sha256(cubin).hexdigest()[:40]
        for _ in range(20):
            compiling.store(tmp_path, {"key": "k", "cubin": name}, cubin)
            assert compiling.load(tmp_path, "k") is not None

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = compiling.load(tmp_path, "k")
    assert loaded is not None and len(set(loaded[1])) == 1


def test_the_key_tells_everything_apart_that_changes_a_cubin(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {compiling.key(_launch(), 90), compiling.key(_launch(512), 90), compiling.key(_launch(), 80)}
    shifted = _launch()
    shifted.pointers["x"] = Operand(0, "f32", 1)  # no longer aligned to 16 bytes
    names.add(compiling.key(shifted, 90))
    monkeypatch.setattr(compiling.language, "VERSION", "0")
    names.add(compiling.key(_launch(), 90))
    monkeypatch.setattr(compiling, "source_hash", lambda module: "other")
    names.add(compiling.key(_launch(), 90))
    assert len(names) == 6


def test_without_triton_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.language, "triton", None)
    with pytest.raises(BackendError, match=r"to_uint8 for sm_90 .*pip install e4s_engine\[cuda\]"):
        compiling.get(_launch(), 90, tmp_path)


def test_nothing_needs_triton_to_import() -> None:
    code = (
        "import sys; sys.modules['triton'] = None; sys.modules['torch'] = None\n"
        "from e4s_engine import kernels\n"
        "from e4s_engine.backends.cuda import ahead\n"
        "print(len(ahead.launches('bf16', 90)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and int(done.stdout) > 200, done.stderr
