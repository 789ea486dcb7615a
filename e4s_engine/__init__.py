"""e4s_engine: fine-grained face swapping by region (E4S, CVPR 2023).

    import e4s_engine

    engine = e4s_engine.Engine("e4s.safetensors")
    result = engine.swap("ann.jpg", "holiday.jpg", regions=["eyes", "nose"])  # two ordinary photos
    result.save("out.png")

Names are loaded at their first use, so that importing the package takes next to no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from e4s_engine import engine, errors, regions
    from e4s_engine.engine import Engine, swap
    from e4s_engine.faces.face import DetectedFace
    from e4s_engine.marks.certificates import Signer
    from e4s_engine.marks.verify import Verdict, verify
    from e4s_engine.options import SwapOptions
    from e4s_engine.result import Face, Result, SwappedFace
    from e4s_engine.video.options import Steady
    from e4s_engine.weights import convert

__version__ = "0.1.0"
__all__ = [
    "DetectedFace",
    "Engine",
    "Face",
    "Result",
    "Signer",
    "Steady",
    "SwapOptions",
    "SwappedFace",
    "Verdict",
    "__version__",
    "convert",
    "engine",
    "errors",
    "regions",
    "swap",
    "verify",
]

_HOMES = {
    "DetectedFace": "e4s_engine.faces.face",
    "Engine": "e4s_engine.engine",
    "Face": "e4s_engine.result",
    "Result": "e4s_engine.result",
    "Signer": "e4s_engine.marks.certificates",
    "SwapOptions": "e4s_engine.options",
    "Steady": "e4s_engine.video.options",
    "SwappedFace": "e4s_engine.result",
    "Verdict": "e4s_engine.marks.verify",
    "convert": "e4s_engine.weights",
    "swap": "e4s_engine.engine",
    "verify": "e4s_engine.marks.verify",
}
_MODULES = ("engine", "errors", "regions")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"e4s_engine.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'e4s_engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
