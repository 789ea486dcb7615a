"""Compiler from kernels to cubins on disk.

A kernel is specialised for a shape, a precision and an architecture; the batch counts only where it changes
the tile. Each cubin has a manifest: the driver's launch parameters and the compiler's report. A manifest's
name is a hash of everything that the kernel depends on, so no entry is ever stale; a cubin's name is the hash
of its own bytes, so concurrent writers cannot mix theirs, and a damaged one is detected and compiled again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from e4s_engine.backends.cuda import archive
from e4s_engine.errors import BackendError
from e4s_engine.kernels import language
from e4s_engine.kernels import module as kernel_file
from e4s_engine.kernels.launch import Launch, Operand
from e4s_engine.photo.files import replacing

FORMAT = 4  # version of the manifest and of the compile settings
CACHE_VARIABLE = "E4S_CACHE"
ARCHITECTURES = (80, 86, 89, 90, 100, 120)
# Bytes of shared memory per block and registers per thread (CUDA programming guide, compute capabilities).
SHARED_LIMIT = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 120: 101376}
REGISTERS = 255
_POINTERS = {"f32": "*fp32", "f16": "*fp16", "bf16": "*bf16", "u8": "*u8", "i32": "*i32"}
_SIZES = {"f32": 4, "f16": 2, "bf16": 2, "u8": 1, "i32": 4}
_ALIGNED = [["tt.divisibility", 16]]


def cache_folder() -> Path:
    """Return the folder of the cubins: in E4S_CACHE, else in e4s_engine in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "e4s_engine" / "kernels"


def parameters(launch: Launch) -> list[dict[str, Any]]:
    """Return the kernel's arguments in order: name, type, and whether 16-byte alignment is guaranteed."""
    arguments: list[dict[str, Any]] = []
    for name, pointer in launch.pointers.items():
        if pointer is None:
            continue
        offset = pointer.offset * _SIZES[pointer.type] if isinstance(pointer, Operand) else 0
        arguments.append({"name": name, "type": _POINTERS[pointer.type], "aligned": offset % 16 == 0})
    if launch.count:
        arguments.append({"name": "count", "type": "i32", "aligned": False})
    return arguments


@functools.lru_cache(maxsize=64)
def source_hash(module: str) -> str:
    """Return a hash of a kernel's file and of the files that it imports functions from."""
    folder, queue, seen = Path(language.__file__).parent, [module], set[str]()
    digest = hashlib.sha256()
    while queue:
        name = queue.pop()
        if name in seen or name in ("language", "launch", "tiles"):  # the constants hold their decisions
            continue
        seen.add(name)
        text = (folder / f"{name}.py").read_text("utf-8")
        digest.update(text.encode())
        queue += sorted(re.findall(r"^from \.(\w+) import", text, re.MULTILINE))
    return digest.hexdigest()


def key(launch: Launch, arch: int, triton: str | None = None) -> str:
    """Return the cache name of a launch's kernel: a hash of everything that its cubin depends on.

    triton: version of the compiler; None: the one that is installed.
    """
    parts = {
        "format": FORMAT,
        "kernel": launch.kernel,
        "parameters": parameters(launch),
        "constants": launch.constants,
        "tile": [launch.tile.warps, launch.tile.stages, launch.tile.cached],
        "arch": arch,
        "source": source_hash(launch.kernel.partition(".")[0]),
        "triton": triton or language.VERSION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def load(folder: Path, name: str) -> tuple[dict[str, Any], bytes] | None:
    """Read a manifest and its cubin; return None if they are absent or damaged."""
    try:
        manifest = json.loads((folder / f"{name}.json").read_text("utf-8"))
        cubin = (folder / f"{manifest['cubin']}.cubin").read_bytes()
        whole = hashlib.sha256(cubin).hexdigest()[:40] == manifest["cubin"] and manifest["key"] == name
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (manifest, cubin) if whole else None


def store(folder: Path, manifest: dict[str, Any], cubin: bytes) -> None:
    """Write a cubin, then the manifest that names it, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{manifest['cubin']}.cubin", "kernel cache") as path:
        path.write_bytes(cubin)
    with replacing(folder / f"{manifest['key']}.json", "kernel cache") as path:
        path.write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")


def has_kernels(arch: int) -> bool:
    """Return whether the package or the cache holds kernels for an architecture."""
    if arch in archive.architectures():
        return True
    for path in cache_folder().glob("*.json"):
        try:
            if json.loads(path.read_text("utf-8"))["arch"] == arch:
                return True
        except (OSError, ValueError, TypeError, KeyError):  # damaged, or of another kind
            continue
    return False


def get(launch: Launch, arch: int, folder: Path | None = None) -> tuple[dict[str, Any], bytes]:
    """Return manifest and cubin of a launch's kernel, compiled now if need be. Raises BackendError."""
    folder = folder or cache_folder()
    entry = find(launch, arch, folder)
    if entry is None:
        entry = build(launch, arch, key(launch, arch))
        store(folder, *entry)
    return entry


def find(launch: Launch, arch: int, folder: Path | None = None) -> tuple[dict[str, Any], bytes] | None:
    """Return manifest and cubin of a kernel in the package's archive or the cache, or None.

    Kernels of the archive are taken whichever Triton is installed.
    """
    shipped = archive.find(key(launch, arch, language.SUPPORTED), arch)
    return shipped or load(folder or cache_folder(), key(launch, arch))


def build(launch: Launch, arch: int, name: str) -> tuple[dict[str, Any], bytes]:
    """Compile a launch's kernel. Raises BackendError.

    The result has no spills if enough registers exist, and fewer loads in flight if shared memory is short.
    """
    if language.triton is None:
        raise BackendError(
            f"kernels: {launch.kernel} for sm_{arch} is not in {cache_folder()} and Triton is not installed; "
            "install it with `pip install e4s_engine[cuda]`, or bring a cache compiled elsewhere"
        )
    limit = SHARED_LIMIT.get(arch, min(SHARED_LIMIT.values()))
    for stages in range(launch.tile.stages, 0, -1):
        kernel, log = _compile(launch, arch, stages)
        if kernel.metadata.shared <= limit:
            break
    else:
        raise BackendError(
            f"kernels: {launch.kernel} needs {kernel.metadata.shared} bytes of shared memory, "
            f"sm_{arch} has {limit}; choose smaller tiles for it in tiles.py"
        )
    report = ptxas_report(log)
    # The assembler sometimes uses few registers, so that more programs fit, and spills: allow it more.
    for most in range(report["registers"] + 16, REGISTERS + 1, 16):
        if not report["spills"]:
            break
        kernel, log = _compile(launch, arch, stages, most)
        report = ptxas_report(log)
    cubin = kernel.asm["cubin"]
    listed = parameters(launch)
    _check_parameters(launch, kernel, len(listed))
    manifest = {
        "format": FORMAT,
        "key": name,
        "kernel": launch.kernel,
        "entry": kernel.metadata.name,
        "parameters": listed,
        "scratch": 2,  # pointers that Triton appends to the arguments: null, see _check_parameters
        "shared": kernel.metadata.shared,
        "warps": kernel.metadata.num_warps,
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
    """Return the compiled kernel and ptxas's log. most: limit of registers per thread; None: no limit."""
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
    log = io.StringIO()
    with (
        knobs.nvidia.scope(),
        knobs.compilation.scope(),
        knobs.runtime.scope(),
        contextlib.redirect_stdout(log),
    ):
        knobs.nvidia.dump_ptxas_log = True
        knobs.compilation.always_compile = True
        knobs.compilation.disable_line_info = True  # more than half of a cubin, and for debuggers only
        if launch.tile.cached:
            knobs.runtime.add_stages_inspection_hook = _through_first_level
        result = language.triton.compile(
            source,
            target=GPUTarget("cuda", arch, 32),
            options={"num_warps": launch.tile.warps, "num_stages": stages, "maxnreg": most},
        )
    return result, log.getvalue()


def _through_first_level(backend: Any, stages: dict[str, Any], *rest: Any) -> None:
    """Route copies of a product's left operand to shared memory through the first-level cache.

    Triton makes all such copies bypass that cache and has no option for it. The copies come in groups, left
    and right operand alternating.
    """
    assemble = stages["ptx"]

    def cached(source: Any, metadata: Any) -> Any:
        groups = assemble(source, metadata).split("cp.async.commit_group")
        groups[::2] = [group.replace("cp.async.cg.", "cp.async.ca.") for group in groups[::2]]
        return "cp.async.commit_group".join(groups)

    stages["ptx"] = cached


def _check_parameters(launch: Launch, kernel: Any, count: int) -> None:
    """Check that the assembly takes the manifest's arguments and two unused scratch pointers."""
    entry = re.search(r"\.entry\s+\w+\((.*?)\)", kernel.asm["ptx"], re.DOTALL)
    total = entry.group(1).count(".param") if entry else -1
    scratch = getattr(kernel.metadata, "global_scratch_size", 0) + getattr(
        kernel.metadata, "profile_scratch_size", 0
    )
    if total != count + 2 or scratch:
        raise BackendError(
            f"kernels: Triton {language.VERSION} passes arguments of {launch.kernel} in a way that this "
            f"package does not know ({total} of them, {count} and 2 expected; {scratch} bytes of scratch); "
            "use Triton 3.6"
        )


def ptxas_report(log: str) -> dict[str, int]:
    """Return registers per thread, and bytes spilled from them."""
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", log)
    registers = re.search(r"Used (\d+) registers", log)
    return {"registers": int(registers.group(1)) if registers else -1, "spills": sum(map(int, spills))}


def distinct(launches: Iterable[Launch], arch: int) -> dict[str, Launch]:
    """Return one launch per distinct kernel, by the kernel's name in the cache."""
    return {key(launch, arch): launch for launch in launches}
