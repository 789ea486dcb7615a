"""The whole chain on two made-up people: whole face, eyes and hair, beside the rendered truth."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e4s_engine import explain, regions, synth, weights
from e4s_engine.config import ModelConfig
from e4s_engine.engine import Engine
from e4s_engine.images import Pixels
from e4s_engine.result import Result

SIDE = 512
SWAPS: dict[str, Sequence[str] | None] = {"whole face": None, "eyes": ["eyes"], "hair": ["hair"]}

# Of the published kind, small enough to be made and run in a moment.
SMALL = ModelConfig(
    size=256,
    channels=(64, 64, 64, 64, 32, 32, 16),
    latent_dim=64,
    mlp_hidden=64,
    stem=16,
    stages=((16, 1), (32, 1), (32, 2), (32, 1)),
)


def random_engine(**options: Any) -> Engine:
    """An engine with random weights of a small size: it shows that the chain works, not faces."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.safetensors"
        weights.save(weights.random_model(SMALL), file)
        return Engine(file, **options)


def sheet(engine: Engine, seed: int = 0) -> Pixels:
    """A contact sheet, uint8 [H, W, 3]: the inputs, three swaps, and what they should come to."""
    source, target = synth.person(2 * seed), synth.person(2 * seed + 1)
    source_picture = synth.render(source, synth.scene(2 * seed), SIDE)
    scene = synth.scene(2 * seed + 1)
    target_picture = synth.render(target, scene, SIDE)
    face = engine.encode(source_picture.image, source_picture.labels)
    swapped: list[explain.Panel] = []
    composed: list[explain.Panel] = []
    truth: list[explain.Panel] = []
    for name, chosen in SWAPS.items():
        result: Result = engine.swap(face, target_picture.image, chosen, target_labels=target_picture.labels)
        names = chosen or [regions.NAMES[r] for r in regions.FACE]
        answer = synth.render(synth.combine(target, source, names), scene, SIDE)
        swapped.append((name, result.image))
        composed.append((f"{name}: labels", explain.colour(result.labels, result.holes)))
        truth.append((f"{name}: rendered truth", answer.image))
    return explain.sheet(
        [
            [("source", source_picture.image), *swapped],
            [("target", target_picture.image), *composed],
            [("regions", explain.legend()), *truth],
        ]
    )
