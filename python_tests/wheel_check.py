"""Check of the base install, end to end on a small random model, in an environment without PyTorch.

Threads swap too. On a free-threaded Python the compiled extension must not ask for the GIL.

python python_tests/wheel_check.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import e4s_engine
from e4s_engine import weights
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.testing.portraits import portrait

MODEL = ModelConfig(
    size=32, channels=(16, 16, 16, 16), latents=8, latent_dim=16, injected=5, mlp_hidden=16, stem=16,
    stages=((16, 1), (16, 1), (16, 1), (32, 1)), encoder_size=64,
)  # fmt: skip
PARSER = ParserConfig(classes=19, widths=(8, 8, 8, 16, 16), context=8, fusion=16)


def main() -> None:
    """Load, encode, parse, swap in both ways and from threads, edit, reconstruct, save and read again."""
    check_gil()
    assert importlib.util.find_spec("torch") is None, "PyTorch is installed: this proves nothing"
    (a, x), (b, y) = portrait(0), portrait(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights.save(weights.random_model(MODEL), folder / "model.safetensors")
        weights.save(weights.random_model(PARSER), folder / "parser.safetensors")
        with e4s_engine.Engine(folder / "model.safetensors") as engine:
            assert (engine.backend, engine.parser) == ("native", "network")
            face = engine.encode(a, x)
            whole = engine.swap(face, b, target_labels=y)
            whole.save(folder / "whole.png")
            again = engine.swap(
                {"hair": face, "lips": b}, folder / "whole.png", blend="multiband", align=False
            )
            assert again.image.shape == (1024, 1024, 3)
            assert not np.array_equal(again.image, whole.image)
            assert engine.parse(a, align=False).shape == again.labels.shape == (512, 512)
            assert engine.edit(a, b, ["eyes"], 0.5, labels=x, reference_labels=y).face.shape == (32, 32, 3)
            assert engine.reconstruct(a, x).face.shape == engine.decode(face.styles, x).shape
            with ThreadPoolExecutor(4) as pool:
                swaps = list(pool.map(lambda _: engine.swap(face, b, target_labels=y).image, range(32)))
            assert all(np.array_equal(image, whole.image) for image in swaps)
            print(f"{e4s_engine.__file__}: {engine.backend}, {engine.precision}")


def check_gil() -> None:
    """Check that importing the extension does not bring back the GIL, where Python runs without."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return
    code = "import sys; from e4s_engine import _native; print(sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n", done.stdout


if __name__ == "__main__":
    main()
