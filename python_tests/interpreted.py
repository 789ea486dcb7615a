"""Triton's interpreter, switched on for the kernels in this process, whichever test imports them first.

Triton decides at its import, and again for every kernel at its decoration. This module therefore imports all
of it, and no process that a test starts inherits the setting.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from e4s_engine import kernels

_before = os.environ.get("TRITON_INTERPRET")
os.environ["TRITON_INTERPRET"] = "1"
if importlib.util.find_spec("triton") is not None:
    # Otherwise it would be loaded at the first launch, and not interpreted.
    import triton.experimental.gluon
    import triton.language  # noqa: F401
    from triton.runtime import interpreter

    _patch = interpreter._patch_lang_tensor

    def _with_index(tensor: Any, scope: Any) -> None:
        """Let a kernel's loop end at a computed number: its array has one axis, which NumPy 2.4 refuses."""
        _patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = _with_index
    # Every sum of integers would be computed in 64 bits as well, to compare: a third of the tests' time, and
    # their maps are far too small to overflow.
    interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
    for _name in sorted({*kernels.STEPS, "compose", "enlarge", "feather", "relight"}):
        kernels.module(_name)
if _before is None:
    del os.environ["TRITON_INTERPRET"]
else:
    os.environ["TRITON_INTERPRET"] = _before
