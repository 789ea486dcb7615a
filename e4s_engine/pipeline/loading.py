"""Loading of a pipeline: which weights, which parser, which backend."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from e4s_engine import backends
from e4s_engine.backends import Backend, gather
from e4s_engine.errors import ArgumentError, DemoModelWarning, WeightsError
from e4s_engine.faces import files, landmarks
from e4s_engine.faces.retinaface import RetinaFace
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi import relight
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.pipeline.pipeline import Parser, Pipeline
from e4s_engine.weights import Model, find_parser, open_model

logger = logging.getLogger("e4s_engine")

WEIGHTS_VARIABLE = "E4S_WEIGHTS"
_DETECTORS = ("retinaface.safetensors", "RetinaFace-R50.pth")  # beside the weights
BUNDLED = Path(__file__).parents[1] / "models" / "demo.safetensors"

File = str | os.PathLike[str]


def choose(weights: File | Model | None) -> tuple[File | Model, str]:
    """Return what to load, and its name in error messages.

    It is the caller's choice, else the file that the environment names, else the bundled demo model.
    """
    if weights is not None:
        return weights, "weights"
    if named := os.environ.get(WEIGHTS_VARIABLE):
        return named, WEIGHTS_VARIABLE
    logger.info("engine: no weights given, taking the bundled demo model: it knows rendered faces only")
    return BUNDLED, "weights"


def warn_of_demo_model() -> None:
    """Warn that the bundled model knows rendered faces only; the warning names the caller's line."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("e4s_engine"):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        "the bundled demo model was trained on rendered faces only, and photos of people become cartoons; "
        "pass weights for them (see the README, Official weights)",
        DemoModelWarning,
        stacklevel=level,
    )


def load(
    weights: File | Model,
    name: str,
    parser: File | Parser | None,
    choice: tuple[str, str, str],
    gathering: tuple[int, float],
) -> tuple[Pipeline, ModelConfig]:
    """Load weights and parser into a backend; return the pipeline over it and the model's config.

    name: name of the weights in error messages. choice: backend, device, precision. gathering: pictures of
    concurrent calls that go together, and the milliseconds to wait for them.
    """
    model = _model(weights, name)
    own_parser, parser_model = _parser(parser, weights)
    assert isinstance(model.config, ModelConfig)
    classes = parser_model.config if parser_model is not None else None
    assert classes is None or isinstance(classes, ParserConfig)
    # Before the backend, which then reads every tensor that is left, to check it.
    lights = relight.layers(model.tensors, np.stack) if model.config.relight else None
    runtime = backends.create([model] if parser_model is None else [model, parser_model], *choice)
    if gathering[0] > 1:
        runtime = gather.Gathered(runtime, *gathering)
    return Pipeline(runtime, own_parser, classes, model.config.size, lights), model.config


def finder(weights: File | Model, runtime: Backend) -> landmarks.Finder:
    """Return the best face finder at hand: RetinaFace beside the weights comes first, in this backend.

    Beside the compiled backend of a GPU, which would build kernels for every size of photo, RetinaFace runs
    on the CPU.
    """
    folder = None if isinstance(weights, Model) else Path(weights).absolute().parent
    file = next(filter(None, (files.beside(folder, name) for name in _DETECTORS)), None)
    if file is None:
        return landmarks.resolve("auto", folder)
    logger.info("engine: face detector %s", file)
    model = open_model(file, "retinaface", "landmarks")
    if runtime.name == "native" and runtime.device != "cpu":
        runtime = backends.create([model], "native", "cpu", "fp32")
    else:
        runtime.load("retinaface", model)
    return landmarks.resolve("auto", folder, RetinaFace(partial(runtime.run, "retinaface", "detect")))


def _model(weights: File | Model, name: str) -> Model:
    if not isinstance(weights, Model):
        return open_model(weights, "rgi", name)
    kind = registry.kind_of(weights.config)
    if kind != "rgi":
        raise WeightsError(f"weights: expected a model of kind 'rgi', got one of kind {kind!r}")
    return weights


def _parser(parser: File | Parser | None, weights: File | Model) -> tuple[Parser | None, Model | None]:
    """Return a callable parser, or a parser's weights, or neither."""
    if parser is None:
        return None, None
    if callable(parser):
        return parser, None
    if parser == "auto":
        found = None if isinstance(weights, Model) else find_parser(weights)
        if found is None:
            return None, None
        logger.info("engine: parser %s", found)
        parser = found
    if not isinstance(parser, (str, os.PathLike)):
        raise ArgumentError(f"parser: expected 'auto', a path, a callable or None, got {parser!r}")
    return None, open_model(parser, "parser", "parser")
