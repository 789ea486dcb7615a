"""Quality of a model on rendered faces, whose swaps have exact answers, beside three baselines.

    python -m benchmarks.quality --weights model.safetensors --parser parser.safetensors --identity judge.pt
    python -m benchmarks.quality ... --seeds 0:300 --json         the last line of output is one JSON object

Seed s is a target; its source is the person of seed s + 500,000, in the target's pose and expression (as
reenactment would deliver it; `--source wild`: in a scene of its own) but in light and surroundings of its
own. The exact answer is rendered from `synth.combine`. `Engine` does the rest: parsing, encoding, composing,
decoding, blending. Metrics are means over pictures; those of a set of regions are taken inside the regions of
the target and of the answer together, those of the whole face inside the head. The whole face's exact answer
has the target's hair over the source's forehead, but the published swap has hair under the face: a swap with
`hair_first=False` is therefore measured, too ("hair over"). With `--steps N`, pictures are also reconstructed
by that many steps of inversion ("inverted"; on the reference backend: a minute per seed on a CPU).
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from benchmarks import baselines, metrics
from benchmarks.perceptual import Perceptual
from e4s_engine import regions, synth
from e4s_engine.engine import Engine
from e4s_engine.errors import DemoModelWarning, E4SError
from e4s_engine.photo import align, blend, images
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose
from e4s_engine.regions import Mask
from e4s_engine.synth.params import Person
from e4s_engine.synth.render import Picture
from e4s_engine.testing.metrics import psnr
from e4s_engine.training.faces import FIRST_PREVIEW_SEED, Swap, swap_of

SETS: dict[str, tuple[int, ...] | None] = {
    "swap": None,
    "eyes": (regions.EYES,),
    "nose": (regions.NOSE,),
    "lips": (regions.LIPS,),
    "hair": (regions.HAIR,),
}
KEYS = (
    "recon_psnr", "recon_ssim", "recon_perceptual", "inverted_psnr", "inverted_ssim", "swap_psnr",
    "swap_gain_db", "hair_over_psnr", "hair_over_gain_db", "eyes_gain_db", "nose_gain_db", "lips_gain_db",
    "hair_gain_db", "leakage", "parser_miou", "identity_rate", "identity_truth",
)  # fmt: skip
CAP = 60.0  # dB of equal pictures, so that means are finite
ENGINE, HAIR_OVER = "engine", "hair over"
FIRST_SOURCE = 500_000
_FEW = 16  # pixels of a set below which a picture is not measured

Figures = dict[str, dict[str, list[tuple[float, float]]]]  # set -> method -> (PSNR, SSIM) per picture


@dataclass
class Scores:
    """Metrics collected over the seeds."""

    recon: dict[int, list[tuple[float, float, float]]]  # by inversion steps: PSNR, SSIM, perceptual
    swaps: Figures
    leakage: float
    confusion: metrics.Confusion
    identity: list[tuple[bool, bool]]  # whether the swap shows the source, and whether the exact answer does


@dataclass(frozen=True)
class Case:
    """A seed's pictures, with the labels that the engine uses."""

    source: Picture
    target: Picture
    source_labels: npt.NDArray[np.uint8]
    target_labels: npt.NDArray[np.uint8]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the metrics."""
    arguments = _arguments(argv)
    judge: Any = None
    warnings.simplefilter("ignore", DemoModelWarning)  # these people are rendered
    if arguments.identity is not None:
        from benchmarks import identity

        judge = identity.load(arguments.identity)
    parser = {"none": None}.get(arguments.parser, arguments.parser)
    try:
        backend = "reference" if arguments.steps else "auto"
        choice = {"landmarks": None, "device": arguments.device, "backend": backend}
        with Engine(arguments.weights, parser=parser, **choice) as engine:
            driven = arguments.source == "driven"
            scores = measure(engine, arguments.seeds, arguments.size, driven, judge, arguments.steps)
    except E4SError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    report(scores, arguments)
    return 0


def measure(
    engine: Engine, seeds: range, size: int = 256, driven: bool = True, judge: Any = None, steps: int = 0
) -> Scores:
    """Measure all metrics over seeds. judge: identity network or None. steps: number of inversion steps."""
    empty: Figures = {name: defaultdict(list) for name in SETS}
    recon: dict[int, list[tuple[float, float, float]]] = {count: [] for count in (0, steps)}
    scores = Scores(recon, empty, 0.0, metrics.Confusion(regions.COUNT), [])
    distance = Perceptual()
    for seed in tqdm(seeds, unit="seed", disable=None):
        one_seed(engine, seed, size, driven, judge, distance, scores)
    return scores


def one_seed(
    engine: Engine, seed: int, size: int, driven: bool, judge: Any, distance: Perceptual, scores: Scores
) -> None:
    """Measure a seed's reconstruction and swaps."""
    swap = swap_of(FIRST_SOURCE + seed, seed, None, driven)
    source, target = (synth.render(*pair, size) for pair in swap.pairs()[:2])
    known = [_labels(engine, picture, scores) for picture in (source, target)]
    case = Case(source, target, *known)
    face = engine.encode(source.image, known[0], align=False)
    for steps, figures in scores.recon.items():
        result = engine.reconstruct(target.image, known[1], align=False, steps=steps).face
        result = images.resize(result, size, size, Image.Resampling.LANCZOS)
        pair = (result, target.image)
        figures.append((psnr(*pair, cap=CAP), metrics.ssim(*pair), distance(*pair)))
    for name, ids in SETS.items():
        truth_of = Swap(swap.source, swap.target, swap.source_scene, swap.target_scene, ids)
        truth = synth.render(*truth_of.pairs()[2], size)
        names = None if ids is None else [regions.NAMES[i] for i in ids]
        swapped = engine.swap(face, target.image, names, align=False, target_labels=known[1])
        scores.leakage = max(scores.leakage, leakage(swapped, case, ids))
        pictures = {ENGINE: swapped.image}
        if ids is None:
            over = engine.swap(face, target.image, hair_first=False, align=False, target_labels=known[1])
            pictures[HAIR_OVER] = over.image
        compare(name, ids, pictures, truth, case, scores)
        if judge is not None and ids is None:
            shown = [_is_source(judge, p, swap.source, swap.target) for p in (swapped.image, truth.image)]
            scores.identity.append((shown[0], shown[1]))


def compare(
    name: str,
    ids: tuple[int, ...] | None,
    made: dict[str, Pixels],
    truth: Picture,
    case: Case,
    scores: Scores,
) -> None:
    """Compare the engine's swaps and the baselines with the exact answer, inside the set of regions."""
    mask = _inside(ids, truth.labels) | _inside(ids, case.target.labels)
    if mask.sum() < _FEW:
        return
    pasted = ids or (*regions.FACE,)
    inputs = (case.source.image, case.source.labels, case.target.image, case.target.labels, pasted)
    pictures = made | {n: method(*inputs) for n, method in baselines.BASELINES.items()}
    for method, picture in pictures.items():
        figures = (psnr(picture, truth.image, mask, CAP), metrics.ssim(picture, truth.image, mask))
        scores.swaps[name][method].append(figures)


def leakage(made: Any, case: Case, ids: tuple[int, ...] | None) -> float:
    """Return the largest change of any target pixel that has no weight in the blend."""
    if ids is None:
        foreground = compose.whole_face_foreground(made.labels, made.holes)
    else:
        shown = compose.shown(case.source_labels, ids)
        foreground = compose.region_foreground(shown, made.labels, made.holes, case.target_labels)
    size = len(case.target.image)
    alpha = images.resize(blend.alpha(foreground, "feather"), size, size, Image.Resampling.BILINEAR)
    outside = alpha == 0
    if not outside.any():
        return 0.0
    change = np.abs(made.image.astype(int) - case.target.image)[outside]
    return float(change.max())


def _labels(engine: Engine, picture: Picture, scores: Scores) -> npt.NDArray[np.uint8]:
    """Return the engine's labels if it has a parser, and count them against the truth; else the truth."""
    truth = regions.resize_nearest(picture.labels, regions.LABEL_SIZE)
    if engine.parser == "none":
        return truth
    labels = engine.parse(picture.image, align=False)
    scores.confusion.add(truth, labels)
    return labels


def _inside(ids: tuple[int, ...] | None, labels: Pixels) -> Mask:
    return labels != regions.BACKGROUND if ids is None else np.isin(labels, ids)


def _is_source(judge: Any, picture: Pixels, source: Person, target: Person) -> bool:
    from benchmarks import identity

    return identity.prefers_source(judge, picture, source, target)


def summary(scores: Scores) -> dict[str, float | None]:
    """Return the metrics of the JSON line; None for those not measured."""
    recon, *inverted = (np.mean(figures, axis=0) for _, figures in sorted(scores.recon.items()))
    values: dict[str, float | None] = dict.fromkeys(KEYS)
    values |= {"recon_psnr": float(recon[0]), "recon_ssim": float(recon[1])}
    values |= {"recon_perceptual": float(recon[2]), "leakage": scores.leakage}
    for figures in inverted:
        values |= {"inverted_psnr": float(figures[0]), "inverted_ssim": float(figures[1])}
    for name, methods in scores.swaps.items():
        if methods:
            means = {method: float(np.mean([p for p, _ in pairs])) for method, pairs in methods.items()}
            best = max(means[method] for method in baselines.BASELINES)
            values[f"{name}_gain_db"] = means[ENGINE] - best
            if name == "swap":
                values["swap_psnr"], values["hair_over_psnr"] = means[ENGINE], means[HAIR_OVER]
                values["hair_over_gain_db"] = means[HAIR_OVER] - best
    iou = scores.confusion.iou()
    if not np.isnan(iou).all():
        values["parser_miou"] = float(np.nanmean(iou))
    if scores.identity:
        rates = np.mean(scores.identity, axis=0)
        values |= {"identity_rate": float(rates[0]), "identity_truth": float(rates[1])}
    return values


def report(scores: Scores, arguments: argparse.Namespace) -> None:
    """Print the tables, and with --json one JSON object as the last line."""
    names = (ENGINE, HAIR_OVER, *baselines.BASELINES)
    print(f"seeds {arguments.seeds.start}:{arguments.seeds.stop}, source {arguments.source}, PSNR dB / SSIM")
    print(f"{'':8}" + "".join(f"{name:>16}" for name in names) + f"{'pictures':>10}")
    for name, methods in scores.swaps.items():
        means = {m: np.mean(values, axis=0) for m, values in methods.items()}
        cells = "".join(
            f"{means[m][0]:>9.2f} / {means[m][1]:.2f}" if m in means else f"{'':>16}" for m in names
        )
        print(f"{name:8}{cells}{len(methods[ENGINE]) if methods else 0:>10}")
    iou = scores.confusion.iou()
    if not np.isnan(iou).all():
        print("parser IoU: " + ", ".join(f"{n} {v:.3f}" for n, v in zip(regions.NAMES, iou, strict=True)))
    measured = summary(scores)
    for key, value in measured.items():
        print(f"{key:16}{'not measured' if value is None else f'{value:.4f}'}")
    if arguments.json:
        print(json.dumps(measured))


def _seeds(text: str) -> range:
    first, separator, last = text.partition(":")
    if not separator or not first.isdecimal() or not last.isdecimal():
        raise argparse.ArgumentTypeError(f"expected FROM:TO, got {text!r}")
    if not int(first) < int(last) <= min(FIRST_SOURCE, FIRST_PREVIEW_SEED):
        raise argparse.ArgumentTypeError(f"expected FROM < TO <= {FIRST_SOURCE}: higher ones are in use")
    return range(int(first), int(last))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Quality on rendered faces, against exact answers.")
    parser.add_argument("--weights", help="default: what Engine() takes")
    parser.add_argument("--parser", default="auto", help="weights, 'auto', or 'none' for the true labels")
    beside = Path(__file__).with_name("identity.pt")
    parser.add_argument(
        "--identity",
        default=beside if beside.is_file() else None,
        help="the network that benchmarks.identity trains; default: identity.pt beside this file",
    )
    parser.add_argument("--seeds", type=_seeds, default=range(300), metavar="FROM:TO")
    parser.add_argument("--source", choices=("driven", "wild"), default="driven")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="of inversion; default: none")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args(argv)
    if arguments.size < align.CROP // 32:
        parser.error("--size must be at least 32")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
