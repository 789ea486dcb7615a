"""Weight files: reading, converting, writing."""

from e4s_engine.weights.converted import save
from e4s_engine.weights.files import convert, find_parser, load, open_model, read_tensors
from e4s_engine.weights.model import Model, Tensors, progress
from e4s_engine.weights.random import random_model

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
