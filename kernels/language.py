"""Triton, or stand-ins where it is not installed.

Launches can then still be laid out from a plan, and run from cubins that were compiled elsewhere.
"""

from __future__ import annotations

from typing import Any

triton: Any = None
tl: Any = None
try:
    import triton as _triton
    import triton.language as _language
except ImportError:
    pass
else:
    triton, tl = _triton, _language

VERSION: str = triton.__version__ if triton else ""


def jit(function: Any) -> Any:
    """`triton.jit`, or the bare function."""
    return function if triton is None else triton.jit(function)
