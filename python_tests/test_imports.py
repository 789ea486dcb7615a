"""Imports between the package's folders: which may import which. They run one way only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PUBLIC = {"__init__.py", "_forks.py", "engine.py", "errors.py", "options.py", "regions.py", "result.py"}
ANYONE = {"_forks", "errors", "regions", "_native", "__version__"}

# Any other import within the package is an error; imports inside functions and for types count too.
ALLOWED = {
    "__init__": {"engine", "faces", "marks", "options", "result", "video", "weights"},
    "cli": {
        "backends", "engine", "evaluation", "faces", "marks", "networks", "options", "photo", "pipeline",
        "result", "serve", "synth", "testing", "training", "ui", "video", "weights",
    },
    "video": {"faces", "marks", "options", "photo", "pipeline", "result"},
    "serve": {"engine", "faces", "marks", "options", "photo", "result", "weights"},
    "ui": {"engine", "faces", "marks", "options", "photo", "pipeline", "result", "synth", "weights"},
    "evaluation": {"engine", "faces", "marks", "options", "photo", "result"},
    "integrations": {"engine", "faces", "options", "photo", "result"},
    "training": {"backends", "networks", "ops", "photo", "pipeline", "synth", "testing", "weights"},
    "synth": set[str](),
    "testing": {"backends", "networks", "photo", "weights"},
    "engine": {
        "backends", "faces", "networks", "options", "photo", "pipeline", "result", "video", "weights",
    },
    "options": {"faces", "photo"},
    "marks": {"photo"},
    "pipeline": {"backends", "faces", "marks", "networks", "options", "photo", "result", "weights"},
    "result": {"faces", "marks", "photo", "weights"},  # a saved Face's file
    "faces": {"networks", "photo"},  # decoding of a detector's heads
    "backends": {"kernels", "networks", "ops", "photo", "plan", "weights"},
    # The GPU composes and feathers with the CPU's tables and numbers: constants, no calls.
    "kernels": {"photo", "pipeline", "plan"},
    "weights": {"networks", "photo"},  # a file's header holds its network's config
    "networks": {"ops"},
    "ops": {"plan"},
    "photo": set[str](),
    "plan": set[str](),
    "_forks": set[str](),
    "errors": set[str](),
    "regions": set[str](),
}  # fmt: skip


def files() -> Iterator[tuple[str, Path]]:
    """Return every Python file of the package with its folder; the kernels lie beside the package."""
    for path in sorted((ROOT / "e4s_engine").rglob("*.py")):
        yield path.relative_to(ROOT / "e4s_engine").parts[0].removesuffix(".py"), path
    for path in sorted((ROOT / "kernels").glob("*.py")):
        yield "kernels", path


def imported(path: Path) -> Iterator[str]:
    """Return the package's folders that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            package, *inner = node.module.split(".")
            if package == "e4s_engine":
                yield from inner[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package, *inner = alias.name.split(".")
                if package == "e4s_engine":
                    yield from inner[:1]


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_one_way(room: str) -> None:
    allowed = ALLOWED[room] | ANYONE | {room}
    wrong = [
        f"{p.relative_to(ROOT)}: {m}"
        for r, p in files()
        if r == room
        for m in imported(p)
        if m not in allowed
    ]
    assert not wrong


def test_no_two_rooms_import_each_other() -> None:
    """The table itself has no cycle."""
    left = {room: set(wanted) for room, wanted in ALLOWED.items()}
    # The constants of a stage, as above: the only import against the direction.
    left["kernels"].discard("pipeline")
    while left:
        free = {room for room, wanted in left.items() if not wanted & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {room: wanted for room, wanted in left.items() if room not in free}


def test_every_room_is_in_the_table() -> None:
    assert {room for room, _ in files()} == set(ALLOWED)


def test_networks_do_not_import_each_other() -> None:
    networks = ROOT / "e4s_engine" / "networks"
    names = {path.parent.name for path in networks.glob("*/network.py")}
    assert names >= {"rgi", "bisenet", "retinaface"}
    for path in sorted(networks.rglob("*.py")):
        folder, *rest = path.relative_to(networks).parts
        for other in names:
            if rest and other != folder:
                assert f"networks.{other}" not in path.read_text(), path


def test_only_public_modules_lie_flat() -> None:
    assert {path.name for path in (ROOT / "e4s_engine").glob("*.py")} == PUBLIC


def test_test_folders_mirror_the_package() -> None:
    rooms = set(ALLOWED) | {"benchmarks", "fuzz"}
    folders = {p.name for p in (ROOT / "python_tests").iterdir() if p.is_dir() and any(p.rglob("test_*.py"))}
    assert folders <= rooms
