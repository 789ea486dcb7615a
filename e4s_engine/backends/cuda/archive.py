"""Archive of compiled kernels: a file that ships with the package, so that a card needs no compiler.

`python -m e4s_engine.backends.cuda.ahead --out` writes it. It is a zip file with two members per
architecture: the manifests, and all cubins in one piece, which compresses to a third of what they take one by
one.
"""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e4s_engine.errors import BackendError
from e4s_engine.photo.files import replacing

Entry = tuple[dict[str, Any], bytes]

SHIPPED = Path(__file__).with_name("kernels.zip")  # is not there unless it was built
_NEEDED = (
    "key", "kernel", "arch", "entry", "shared", "warps", "stages", "scratch", "registers", "spills",
    "constants", "cubin",
)  # fmt: skip


def write(path: Path, entries: Mapping[int, list[Entry]]) -> None:
    """Write manifests and cubins by architecture. Raises OutputError."""
    with replacing(path, "archive") as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as file:
        for arch, listed in entries.items():
            cubins = {manifest["cubin"]: cubin for manifest, cubin in listed}
            content = {
                "manifests": [{name: manifest[name] for name in _NEEDED} for manifest, _ in listed],
                "sizes": {name: len(cubin) for name, cubin in cubins.items()},
            }
            file.writestr(f"sm_{arch}.json", json.dumps(content))
            file.writestr(f"sm_{arch}.cubins", b"".join(cubins.values()))


def architectures() -> tuple[int, ...]:
    """Return the architectures whose kernels ship. Raises BackendError for a damaged file."""
    return _architectures(SHIPPED)


def find(name: str, arch: int) -> Entry | None:
    """Return manifest and cubin of a kernel that ships, or None. Raises BackendError for a damaged file."""
    return _read(SHIPPED, arch).get(name) if arch in architectures() else None


@functools.lru_cache(maxsize=1)
def _architectures(path: Path) -> tuple[int, ...]:
    if not path.exists():
        return ()
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.endswith(".json")]
        return tuple(int(name.removeprefix("sm_").removesuffix(".json")) for name in names)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


@functools.lru_cache(maxsize=1)
def _read(path: Path, arch: int) -> dict[str, Entry]:
    """Return all entries of an architecture by key: some 20 MB, unpacked in 0.1 s."""
    try:
        with zipfile.ZipFile(path) as file:
            content = json.loads(file.read(f"sm_{arch}.json"))
            packed = file.read(f"sm_{arch}.cubins")
        cubins, start = {}, 0
        for name, size in content["sizes"].items():
            cubins[name] = packed[start : start + size]
            start += size
        return {manifest["key"]: (manifest, cubins[manifest["cubin"]]) for manifest in content["manifests"]}
    except Exception as error:  # zlib, lzma and zipfile raise several kinds
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BackendError:
    return BackendError(
        f"kernels: {path} is damaged ({error}); install the package again, or delete the file"
    )
