"""Backends with loaded models, without an engine."""

from __future__ import annotations

from typing import TypeVar

from e4s_engine.backends import Backend
from e4s_engine.networks import registry
from e4s_engine.weights import Model

AnyBackend = TypeVar("AnyBackend", bound=Backend)


def loaded(backend: AnyBackend, *models: Model | None) -> AnyBackend:
    """Load models into a backend and return it; None is skipped."""
    for model in models:
        if model is not None:
            backend.load(registry.kind_of(model.config), model)
    return backend
