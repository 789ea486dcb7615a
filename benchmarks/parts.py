"""Times of decodes that compute only what is pasted, and of swaps between two encoded faces.

    python -m benchmarks.parts e4s.safetensors [fp32 or bf16] [repeats]

prints one JSON object; `benchmarks.swap --json` holds the same figures.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import machine, variants
from benchmarks.variants import Variant
from e4s_engine import regions, weights
from e4s_engine.options import SwapOptions
from e4s_engine.pipeline import compose, generate
from e4s_engine.pipeline.portraits import Job, Part, Regions, WholeFace, picture
from e4s_engine.result import Face

# What is pasted of a portrait onto itself; None: the whole face.
PARTS: dict[str, tuple[int, ...] | None] = {
    "eyes": (regions.EYES,),
    "lips": (regions.LIPS, regions.MOUTH),
    "nose": (regions.NOSE,),
    "inner_face": (regions.LIPS, regions.EYEBROWS, regions.EYES, regions.NOSE, regions.MOUTH),
    "hair": (regions.HAIR,),
    "face": None,
}


def measure(variant: Variant, repeat: int) -> dict[str, float]:
    """Measure medians in seconds, all cases in turn: the whole decode, its parts, swaps of cached faces.

    Keys: decode_s, decode_PART_s, their ratios to the whole one, slider_eyes_s (a swap of the eyes, both
    faces encoded), slider_face_s, whole_slider_eyes_s (the same generating everything), slider_eyes_ratio.
    """
    pipeline, target = variant.pipeline, variants.person(0)
    face = pipeline.encode([target])[target]
    known = Face(face.labels, face.styles, target.crop)
    source = pipeline.encode([variants.person(1)])[variants.person(1)]
    inputs = face.styles[None], face.labels[None]
    cases: dict[str, Callable[[], Any]] = {"decode": lambda: pipeline.decode(*inputs)}
    for name, ids in PARTS.items():
        holes = np.zeros(face.labels.shape, bool)
        foreground = compose.foreground(ids, face.labels, holes, face.labels)
        composed = compose.Composed(face.labels, holes, foreground, face.styles)
        cover = generate.cover(target.crop, composed, "feather", pipeline.size)
        boxes = np.array([cover.box])
        cases[f"decode_{name}"] = partial(generate.decode, pipeline.backend, *inputs, boxes)

    def swap(ids: tuple[int, ...] | None, full: bool) -> None:
        request = WholeFace() if ids is None else Regions(ids)
        job = Job(picture(known, "target"), (Part(source, ids or ()),), request)
        pipeline.swap([job], SwapOptions(full_face=full))

    cases["slider_eyes"] = lambda: swap(PARTS["eyes"], False)
    cases["slider_face"] = lambda: swap(None, False)
    cases["whole_slider_eyes"] = lambda: swap(PARTS["eyes"], True)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeat + 1):
        for name, run in cases.items():
            start = time.perf_counter()
            run()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    facts = {f"{name}_s": median for name, median in medians.items()}
    facts |= {f"decode_{name}_ratio": medians[f"decode_{name}"] / medians["decode"] for name in PARTS}
    return facts | {"slider_eyes_ratio": medians["slider_eyes"] / medians["whole_slider_eyes"]}


def main() -> int:
    """Measure with a weight file."""
    file, precision, repeat = (*sys.argv[1:], *("bf16", "5")[len(sys.argv) - 2 :])
    variant = variants.make(f"native_{precision}", weights.load(file, "rgi"), "cpu")
    print(json.dumps(measure(variant, int(repeat)) | {"machine": machine.describe()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
