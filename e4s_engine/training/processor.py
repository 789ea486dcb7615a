"""Data types that the training device multiplies in hardware."""

from __future__ import annotations

import functools

from e4s_engine import _native


@functools.cache
def has_bf16(device_type: str) -> bool:
    """Return whether the device multiplies bf16 in hardware: GPUs, and CPUs with AVX512_BF16 or AMX."""
    if device_type != "cpu":
        return True
    features = _native.cpu_features()
    return features["avx512_bf16"] or features["amx_bf16"]
