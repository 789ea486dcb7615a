"""e4s_engine: fine-grained face swapping by region (E4S, CVPR 2023)."""

from __future__ import annotations

__version__ = "0.1.0"
