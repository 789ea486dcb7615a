"""Facts about this machine and an engine's choices, as `e4s info` prints them."""

from __future__ import annotations

import importlib.util
import platform
from typing import TYPE_CHECKING, Any

from e4s_engine import __version__

if TYPE_CHECKING:
    from e4s_engine.engine import Engine


def report(engine: Engine) -> dict[str, Any]:
    """Collect the facts, name -> value, in the order to print."""
    config = engine.config
    return {
        "e4s_engine": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu features": _cpu_features(),
        "torch": _torch(),
        "weights": str(engine.weights),
        "model": f"RGI at {config.size}, styles [12, {config.style_dim}], K = {config.injected}"
        + (", relights" if config.relight else ""),
        "parser": engine.parser,
        "backend": engine.backend,
        "device": engine.device,
        "precision": engine.precision,
    }


def _cpu_features() -> str:
    from e4s_engine import _native

    return ", ".join(name for name, present in _native.cpu_features().items() if present) or "none known"


def _torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return "not installed"
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{torch.__version__} ({', '.join(gpus) or 'no CUDA GPU'})"
