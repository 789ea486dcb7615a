"""A fresh process that creates an engine and swaps: its start-up times and peak memory, as one JSON object.

python -m benchmarks.fresh [weights.safetensors]
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Time the import, the engine's creation, the first and the second swap."""
    start = time.perf_counter()
    import e4s_engine

    imported = time.perf_counter()
    from e4s_engine import _native
    from e4s_engine.backends import Precision

    with tempfile.TemporaryDirectory() as folder:
        file = Path(sys.argv[1]) if len(sys.argv) > 1 else _random(Path(folder))
        precision: Precision = "bf16" if _native.kernels("")[1] else "fp32"
        begun = time.perf_counter()
        engine = e4s_engine.Engine(
            file, parser=None, landmarks=None, device="cpu", backend="native", precision=precision
        )
        ready = time.perf_counter()
    from e4s_engine.testing.portraits import portrait

    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    labels = {"source_labels": source_labels, "target_labels": target_labels}
    times = []
    for _ in range(2):
        before = time.perf_counter()
        engine.swap(source, target, **labels)
        times.append(time.perf_counter() - before)
    facts = {
        "import_s": imported - start,
        "engine_ready_s": ready - begun,
        "first_swap_s": times[0],
        "second_swap_s": times[1],
        f"peak_mb_{engine.precision}": peak_mb(),
    }
    print(json.dumps(facts))


def peak_mb() -> float:
    """Return this process's peak memory. On Linux it excludes the parent's memory at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _random(folder: Path) -> Path:
    """Write random weights of the official size in another process, since this one's peak is measured."""
    import subprocess

    file = folder / "random.safetensors"
    code = (
        "import sys; from e4s_engine import weights; from e4s_engine.networks.rgi.config import ModelConfig; "
        "weights.save(weights.random_model(ModelConfig()), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    return file


if __name__ == "__main__":
    main()
