"""Networks beside the model: detector, reenactment, restoration. Each is loaded when it is first used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from e4s_engine import backends
from e4s_engine._forks import Lock
from e4s_engine.backends import Backend, Boxes
from e4s_engine.weights import Model, open_model

logger = logging.getLogger("e4s_engine")

# Beside the compiled backend of a GPU, which would build kernels for every size of photo.
_ON_CPU = {"retinaface"}


class Networks:
    """Networks by kind, in the backend of the model, from their files."""

    def __init__(self, backend: Backend | None, files: Mapping[str, Path]) -> None:
        """backend: where they are loaded; None: there are no files.

        files: weight files by kind. Converted ones are checked now, official ones at their first use.

        Raises WeightsError.
        """
        self._backend, self._files = backend, dict(files)
        self._opened: dict[str, Model] = {}
        self._configs: dict[str, Any] = {}
        self._places: dict[str, Backend] = {}
        self._lock = Lock()
        for kind, file in self._files.items():
            if file.suffix == ".safetensors":
                self._opened[kind] = open_model(file, kind, _argument(kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the networks whose weights are there."""
        return tuple(sorted(self._files))

    def has(self, *kinds: str) -> bool:
        """Return whether the weights of all these networks are there."""
        return all(kind in self._files for kind in kinds)

    def file(self, kind: str) -> Path:
        """Return a network's weight file."""
        return self._files[kind]

    def config(self, kind: str) -> Any:
        """Return a network's config; loads it."""
        self._place(kind)
        return self._configs[kind]

    def run(
        self, kind: str, function: str, *arrays: npt.NDArray[Any], boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """Run a function of a network, see `Backend.run`. Raises WeightsError for damaged weights."""
        return self._place(kind).run(kind, function, *arrays, boxes=boxes)

    def _place(self, kind: str) -> Backend:
        place = self._places.get(kind)
        if place is not None:
            return place
        with self._lock:  # readers that come meanwhile wait
            if kind not in self._places:
                self._places[kind] = self._load(kind)
            return self._places[kind]

    def _load(self, kind: str) -> Backend:
        logger.info("engine: loading %s", self._files[kind])
        assert self._backend is not None
        model = self._opened.pop(kind, None) or open_model(self._files[kind], kind, _argument(kind))
        self._configs[kind] = model.config
        if kind in _ON_CPU and self._backend.name == "native" and self._backend.device != "cpu":
            return backends.create([model], "native", "cpu", "fp32")
        self._backend.load(kind, model)
        return self._backend


def _argument(kind: str) -> str:
    """Return what callers call a network in error messages."""
    return "landmarks" if kind == "retinaface" else "weights"
