"""Triton kernels, one op per file, and the launches of a recorded plan's steps.

Importing this package needs neither Triton nor a GPU. `launch.py` defines launches, `compile.py` turns
kernels into cubins.
"""

from __future__ import annotations

import importlib
from typing import Any

# Step kind -> file that builds its launches.
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
    """Return a file of this package, imported on first use."""
    return importlib.import_module(f".{name}", __name__)
