"""Recorder, plans, and the fusing of their steps."""

from e4s_engine.plan.recorder import (
    TYPES,
    Array,
    Arrays,
    Buffer,
    Codes,
    Constant,
    Conv,
    Plan,
    Shape,
    Step,
    Symbol,
    Vector,
    Weight,
    unfoldable,
    vector,
)

__all__ = [
    "TYPES",
    "Array",
    "Arrays",
    "Buffer",
    "Codes",
    "Constant",
    "Conv",
    "Plan",
    "Shape",
    "Step",
    "Symbol",
    "Vector",
    "Weight",
    "unfoldable",
    "vector",
]
