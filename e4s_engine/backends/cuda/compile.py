"""Kernels to cubins, kept on disk: `python -m e4s_engine.backends.cuda.compile --arch 80 90`.

A kernel is specialised for a shape, a precision and an architecture; a batch counts only where it changes the
tile. Beside each cubin
lies a manifest: what the driver needs to launch it, and what the compiler said of it. A manifest's name holds
a hash of everything that went into it, so an entry is never stale; a cubin's name is the hash of its own
bytes, so writers at the same time cannot mix theirs, and a damaged one is found and compiled again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from e4s_engine.errors import BackendError
from e4s_engine.kernels import language
from e4s_engine.kernels import module as kernel_file
from e4s_engine.kernels.launch import Launch, Operand, Program
from e4s_engine.photo.files import replacing

FORMAT = 3  # of the manifest, and of how kernels are compiled
CACHE_VARIABLE = "E4S_CACHE"
ARCHITECTURES = (80, 86, 89, 90, 100, 120)
# The most shared memory of a block, in bytes, and registers of a thread (CUDA programming guide, compute
# capabilities).
SHARED_LIMIT = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 120: 101376}
REGISTERS = 255
_POINTERS = {"f32": "*fp32", "f16": "*fp16", "bf16": "*bf16", "u8": "*u8"}
_SIZES = {"f32": 4, "f16": 2, "bf16": 2, "u8": 1}
_ALIGNED = [["tt.divisibility", 16]]


def cache_folder() -> Path:
    """Where cubins are kept: E4S_CACHE, else e4s_engine in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "e4s_engine" / "kernels"


def parameters(launch: Launch) -> list[dict[str, Any]]:
    """The kernel's arguments in order: name, type, and whether it is known to lie on 16 bytes."""
    found: list[dict[str, Any]] = []
    for name, pointer in launch.pointers.items():
        if pointer is None:
            continue
        offset = pointer.offset * _SIZES[pointer.type] if isinstance(pointer, Operand) else 0
        found.append({"name": name, "type": _POINTERS[pointer.type], "aligned": offset % 16 == 0})
    if launch.count:
        found.append({"name": "count", "type": "i32", "aligned": False})
    return found


@functools.lru_cache(maxsize=64)
def source_hash(module: str) -> str:
    """Of the file a kernel is written in and of those it takes functions from."""
    folder, wanted, seen = Path(language.__file__).parent, [module], set[str]()
    digest = hashlib.sha256()
    while wanted:
        name = wanted.pop()
        if name in seen or name in ("language", "launch", "tiles"):  # what these decide is in the constants
            continue
        seen.add(name)
        text = (folder / f"{name}.py").read_text()
        digest.update(text.encode())
        wanted += sorted(re.findall(r"^from \.(\w+) import", text, re.MULTILINE))
    return digest.hexdigest()


def key(launch: Launch, arch: int) -> str:
    """The name of a launch's kernel in the cache: everything that its cubin depends on."""
    parts = {
        "format": FORMAT,
        "kernel": launch.kernel,
        "parameters": parameters(launch),
        "constants": launch.constants,
        "tile": [launch.tile.warps, launch.tile.stages, launch.tile.cached],
        "arch": arch,
        "source": source_hash(launch.kernel.partition(".")[0]),
        "triton": language.VERSION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def load(folder: Path, name: str) -> tuple[dict[str, Any], bytes] | None:
    """A manifest and its cubin, or None where they are absent or damaged."""
    try:
        manifest = json.loads((folder / f"{name}.json").read_text())
        cubin = (folder / f"{manifest['cubin']}.cubin").read_bytes()
        whole = hashlib.sha256(cubin).hexdigest()[:40] == manifest["cubin"] and manifest["key"] == name
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (manifest, cubin) if whole else None


def store(folder: Path, manifest: dict[str, Any], cubin: bytes) -> None:
    """Write a cubin, then the manifest that names it: each is whole at every moment."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{manifest['cubin']}.cubin", "kernel cache") as path:
        path.write_bytes(cubin)
    with replacing(folder / f"{manifest['key']}.json", "kernel cache") as path:
        path.write_text(json.dumps(manifest, indent=1, sort_keys=True))


def get(launch: Launch, arch: int, folder: Path | None = None) -> tuple[dict[str, Any], bytes]:
    """The manifest and cubin of a launch's kernel, from the cache or compiled. Raises BackendError."""
    folder = folder or cache_folder()
    name = key(launch, arch)
    known = load(folder, name)
    if known is None:
        known = build(launch, arch, name)
        store(folder, *known)
    return known


def build(launch: Launch, arch: int, name: str) -> tuple[dict[str, Any], bytes]:
    """Compile: no spills, fewer loads in flight where shared memory is short. Raises BackendError."""
    if language.triton is None:
        raise BackendError(
            f"kernels: {launch.kernel} for sm_{arch} is not in {cache_folder()} and Triton is not installed; "
            "install it with `pip install e4s_engine[cuda]`, or bring a cache compiled elsewhere"
        )
    limit = SHARED_LIMIT.get(arch, min(SHARED_LIMIT.values()))
    for stages in range(launch.tile.stages, 0, -1):
        made, log = _compile(launch, arch, stages)
        if made.metadata.shared <= limit:
            break
    else:
        raise BackendError(
            f"kernels: {launch.kernel} needs {made.metadata.shared} bytes of shared memory, "
            f"sm_{arch} has {limit}; choose smaller tiles for it in tiles.py"
        )
    report = ptxas_report(log)
    # The assembler at times keeps to few registers, so that more programs fit, and spills: give it more.
    for most in range(report["registers"] + 16, REGISTERS + 1, 16):
        if not report["spills"]:
            break
        made, log = _compile(launch, arch, stages, most)
        report = ptxas_report(log)
    cubin = made.asm["cubin"]
    listed = parameters(launch)
    _check_parameters(launch, made, len(listed))
    manifest = {
        "format": FORMAT,
        "key": name,
        "kernel": launch.kernel,
        "entry": made.metadata.name,
        "parameters": listed,
        "scratch": 2,  # pointers that Triton appends to the arguments; null where sizes below are 0
        "shared": made.metadata.shared,
        "warps": made.metadata.num_warps,
        "stages": stages,
        "grid": [*launch.grid, f"ceil(batch / {launch.samples})"],
        "constants": launch.constants,
        "arch": arch,
        "triton": language.VERSION,
        "source": source_hash(launch.kernel.partition(".")[0]),
        "cubin": hashlib.sha256(cubin).hexdigest()[:40],
        **report,
    }
    return manifest, cubin


def _compile(launch: Launch, arch: int, stages: int, most: int | None = None) -> tuple[Any, str]:
    """The compiled kernel and what ptxas said. most: registers a thread may take, None: as ptxas likes."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module, _, function = launch.kernel.partition(".")
    kernel = getattr(kernel_file(module), function)
    knobs = language.triton.knobs
    if knobs.runtime.interpret:
        raise BackendError("kernels: nothing compiles while TRITON_INTERPRET is set; unset it")
    listed = {p["name"]: p for p in parameters(launch)}
    signature = {n: listed[n]["type"] if n in listed else "constexpr" for n in kernel.arg_names}
    values = {n: launch.constants.get(n) for n in kernel.arg_names if n not in listed}
    attributes = {
        (i,): _ALIGNED for i, n in enumerate(kernel.arg_names) if n in listed and listed[n]["aligned"]
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=values, attrs=attributes)
    said = io.StringIO()
    with (
        knobs.nvidia.scope(),
        knobs.compilation.scope(),
        knobs.runtime.scope(),
        contextlib.redirect_stdout(said),
    ):
        knobs.nvidia.dump_ptxas_log = True
        knobs.compilation.always_compile = True
        if launch.tile.cached:
            knobs.runtime.add_stages_inspection_hook = _through_first_level
        made = language.triton.compile(
            source,
            target=GPUTarget("cuda", arch, 32),
            options={"num_warps": launch.tile.warps, "num_stages": stages, "maxnreg": most},
        )
    return made, said.getvalue()


def _through_first_level(backend: Any, stages: dict[str, Any], *rest: Any) -> None:
    """Let copies of a product's left operand to shared memory go through the first-level cache.

    Triton has them all go around it, and no word for another way. They come in groups, left and right operand
    in turn.
    """
    assemble = stages["ptx"]

    def cached(source: Any, metadata: Any) -> Any:
        groups = assemble(source, metadata).split("cp.async.commit_group")
        groups[::2] = [group.replace("cp.async.cg.", "cp.async.ca.") for group in groups[::2]]
        return "cp.async.commit_group".join(groups)

    stages["ptx"] = cached


def _check_parameters(launch: Launch, made: Any, count: int) -> None:
    """The assembly must take what the manifest says, and two scratch pointers that stay empty."""
    entry = re.search(r"\.entry\s+\w+\((.*?)\)", made.asm["ptx"], re.DOTALL)
    taken = entry.group(1).count(".param") if entry else -1
    scratch = getattr(made.metadata, "global_scratch_size", 0) + getattr(
        made.metadata, "profile_scratch_size", 0
    )
    if taken != count + 2 or scratch:
        raise BackendError(
            f"kernels: Triton {language.VERSION} passes arguments of {launch.kernel} in a way that this "
            f"package does not know ({taken} of them, {count} and 2 expected; {scratch} bytes of scratch); "
            "use Triton 3.6"
        )


def ptxas_report(log: str) -> dict[str, int]:
    """Registers per thread, and bytes that did not fit in them."""
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", log)
    registers = re.search(r"Used (\d+) registers", log)
    return {"registers": int(registers.group(1)) if registers else -1, "spills": sum(map(int, spills))}


def distinct(launches: Iterable[Launch], arch: int) -> dict[str, Launch]:
    """The kernels that launches need, by their names in the cache."""
    return {key(launch, arch): launch for launch in launches}


def warm(launches: Iterable[Launch], arch: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Manifests of all, compiled by `jobs` processes where there are several."""
    # Compilers need the arguments' types alone; the weights behind them do not travel.
    bare = [
        dataclasses.replace(
            launch,
            pointers={
                n: Operand(0, p.type, p.offset if isinstance(p, Operand) else 0) if p is not None else None
                for n, p in launch.pointers.items()
            },
        )
        for launch in launches
    ]
    if jobs < 2:
        yield from (get(launch, arch)[0] for launch in bare)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        yield from pool.map(_manifest, bare, [arch] * len(bare))


def _manifest(launch: Launch, arch: int) -> dict[str, Any]:
    return get(launch, arch)[0]


def published_programs(precision: str, batch: int = 1) -> Iterator[Program]:
    """The networks of a published swap."""
    from e4s_engine.backends.plans import examples
    from e4s_engine.networks.bisenet.config import ParserConfig
    from e4s_engine.networks.rgi.config import ModelConfig

    yield from map(Program, examples([ModelConfig(), ParserConfig()], precision, batch).values())


def published_launches(precision: str, batch: int = 1) -> list[Launch]:
    """All that the published model runs: its networks one by one, and a swap as one graph."""
    from e4s_engine.backends.cuda import swap
    from e4s_engine.networks.rgi.config import ModelConfig

    stages = [launch for program in published_programs(precision, batch) for launch in program.launches]
    return stages + swap.record(ModelConfig(), precision, batch).launches()


def main(arguments: list[str] | None = None) -> int:
    """Compile a published model's kernels ahead of time; the exit status is 1 if any spills."""
    parser = argparse.ArgumentParser(
        prog="python -m e4s_engine.backends.cuda.compile", description=main.__doc__
    )
    parser.add_argument(
        "--arch", type=int, nargs="+", default=[90], help="compute capabilities, such as 80 90"
    )
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--jobs", type=int, default=1, help="processes that compile")
    parser.add_argument("--only", default="", help="kernels whose name begins so")
    parser.add_argument("--json", action="store_true", help="print one object per kernel")
    options = parser.parse_args(arguments)
    spilled = 0
    for precision in options.precision:
        launches = published_launches(precision)
        for arch in options.arch:
            wanted = {k: v for k, v in distinct(launches, arch).items() if v.kernel.startswith(options.only)}
            start = time.perf_counter()
            for number, manifest in enumerate(warm(wanted.values(), arch, options.jobs), 1):
                spilled += manifest["spills"] > 0
                _report(manifest, options.json, f"{number}/{len(wanted)}")
            seconds = time.perf_counter() - start
            print(f"sm_{arch} {precision}: {len(wanted)} kernels in {seconds:.0f} s", file=sys.stderr)
    return 1 if spilled else 0


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
