"""Every namespace offers the operations of the protocol, with the same parameters."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e4s_engine import ops
from e4s_engine.ops.ops import Ops

PROTOCOL = {name: f for name, f in vars(Ops).items() if inspect.isfunction(f) and name[0] != "_"}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of every parameter but self."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


def namespaces() -> dict[str, Any]:
    found = {name: getattr(ops, name) for name in ("reference", "published", "training", "record")}
    try:
        from e4s_engine.ops._fixed import Seams
    except ImportError:  # PyTorch is not installed
        return found
    return found | {"fixed": Seams("cpu").operations(ops.training)}


@pytest.mark.parametrize("name", namespaces())
def test_a_namespace_has_the_operations_of_the_protocol(name: str) -> None:
    namespace = vars(namespaces()[name])
    assert set(namespace) == set(PROTOCOL)
    for op, function in namespace.items():
        assert parameters(function) == parameters(PROTOCOL[op]), op


def test_every_operation_has_a_file_of_its_name() -> None:
    folder = Path(ops.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if path.stem[0] != "_" and path.stem != "ops"}
    assert files == set(PROTOCOL)


MISTAKES = {
    "a misspelt operation": "ops.conv_2d(x, w)",
    "a misspelt keyword": "ops.conv2d(x, w, strides=2)",
    "a missing argument": "ops.resize(x, 4, 4)",
    "an argument too many": "ops.max_pool(x, 3)",
    "a number for a tensor": "ops.add(x, 1)",
    "a result that is no tensor": "ops.argmax(x).mean",
}


def test_mypy_finds_mistakes_in_a_network(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the protocol is for mypy")
    lines = ["from e4s_engine.ops.ops import Ops, T", "def network(ops: Ops[T], x: T, w: T) -> None:"]
    lines += ["    ops.conv2d(x, w, stride=2)", *(f"    {mistake}" for mistake in MISTAKES.values())]
    path = tmp_path / "network.py"
    path.write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    root = Path(ops.__file__).parents[2]
    done = subprocess.run(
        [*command, str(path)], cwd=root, capture_output=True, text=True, check=False, timeout=300
    )
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == set(range(4, 4 + len(MISTAKES))), done.stdout + done.stderr
