"""Kernels of the published networks, compiled ahead of time.

    python -m e4s_engine.backends.cuda.ahead --arch 80 90                  # into the cache
    python -m e4s_engine.backends.cuda.ahead --arch 80 90 --out FILE.zip   # and into one file, see archive.py
    python -m e4s_engine.backends.cuda.ahead --networks recolor inpaint    # of these networks alone

They are those that an engine runs on a card of each architecture: in its precisions, with the tiles that ship
for it. Networks around the swap run one picture at a time; RRDBNets take pictures of any size, and only the
published one is compiled.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from e4s_engine import regions
from e4s_engine.backends.cuda import archive, measured, swap, workers
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.plans import example, record
from e4s_engine.errors import BackendError
from e4s_engine.kernels import language, tiles
from e4s_engine.kernels.launch import Launch, Program
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.network import Config
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.networks.rrdbnet.config import RealESRGANConfig, RRDBConfig
from e4s_engine.networks.segnext.config import SIZES
from e4s_engine.weights.converted import open_converted

PUBLISHED: tuple[Config, ...] = (ModelConfig(), ParserConfig())
# Networks around the swap. RetinaFace is not among them: it runs on the CPU beside a card, see
# `pipeline/networks.py`.
AROUND: tuple[Config, ...] = (
    FaceVid2VidConfig(), RRDBConfig(), GPENConfig(), ParseNetConfig(), RealESRGANConfig(), RecolorConfig(),
    InpaintConfig(), *SIZES.values(),
)  # fmt: skip
KINDS = tuple(dict.fromkeys(registry.kind_of(config) for config in (*PUBLISHED, *AROUND)))
BATCHES = (1, 2, 3, 4, 8)  # others up to 8 have no kernels of their own


def programs(
    precision: str, arch: int, batch: int = 1, configs: Sequence[Config] = PUBLISHED
) -> Iterator[Program]:
    """Yield the programs of all functions of some networks."""
    table = measured.shipped(arch)
    for config in configs:
        for name, function in registry.of(config).functions.items():
            yield Program(example(config, name, function.on_cuda(precision), batch), table=table)


def launches(
    precision: str, arch: int, batch: int = 1, configs: Sequence[Config] = PUBLISHED
) -> list[Launch]:
    """Return all launches of some networks: one by one, and swaps as graphs, of any number of sources."""
    listed = [launch for program in programs(precision, arch, batch, configs) for launch in program.launches]
    for config in configs:
        if isinstance(config, ParserConfig):
            listed += _small(config, precision, arch, batch).launches
        if isinstance(config, ModelConfig):
            # The numbers of sources differ in kernels that are the same in every batch.
            for sources in (0, *range(2, regions.COUNT + 1)) if batch == 1 else (0, 2):
                recipe = swap.Recipe(sources, config.relight > 0)
                listed += swap.record(config, precision, batch, measured.shipped(arch), recipe).launches()
    return listed


def _small(config: ParserConfig, precision: str, arch: int, batch: int) -> Program:
    """Return the program of a parse of small photos, which the parser does not see as crops."""
    function = registry.of(config).function("parse")
    shapes = [(batch, parse.SIDE, parse.SIDE, 3)]
    plan = record(config, function, function.on_cuda(precision), shapes)
    return Program(plan, table=measured.shipped(arch))


def named(configs: Sequence[Config], kinds: Sequence[str]) -> list[Config]:
    """Return those of some configs whose networks are among these kinds."""
    return [config for config in configs if registry.kind_of(config) in kinds]


def may_spill(launch: Launch, arch: int) -> bool:
    """Return whether a launch has a measured tile, which was the fastest whatever it spills."""
    return launch.problem is not None and tiles.known(launch.problem, measured.shipped(arch)) is not None


def main(arguments: list[str] | None = None) -> int:
    """Compile kernels ahead of time; the exit status is 1 if one with a default tile spills."""
    options = _arguments(arguments)
    if options.out and language.VERSION != language.SUPPORTED:
        raise BackendError(
            f"--out: kernels that ship are compiled by Triton {language.SUPPORTED}, not {language.VERSION}"
        )
    converted = [open_converted(path, "weights").config for path in options.weights]
    swapped, around = (named(configs, options.networks) for configs in (PUBLISHED, AROUND))
    spilled, entries = 0, dict[int, list[archive.Entry]]()
    for arch, precision in itertools.product(options.arch, options.precision):
        listed = launches(precision, arch, 1, around)
        for batch in options.batches:
            listed += launches(precision, arch, batch, [*swapped, *converted])
        wanted = compiling.distinct([one for one in listed if one.kernel.startswith(options.only)], arch)
        start = time.perf_counter()
        manifests = workers.warm(wanted.values(), arch, options.jobs)
        for number, (launch, manifest) in enumerate(zip(wanted.values(), manifests, strict=True), 1):
            spilled += manifest["spills"] > 0 and not may_spill(launch, arch)
            _report(manifest, options.json, f"{number}/{len(wanted)}")
        seconds = time.perf_counter() - start
        print(f"sm_{arch} {precision}: {len(wanted)} kernels in {seconds:.0f} s", file=sys.stderr)
        entries.setdefault(arch, []).extend(compiling.get(launch, arch) for launch in wanted.values())
    if options.out:
        archive.write(options.out, entries)
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 1 if spilled else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    name = "python -m e4s_engine.backends.cuda.ahead"
    parser = argparse.ArgumentParser(prog=name, description=main.__doc__)
    parser.add_argument(
        "--arch", type=int, nargs="+", default=[90], help="compute capabilities, such as 80 90"
    )
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="pictures at once of a swap")
    parser.add_argument("--networks", nargs="+", default=KINDS, choices=KINDS, help="networks; default: all")
    parser.add_argument(
        "--weights", type=Path, nargs="+", default=[], help="converted models, beside the published ones"
    )
    parser.add_argument("--out", type=Path, help="archive to write; the package's is kernels.zip beside this")
    parser.add_argument("--jobs", type=int, default=workers.cores(), help="processes that compile")
    parser.add_argument("--only", default="", help="kernels whose name begins so")
    parser.add_argument("--json", action="store_true", help="print one object per kernel")
    return parser.parse_args(arguments)


def _report(manifest: dict[str, Any], as_json: bool, number: str) -> None:
    if as_json:
        print(json.dumps(manifest, sort_keys=True))
        return
    sizes = {k: v for k, v in manifest["constants"].items() if k.startswith("BLOCK")}
    print(
        f"{number:<8}{manifest['kernel']:<30}{manifest['registers']:4d} registers "
        f"{manifest['spills']:5d} spilled {manifest['shared']:7d} shared "
        f"{manifest['warps']} warps {manifest['stages']} stages {sizes}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
