"""Triton kernels, one op per file, and how a recorded plan's steps launch them.

Nothing here needs Triton or a GPU to be imported. See `launch.py` for what a launch is, `compile.py` for how
kernels become cubins.
"""

from __future__ import annotations

import importlib
from typing import Any

# Which file makes the launches of a step.
STEPS = {
    "affine": "affine",
    "argmax": "argmax",
    "combine": "gate",
    "constant": "constant",
    "conv": "conv2d",
    "copy": "concat",
    "demodulate": "modulation",
    "instance_norm": "instance_norm",
    "max_pool": "max_pool",
    "norm_add": "squeeze_excite",
    "picture": "from_uint8",
    "pool": "region_pool",
    "region_linear": "region_linear",
    "regional_conv": "regional_conv",
    "resize": "resize",
    "resize_labels": "resize_labels",
    "to_rgb": "to_rgb",
    "to_uint8": "to_uint8",
}


def module(name: str) -> Any:
    """A file of this package, imported at its first use."""
    return importlib.import_module(f".{name}", __name__)
