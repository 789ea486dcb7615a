"""Times of a whole-face swap at 1024 x 1024, stage by stage, with all variants in turn on the same inputs.

Variants are PyTorch in the published form (every regional layer once per region, masked and summed), PyTorch
in one pass, the same under torch.compile ("compiled", if there is a C++ compiler), and the project's own
runtime ("native"). All run under the product's own pipeline (pipeline.py): they differ in what runs the
networks. Stages: two encodes; composition of labels and style vectors; one decode, per-region MLPs included;
blending and paste; "total" is the whole swap.

    python -m benchmarks.swap                            random weights of the official size
    python -m benchmarks.swap --weights e4s.safetensors --parser parser.safetensors
    python -m benchmarks.swap --variants published_fp32 onepass_fp32
    python -m benchmarks.swap --json                     the last line of output is one JSON object
    python -m benchmarks.swap --device cuda              the CUDA engine beside PyTorch there: see gpu.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks import machine, parts, variants
from benchmarks.ops import peak
from benchmarks.variants import Times, Variant
from e4s_engine import _native, weights
from e4s_engine.backends import Floats, plans
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.testing.metrics import psnr
from e4s_engine.weights import Model

NAMES = (
    "published_fp32", "published_bf16", "onepass_fp32", "onepass_bf16", "compiled_bf16",
    "native_fp32", "native_bf16",
)  # fmt: skip
STAGES = ("encode", "compose", "decode", "blend", "total")
AGREEMENT = 1e-3  # largest difference of fp32 pictures: variants must agree before they are timed
LEAST_PSNR = 40.0  # dB, for bf16 pictures


def main() -> int:
    """Measure and print; return 1 if a variant's pictures differ."""
    arguments = _arguments()
    if arguments.device == "cuda":
        from benchmarks import gpu

        return gpu.main(["--steps", *gpu.SWAP, *(["--json"] if arguments.json else [])])
    model, parser = _models(arguments)
    compared = {name: variants.make(name, model, arguments.device) for name in arguments.variants}
    for variant in compared.values():
        variants.swap(variant, full=True)  # warms up, too
    faces = {name: variant.picture for name, variant in compared.items()}
    quality = {name: psnr(face, _expected(faces, name)) for name, face in faces.items()}
    if not _agree(faces, quality):
        return 1
    runs: dict[str, list[Times]] = {name: [] for name in compared}
    for _ in range(arguments.repeat):
        for name, variant in compared.items():
            runs[name].append(variants.swap(variant))
    facts = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in [*facts.items(), ("device", arguments.device)]))
    medians = _report(runs, quality, arguments.repeat)
    summary = _summary(medians, quality) | {"stages": medians, "repeat": arguments.repeat, "machine": facts}
    if "native_bf16" in compared:
        summary |= _native_facts(compared["native_bf16"], model, parser, medians["native_bf16"], arguments)
    if arguments.json:
        print(json.dumps(summary))
    return 0


def _models(arguments: argparse.Namespace) -> tuple[Model, Model]:
    file, parser = arguments.weights, arguments.parser
    model = weights.load(file, "rgi") if file else weights.random_model(ModelConfig())
    labeller = weights.load(parser, "parser") if parser else weights.random_model(ParserConfig())
    return model, labeller


def _expected(faces: Mapping[str, Floats], name: str) -> Floats:
    """Return the face to compare a variant's with: the first of another fp32 variant, else its own."""
    return next(
        (face for other, face in faces.items() if other.endswith("fp32") and other != name), faces[name]
    )


def _agree(faces: Mapping[str, Floats], quality: Mapping[str, float]) -> bool:
    for name, face in faces.items():
        difference = float(abs(face - _expected(faces, name)).max())
        low = name.endswith("fp32") and not difference < AGREEMENT
        if low or not quality[name] >= LEAST_PSNR:
            print(
                f"{name} differs by {difference:.2e}, {quality[name]:.1f} dB: nothing is timed",
                file=sys.stderr,
            )
            return False
    return True


def _report(
    runs: Mapping[str, list[Times]], quality: Mapping[str, float], repeat: int
) -> dict[str, dict[str, float]]:
    """Print the table of medians, and return them."""
    medians = {
        name: {stage: statistics.median(one[stage] for one in own) for stage in STAGES}
        for name, own in runs.items()
    }
    slowest = max(median["total"] for median in medians.values())
    print(f"medians of {repeat} runs in turn, ms; total with its range; ratio to the slowest\n")
    print(f"{'variant':16}" + "".join(f"{s:>9}" for s in STAGES) + f"{'range':>18}{'ratio':>8}{'dB':>8}")
    for name, median in medians.items():
        totals = [one["total"] * 1000 for one in runs[name]]
        spread = f"{min(totals):.0f}-{max(totals):.0f}"
        cells = "".join(f"{median[stage] * 1000:9.1f}" for stage in STAGES)
        print(f"{name:16}{cells}{spread:>18}{slowest / median['total']:8.2f}{quality[name]:8.1f}")
    return medians


def _summary(medians: Mapping[str, Mapping[str, float]], quality: Mapping[str, float]) -> dict[str, Any]:
    total = {name: median["total"] for name, median in medians.items()}
    keys = {
        "published_s": "published_fp32",
        "published_bf16_s": "published_bf16",
        "onepass_s": "onepass_fp32",
        "onepass_bf16_s": "onepass_bf16",
        "onepass_compiled_bf16_s": "compiled_bf16",
        "native_fp32_s": "native_fp32",
        "native_bf16_s": "native_bf16",
    }
    summary: dict[str, Any] = {key: total[name] for key, name in keys.items() if name in total}
    if "published_fp32" in total:
        ratios = {
            "onepass": "onepass_fp32",
            "compiled": "compiled_bf16",
            "fp32": "native_fp32",
            "bf16": "native_bf16",
        }
        for key, name in ratios.items():
            if name in total:
                summary[f"ratio_{key}"] = total["published_fp32"] / total[name]
    if "native_bf16" in quality:
        summary["psnr_bf16_db"] = quality["native_bf16"]
    return summary


def _native_facts(
    variant: Variant,
    model: Model,
    parser: Model,
    medians: Mapping[str, float],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Measure and print the facts reported for the compiled runtime alone.

    They are times with a cached source and of batches, rates beside the processor's, agreement of labels,
    memory and start-up of a fresh process.
    """
    source = variant.pipeline.encode([variants.person(0)])[variants.person(0)]
    cached = [variants.swap(variant, cached=source)["total"] for _ in range(arguments.repeat)]
    command = [sys.executable, "-m", "benchmarks.fresh", *([arguments.weights] if arguments.weights else [])]
    fresh = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    agreement = variants.agreement(model, parser)
    parted = parts.measure(variant, arguments.repeat)
    facts = {
        "cached_source_bf16_s": statistics.median(cached),
        **_batches(variant, arguments.repeat),
        **parted,
        **_rates(model, medians["encode"], parted["decode_s"]),
        "parser_agreement_bf16": agreement["bf16"],
        "parser_agreement_fp32": agreement["fp32"],
        **fresh,
    }
    print()
    for name, value in facts.items():
        print(f"{name:24}{value:10.4f}")
    return facts


def _batches(variant: Variant, repeat: int) -> dict[str, float]:
    """Measure seconds of encodes and decode per swap by batch size."""
    seconds = {}
    for count in (1, 2, 4):
        runs = [variants.swap(variant, count) for _ in range(repeat)]
        both = statistics.median(run["encode"] + run["decode"] for run in runs)
        seconds[f"batch_{count}_bf16_s"] = both / count
    return seconds


def _rates(model: Model, encode_s: float, decode_s: float) -> dict[str, float]:
    """Compute GFLOP/s by the direct form's operations, and measure the processor's peak in that form."""
    assert isinstance(model.config, ModelConfig)
    encode = plans.example(model.config, "encode", "bf16", 2).flop
    decode = plans.example(model.config, "decode", "bf16").flop
    return {
        "encode_gflops_bf16": encode / encode_s / 1e9,
        "decode_gflops_bf16": decode / decode_s / 1e9,
        "peak_gflops_bf16": peak("bf16") / 1e9,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time a swap, stage by stage, in several ways.")
    parser.add_argument("--weights", help="default: random weights of the official size")
    parser.add_argument("--parser", help="parser weights; default: random ones of the official size")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variants", nargs="+", choices=NAMES, help="default: all this processor can run")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    if arguments.repeat < 1:
        parser.error("--repeat must be at least 1")
    if arguments.variants is None:
        possible = {"native_bf16": _native.kernels("")[1], "compiled_bf16": variants.can_compile()}
        arguments.variants = [name for name in NAMES if possible.get(name, True)]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
