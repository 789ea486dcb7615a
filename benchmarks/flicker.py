"""Flicker of swapped clips, and their distance to the exact answer, on rendered people who move.

Films come with exact optical flow. A method's *warp error* is the mean difference, in levels of 255, between
a point's colour in a frame and in the next, over the pixels that were pasted in both. The exact answer has
one too, as light moves over a face. *flicker* is therefore the same of the difference to the exact answer,
which that light does not touch. *tremble* is the second difference along a point's path through three frames,
halved: it does not see what changes evenly, such as light, or a mask that lags behind a turn because nothing
drives the source. *distance* is the mean difference to the exact answer.

    python -m benchmarks.flicker                  two films of 24 frames, the bundled model
    python -m benchmarks.flicker --films 5 --frames 48 --json
    python -m benchmarks.flicker --no-shape       texture in the target's shape, which follows every turn
    python -m benchmarks.flicker --sheet out/flicker.png     strips of frames, a row per method
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import machine
from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.errors import AlignmentError, DemoModelWarning
from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels
from e4s_engine.result import Face
from e4s_engine.synth import motion
from e4s_engine.video.options import Steady

Floats = npt.NDArray[np.float64]
Swapped = tuple[Pixels, npt.NDArray[np.bool_]]  # a picture, and where a face was pasted

PAIRS = ((12, 7), (4, 9), (16, 3), (20, 31), (8, 25))  # seeds of source and target
FACE = ("lips", "eyebrows", "eyes", "nose", "skin", "mouth")
METHODS: dict[str, Steady | None] = {
    "frame by frame": None,
    "unsteadied": Steady.off(),
    "crops": Steady(every=1, labels=0),
    "crops, labels": Steady(every=1),
    "crops, styles": Steady(labels=0),
    "default": Steady(),
    "labels 2": Steady(labels=2),
    "every 8": Steady(every=8),
}


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    warnings.simplefilter("ignore", DemoModelWarning)
    shape = not arguments.no_shape
    methods = {name: METHODS[name] for name in arguments.methods}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    strips = []
    with Engine(arguments.weights) as engine:
        for source, target in PAIRS[: arguments.films]:
            moments = motion.scenes(target, arguments.frames)
            shots = list(motion.film(synth.person(target), moments, arguments.size))
            person = synth.combine(synth.person(target), synth.person(source), FACE)
            exact = [shot.picture.image for shot in motion.film(person, moments, arguments.size)]
            portrait = synth.render(synth.person(source), synth.scene(source), 512).image
            strips += [_strip([shot.picture.image for shot in shots]), _strip(exact)]
            for name, steady in methods.items():
                swapped = _swapped(engine, portrait, [shot.picture.image for shot in shots], steady, shape)
                rows[name].append(measured(swapped, shots, exact))
                strips.append(_strip([picture for picture, _ in swapped]))
            print(f"film {source} -> {target} done", file=sys.stderr)
    summary = {
        name: {key: float(np.mean([row[key] for row in own])) for key in own[0]} for name, own in rows.items()
    }
    _print(summary)
    if arguments.sheet:
        images.write(np.concatenate(strips), Path(arguments.sheet), "--sheet")
    if arguments.json:
        print(json.dumps({"methods": summary, "films": arguments.films, "machine": machine.describe()}))
    return 0


def _swapped(
    engine: Engine, portrait: Pixels, frames: Sequence[Pixels], steady: Steady | None, shape: bool
) -> list[Swapped]:
    face = engine.encode(portrait, align=False)
    if steady is not None:
        video = engine.video(face, frames, steady=steady, shape=shape)
        return [(one.image, one.changed) for one in video]
    return list(_alone(engine, face, frames, shape))


def _alone(engine: Engine, face: Face, frames: Sequence[Pixels], shape: bool) -> Iterator[Swapped]:
    for frame in frames:
        try:
            result = engine.swap(face, frame, align=True, shape=shape)
        except AlignmentError:
            yield frame, np.zeros(frame.shape[:2], np.bool_)
        else:
            yield result.image, result.changed


def measured(
    swapped: Sequence[Swapped], shots: Sequence[motion.Shot], exact: Sequence[Pixels]
) -> dict[str, float]:
    """Return warp error, that of the exact answer, flicker and distance of one film."""
    warped: dict[str, list[float]] = {"warp_error": [], "exact_warp_error": [], "flicker": []}
    trembles = {"tremble": [picture for picture, _ in swapped], "exact_tremble": list(exact)}
    pasted_at = [pasted for _, pasted in swapped]
    for i, shot in enumerate(shots[:-1]):
        where = shot.valid & swapped[i][1]
        where &= warp(swapped[i + 1][1].astype(np.float64)[..., None], shot.flow)[..., 0] > 0.99
        own = [swapped[j][0].astype(np.float64) for j in (i, i + 1)]
        true = [exact[j].astype(np.float64) for j in (i, i + 1)]
        for key, (a, b) in {
            "warp_error": own,
            "exact_warp_error": true,
            "flicker": [mine - answer for mine, answer in zip(own, true, strict=True)],
        }.items():
            if where.any():
                warped[key].append(float(np.abs(warp(b, shot.flow) - a)[where].mean()))
    for key, pictures in trembles.items():
        warped[key] = [
            tremble(pictures[i : i + 3], shots[i : i + 2], pasted_at[i : i + 3])
            for i in range(len(shots) - 2)
        ]
    apart = [
        float(np.abs(picture.astype(np.float64) - answer)[pasted].mean())
        for (picture, pasted), answer in zip(swapped, exact, strict=True)
        if pasted.any()
    ]
    return {
        **{key: float(np.mean(values)) for key, values in warped.items()},
        "distance": float(np.mean(apart)),
    }


def tremble(
    pictures: Sequence[Pixels], shots: Sequence[motion.Shot], pasted: Sequence[npt.NDArray[np.bool_]]
) -> float:
    """Return half the mean second difference along the paths of points through three frames."""
    first, second, third = (picture.astype(np.float64) for picture in pictures)
    here, there, beyond = (mask.astype(np.float64)[..., None] for mask in pasted)
    valid = shots[1].valid.astype(np.float64)[..., None]
    later = np.concatenate([warp(third, shots[1].flow), warp(beyond, shots[1].flow), valid], 2)
    late = warp(later, shots[0].flow)
    middle = warp(np.concatenate([second, there], 2), shots[0].flow)
    where = shots[0].valid & (here[..., 0] > 0.99) & (middle[..., 3] > 0.99) & (late[..., 3:5] > 0.99).all(2)
    return float(np.abs(first - 2 * middle[..., :3] + late[..., :3])[where].mean() / 2)


def warp(picture: Floats, flow: npt.NDArray[np.float32]) -> Floats:
    """Return a picture [S, S, C] sampled, bilinearly, where each pixel's point has moved to."""
    height, width = picture.shape[:2]
    rows, columns = np.indices((height, width))
    x = (columns + flow[..., 0]).clip(0, width - 1.001)
    y = (rows + flow[..., 1]).clip(0, height - 1.001)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = picture[top, left] * (1 - right) + picture[top, left + 1] * right
    lower = picture[top + 1, left] * (1 - right) + picture[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _strip(frames: Sequence[Pixels]) -> Pixels:
    """Return every third frame, side by side."""
    return np.concatenate(frames[:24:3], axis=1)


def _print(summary: dict[str, dict[str, float]]) -> None:
    keys = ("warp_error", "exact_warp_error", "flicker", "tremble", "exact_tremble", "distance")
    print(f"{'method':16}" + "".join(f"{key:>18}" for key in keys))
    for name, row in summary.items():
        print(f"{name:16}" + "".join(f"{row[key]:18.3f}" for key in keys))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the flicker of swapped clips on rendered films.")
    parser.add_argument("--weights", help="default: the bundled model")
    parser.add_argument("--films", type=int, default=2, choices=range(1, len(PAIRS) + 1))
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--no-shape", action="store_true", help="keep the target's shape")
    parser.add_argument("--sheet", help="picture of strips of frames to write")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
