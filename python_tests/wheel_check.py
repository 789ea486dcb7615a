"""Check of the base install, end to end on a small random model, in an environment without PyTorch.

python python_tests/wheel_check.py
"""

from __future__ import annotations

import importlib.util
import tempfile
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
    """Load, encode, parse, swap in both ways, edit, reconstruct, save and read again."""
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
            print(f"{e4s_engine.__file__}: {engine.backend}, {engine.precision}")


if __name__ == "__main__":
    main()
