"""A whole-face swap at 1024 x 1024, stage by stage: the published form of the regional convolution (one
whole convolution per region, masked and summed) beside the one-pass form, same weights, same inputs, in turn.

    python -m benchmarks.swap                            random weights of the official size
    python -m benchmarks.swap --weights e4s.safetensors
    python -m benchmarks.swap --json                     the last line of output is one JSON object
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from e4s_engine import align, bench, blend, compose, decode, encode, ops, weights
from e4s_engine.config import ModelConfig
from e4s_engine.pipeline import to_uint8

FORMS = {"published": ops.published, "onepass": ops.reference}
STAGES = ("encode", "styles", "decode", "blend", "total")
AGREEMENT = 1e-3  # no times are printed for forms that do not compute the same

Times = dict[str, float]


def main() -> int:
    """Measure and print; 1 if the two forms disagree."""
    arguments = _arguments()
    model = (
        weights.load(arguments.weights, "rgi") if arguments.weights else weights.random_model(ModelConfig())
    )
    assert isinstance(model.config, ModelConfig)
    tensors = {name: torch.from_numpy(t).to(arguments.device) for name, t in model.tensors.items()}

    def swap(form: SimpleNamespace) -> tuple[Any, Times]:
        return run(form, tensors, model.config, arguments.device)  # type: ignore[arg-type]

    faces = {name: swap(form)[0] for name, form in FORMS.items()}  # warms up, too
    difference = float((faces["published"] - faces["onepass"]).abs().max())
    if not difference < AGREEMENT:
        print(f"the forms differ by {difference:.2e}: nothing is timed", file=sys.stderr)
        return 1
    runs: dict[str, list[Times]] = {name: [] for name in FORMS}
    for _ in range(arguments.repeat):
        for name, form in FORMS.items():
            runs[name].append(swap(form)[1])
    report(runs, difference, arguments)
    return 0


@torch.inference_mode()
def run(
    form: SimpleNamespace, tensors: Mapping[str, Any], config: ModelConfig, device: str
) -> tuple[Any, Times]:
    """One swap: the generated face [1,3,S,S] and the seconds of every stage."""
    (source, source_labels), (target, target_labels) = bench.portrait(0), bench.portrait(1)
    pictures = torch.from_numpy(np.stack([source, target])).to(device)
    masks = torch.from_numpy(np.stack([source_labels, target_labels])).to(device)
    times: Times = {}

    def stage(name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value = function()
        if device != "cpu":
            torch.cuda.synchronize()
        times[name] = time.perf_counter() - start
        return value

    def encode_both() -> Any:
        both = zip(torch.split(pictures, 1), torch.split(masks, 1), strict=True)
        done = [encode.encode_pixels(form, image, mask, tensors, config) for image, mask in both]
        return torch.cat(done).cpu().numpy()

    styles = stage("encode", encode_both)
    labels, holes = compose.whole_face_labels(source_labels, target_labels)
    swapped = torch.from_numpy(compose.whole_face_styles(styles[0], styles[1]))[None].to(device)
    codes = stage("styles", lambda: decode.style_codes(form, swapped, tensors))
    mask = torch.from_numpy(labels)[None].to(device)
    face = stage("decode", lambda: decode.generate(form, codes, mask, tensors, config))

    def blend_face() -> Any:
        alpha = blend.alpha(compose.whole_face_foreground(labels, holes), "feather")
        pixels = to_uint8(face[0].permute(1, 2, 0).cpu().numpy())
        return align.paste(align.Crop(target, target, None), pixels, alpha)

    stage("blend", blend_face)
    times["total"] = sum(times.values())
    return face, times


def report(runs: Mapping[str, list[Times]], difference: float, arguments: argparse.Namespace) -> None:
    """The table, and with --json one JSON object as the last line."""
    facts = machine.describe()
    print(
        ", ".join(f"{name} {value}" for name, value in facts.items()), f"device {arguments.device}", sep=", "
    )
    print(f"medians of {arguments.repeat} runs in turn (min-max); the forms agree within {difference:.1e}\n")
    print(f"{'stage':8}" + "".join(f"{name + ' ms':>28}" for name in FORMS) + f"{'ratio':>8}")
    medians = {
        name: {stage: statistics.median(one[stage] for one in own) for stage in STAGES}
        for name, own in runs.items()
    }
    for stage in STAGES:
        cells = []
        for name, own in runs.items():
            values = [run[stage] * 1000 for run in own]
            cells.append(f"{medians[name][stage] * 1000:10.1f} ({min(values):.1f}-{max(values):.1f})")
        ratio = medians["published"][stage] / medians["onepass"][stage]
        print(f"{stage:8}" + "".join(f"{cell:>28}" for cell in cells) + f"{ratio:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process, both forms: {peak:.0f} MB")
    if arguments.json:
        published, onepass = medians["published"]["total"], medians["onepass"]["total"]
        summary = {
            "published_s": published,
            "onepass_s": onepass,
            "ratio_onepass": published / onepass,
            "stages": medians,
            "max_difference": difference,
            "repeat": arguments.repeat,
            "machine": facts,
        }
        print(json.dumps(summary))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the two forms of a swap, stage by stage.")
    parser.add_argument("--weights", help="default: random weights of the official size")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    if arguments.repeat < 1:
        parser.error("--repeat must be at least 1")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
