"""Triton kernels, one op per file, and the launches of a recorded plan's steps.

Importing this package needs neither Triton nor a GPU. `launch.py` defines launches, `compile.py` turns
kernels into cubins.
"""

from __future__ import annotations

import importlib
from typing import Any

# Kinds of the steps; each is the name of the file that builds their launches.
STEPS = frozenset(
    {
        "add", "affine", "argmax", "blur", "condition", "constant", "conv2d", "copy", "demodulate",
        "depthwise", "from_uint8", "gate", "gaussian_quarter", "gelu", "group_norm", "instance_norm",
        "layer_norm", "max_pool", "multiply", "nmf", "norm_add", "part_attention", "picture",
        "region_linear", "region_pool", "regional_conv", "resize", "resize_labels", "rms_norm",
        "soft_argmax", "spade", "sparse_motion", "split_slices", "sum_taps", "to_rgb", "to_uint8", "warp",
    }
)  # fmt: skip


def module(name: str) -> Any:
    """Return a file of this package, imported on first use."""
    return importlib.import_module(f".{name}", __name__)
