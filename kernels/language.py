"""Triton, or stand-ins where it is not installed.

Without Triton, launches can still be laid out from a plan and run from cubins compiled elsewhere.
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

SUPPORTED = "3.6.0"  # version of Triton that compiles what ships

# Where Triton is not installed, cubins in the cache come from the version that this package supports.
VERSION: str = triton.__version__ if triton else SUPPORTED


def jit(function: Any) -> Any:
    """Apply `triton.jit`, or return the function unchanged without Triton."""
    return function if triton is None else triton.jit(function)
