"""Triton, or stand-ins where it is not installed.

Launches can then still be laid out from a plan, and run from cubins that were compiled elsewhere.
"""

from __future__ import annotations

from typing import Any

triton: Any
tl: Any
try:
    import triton
    import triton.language as tl

    VERSION: str = triton.__version__
except ImportError:
    triton = tl = None
    VERSION = ""


def jit(function: Any) -> Any:
    """`triton.jit`, or the bare function."""
    return function if triton is None else triton.jit(function)
