"""The whole published pipeline, from two aligned photos of different pose to a pasted result, stage by stage.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.published [--repeat 3] [--json]

Every form runs in a process of its own, so that peak memory is its own: the native runtime in bf16 (where the
processor has it) and fp32, and PyTorch in fp32 in the published form (every regional layer once per region).
Weights are random; since they find faces anywhere, the detector's answer is replaced, after it has run, by
one face in the middle of the picture. Medians over the swaps after the first, which loads the networks. The
pictures of every form (the driven face, the restored one, the result) are compared with PyTorch's: mean
differences of 8 bits.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.fresh import peak_mb
from e4s_engine import _native, ops, weights
from e4s_engine.engine import Engine
from e4s_engine.faces.face import DetectedFace
from e4s_engine.faces.retinaface import RetinaFace
from e4s_engine.networks import registry
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import driving, restore, stages
from e4s_engine.testing.portraits import portrait

PICTURES = ("driven", "restored", "result")
STAGES = ("reenact", "restore", "parse", "encode", "compose", "decode", "blend", "total")


class OneFace(RetinaFace):
    """The detector, with one face in the middle as its answer."""

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Run the network, and return the face that GPEN's template describes at the picture's size."""
        self._run(np.ascontiguousarray(image[None, ..., ::-1]))
        side = image.shape[0]
        box = np.array([0.2, 0.2, 0.8, 0.8]) * side
        return [DetectedFace(box, 1.0, restore.TEMPLATE * (side / restore.SIDE))]


def main() -> int:
    """Measure every form and print the table."""
    arguments = _arguments()
    if arguments.worker:
        print(json.dumps(measure(Path(arguments.folder), arguments.worker, arguments.repeat)))
        return 0
    forms = ["native_bf16"] * bool(_native.kernels("")[1]) + ["native_fp32", "torch_fp32"]
    with tempfile.TemporaryDirectory() as folder:
        for kind, network in registry.NETWORKS.items():
            weights.save(weights.random_model(network.config()), Path(folder) / f"{kind}.safetensors")
        found = {form: _in_a_process(form, folder, arguments.repeat) for form in forms}
        for form, values in found.items():
            values.update(_differences(Path(folder), form))
    facts = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    _print(found)
    if arguments.json:
        print(json.dumps({"forms": found, "machine": facts}))
    return 0


def measure(folder: Path, form: str, repeat: int) -> dict[str, float]:
    """Return the medians of a form's stages in seconds, the first swap's time and the peak memory in MB."""
    kind, _, precision = form.partition("_")
    vars(driving)["RetinaFace"] = OneFace
    backend: Any = "native" if kind == "native" else "reference"
    choice: Any = precision
    engine = Engine(folder, landmarks=None, device="cpu", backend=backend, precision=choice)
    if kind == "torch":
        runtime: Any = engine._running().backend
        runtime._ops = ops.published
    source, target = (portrait(seed)[0] for seed in (0, 1))
    times: list[dict[str, float]] = []
    for _ in range(repeat + 1):
        with stages.timed() as taken:
            result = engine.swap(
                source, target, reenact=True, restore=True, align=False, recolor=False, inpaint=False
            )
        times.append(taken)
    (driven,) = result.faces[0].driven
    pictures = (driven.reenacted, driven.restored, result.image)
    for name, picture in zip(PICTURES, pictures, strict=True):
        assert picture is not None
        np.save(folder / f"{form}_{name}.npy", picture)
    medians = {name: statistics.median(one.get(name, 0.0) for one in times[1:]) for name in STAGES}
    return {**medians, "first": times[0]["total"], "peak_mb": peak_mb()}


def _in_a_process(form: str, folder: str, repeat: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.published", "--worker", form, "--folder", folder]
    done = subprocess.run([*command, "--repeat", str(repeat)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _differences(folder: Path, form: str) -> dict[str, float]:
    """Return the mean differences of a form's pictures from PyTorch's."""
    pairs = {
        name: [np.load(folder / f"{one}_{name}.npy").astype(int) for one in (form, "torch_fp32")]
        for name in PICTURES
    }
    return {f"{name}_difference": float(np.abs(a - b).mean()) for name, (a, b) in pairs.items()}


def _print(found: dict[str, dict[str, float]]) -> None:
    print(
        f"{'form':14}" + "".join(f"{name:>9}" for name in (*STAGES, "first", "peak MB")) + "  against PyTorch"
    )
    whole = found["torch_fp32"]["total"]
    for form, values in found.items():
        cells = "".join(f"{values[name]:9.3f}" for name in (*STAGES, "first"))
        print(f"{form:14}{cells}{values['peak_mb']:9.0f}  {whole / values['total']:.1f}")
    for form, values in found.items():
        apart = ", ".join(f"{name} {values[f'{name}_difference']:.3f}" for name in PICTURES)
        print(f"{form}: mean difference from PyTorch, of 255: {apart}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
