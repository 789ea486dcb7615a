"""Weight files: reading, converting, writing."""

from e4s_engine.weights.model import (
    Model,
    Tensors,
    convert,
    find_parser,
    load,
    open_model,
    progress,
    random_model,
    read_tensors,
    save,
)

__all__ = [
    "Model",
    "Tensors",
    "convert",
    "find_parser",
    "load",
    "open_model",
    "progress",
    "random_model",
    "read_tensors",
    "save",
]
