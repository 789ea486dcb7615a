"""Check of what a wheel holds: everything that is installed, its licence, and nothing that only we need.

python python_tests/wheel_contents.py WHEEL...
"""

from __future__ import annotations

import argparse
import email
import re
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_BYTES = 24 << 20  # of a wheel, as it is downloaded, without compiled kernels
MOST_KERNELS = 15 << 20  # of those, if they were built (docs/cuda.md)
MOST_MODEL = 20 << 20  # of a bundled model: official weights have up to 700 MB
BUILT = {".pyc", ".so", ".pyd", ".zip"}  # files of a checkout that a build has left there
REQUIRED = {"numpy", "pillow", "safetensors", "tqdm"}  # by the base install


def sources() -> set[str]:
    """Return the names of the files that a wheel of this checkout must hold."""
    files = [path for path in (ROOT / "e4s_engine").rglob("*") if path.is_file() and path.suffix not in BUILT]
    names = {path.relative_to(ROOT).as_posix() for path in files}
    return names | {f"e4s_engine/kernels/{path.name}" for path in (ROOT / "kernels").glob("*.py")}


def problems(path: Path) -> list[str]:
    """Return what is wrong with a wheel, a line each."""
    wheel = zipfile.ZipFile(path)
    files = {entry.filename: entry.file_size for entry in wheel.infolist() if not entry.is_dir()}
    about, inside = _about(path), "e4s_engine/"
    wrong = [f"{name} is missing" for name in sorted(sources() - set(files))]
    # Libraries that auditwheel and delvewheel copy lie beside the package.
    wrong += [f"{name} does not belong here" for name in files if not name.startswith((inside, about))]
    wrong += [f"{name} is of a test or a cache" for name in files if re.search(r"test_|__pycache__", name)]
    extensions = [name for name in files if re.fullmatch(r"e4s_engine/_native[^/]*\.(so|pyd)", name)]
    if len(extensions) != 1:
        wrong.append(f"expected one compiled extension, got {extensions}")
    if not any(re.fullmatch(rf"{re.escape(about)}(licenses/)?LICENSE", name) for name in files):
        wrong.append("LICENSE is missing")
    models = {name: size for name, size in files.items() if name.endswith((".safetensors", ".pt", ".pth"))}
    wrong += [f"{name} has {size} bytes" for name, size in models.items() if size > MOST_MODEL]
    kernels = files.get("e4s_engine/backends/cuda/kernels.zip", 0)
    if kernels > MOST_KERNELS:
        wrong.append(f"compiled kernels have {kernels} bytes, {MOST_KERNELS} at most")
    if path.stat().st_size - kernels > MOST_BYTES:
        wrong.append(f"the wheel has {path.stat().st_size - kernels} bytes, {MOST_BYTES} at most")
    return wrong + _metadata(wheel.read(f"{about}METADATA"))


def _about(path: Path) -> str:
    """Return the folder of a wheel's metadata, by the wheel's name."""
    name, version, *_ = path.name.split("-")
    return f"{name}-{version}.dist-info/"


def _metadata(text: bytes) -> list[str]:
    headers = email.message_from_bytes(text)
    needs = [need for need in headers.get_all("Requires-Dist", []) if "extra ==" not in need]
    names = {re.split(r"[^\w.-]", need)[0].lower() for need in needs}
    wrong = [] if names == REQUIRED else [f"the base install needs {sorted(names)}, not {sorted(REQUIRED)}"]
    if headers["Requires-Python"] != ">=3.11":
        wrong.append(f"it is for Python {headers['Requires-Python']}")
    return wrong


def main() -> None:
    """Print what each wheel lacks or has too much of. Exit with 1 if there is anything."""
    parser = argparse.ArgumentParser(description="check what wheels hold")
    parser.add_argument("wheels", nargs="+", type=Path)
    found = [f"{path.name}: {line}" for path in parser.parse_args().wheels for line in problems(path)]
    print("\n".join(found) or "nothing is missing, and nothing too much")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
