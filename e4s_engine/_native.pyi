"""The compiled runtime. Arguments are checked: ArgumentError for a plan that cannot be run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

def cpu_features() -> dict[str, bool]: ...
def kernels(isa: str) -> tuple[str, bool]: ...
def threads() -> int: ...

class Weights:
    def add_conv(
        self,
        kernel: npt.NDArray[np.float32],
        out_scale: npt.NDArray[np.float32] | None,
        in_scale: npt.NDArray[np.float32] | None,
        precision: str,
    ) -> int: ...
    def add_vector(self, values: npt.NDArray[np.float32]) -> int: ...
    @property
    def bytes(self) -> int: ...

class Plan:
    def __init__(
        self,
        buffers: Sequence[dict[str, Any]],
        steps: Sequence[dict[str, Any]],
        weights: Weights,
        isa: str = "",
        threads: int = 0,
        guard: bool = False,
        poison: bool = False,
    ) -> None: ...
    def run(self, arrays: Sequence[npt.NDArray[Any]], timed: bool = False) -> list[float]: ...
    def offset(self, buffer: int) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def unshared_bytes(self) -> int: ...
