"""Loading of a pipeline: which weights, which parser, which backend."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from e4s_engine import backends
from e4s_engine.backends import gather
from e4s_engine.errors import ArgumentError, DemoModelWarning, WeightsError
from e4s_engine.faces import files, hog, landmarks
from e4s_engine.faces.retinaface import RetinaFace
from e4s_engine.networks import registry
from e4s_engine.networks.rgi import relight
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.pipeline import parsing
from e4s_engine.pipeline.driving import Driver
from e4s_engine.pipeline.finishing import Finisher
from e4s_engine.pipeline.networks import Networks
from e4s_engine.pipeline.pipeline import Parser, Pipeline
from e4s_engine.weights import Model, find_parser, open_model
from e4s_engine.weights import folder as weight_folder

logger = logging.getLogger("e4s_engine")

WEIGHTS_VARIABLE = "E4S_WEIGHTS"
_DETECTOR = "RetinaFace-R50.pth"  # beside the weights, under its official name
BUNDLED = Path(__file__).parents[1] / "models" / "demo.safetensors"

File = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Files:
    """Hold what an engine loads.

    model: the E4S model or its file. argument: its name in error messages. others: weight files of further
    networks, by kind. folder: where detectors look for files of their own.
    """

    model: Path | Model
    argument: str
    others: Mapping[str, Path]
    folder: Path | None


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


def files_of(weights: File | Model, argument: str) -> Files:
    """Return what to load for the weights that a caller names: a file, a folder of files, or a model.

    In a folder (and the folders in it) every file is recognised by its content. Beside a file lie others
    under the names that `e4s convert` gives them, or the parser's and the detector's official ones.

    Raises WeightsError.
    """
    if isinstance(weights, Model):
        return Files(weights, argument, {}, None)
    if not isinstance(weights, (str, os.PathLike)):
        raise WeightsError(f"{argument}: expected a path to a weight file or a folder, got {weights!r:.60}")
    if not weight_folder.is_folder(weights):
        file = Path(weights)
        return Files(file, argument, _beside(file), file.absolute().parent)
    folder = Path(weights)
    others = weight_folder.chosen(weight_folder.survey(folder, argument), argument)
    if "rgi" not in others:
        held = f"those it holds are of kind {', '.join(sorted(others))}" if others else "it holds no others"
        raise WeightsError(
            f"{argument}: {folder} holds no weights of the E4S model (iteration_300000.pt); {held}; "
            f"`e4s weights {folder}` tells what each file is"
        )
    predictor = weight_folder.named(folder, hog.PREDICTOR)
    return Files(others.pop("rgi"), argument, others, predictor.parent if predictor else folder)


def _beside(file: Path) -> dict[str, Path]:
    """Return the weight files of further networks beside a model's file."""
    folder = file.absolute().parent
    found = {kind: files.beside(folder, f"{kind}.safetensors") for kind in registry.NETWORKS if kind != "rgi"}
    found["parser"] = find_parser(file)  # it knows more names
    found["retinaface"] = found["retinaface"] or files.beside(folder, _DETECTOR)
    return {kind: path for kind, path in found.items() if path is not None}


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
    chosen: Files,
    parser: File | Parser | None,
    seed: int,
    choice: tuple[str, str, str],
    gathering: tuple[int, float],
) -> tuple[Pipeline, Networks, ModelConfig]:
    """Load weights and parser into a backend; return the pipeline over it, the networks beside, the config.

    seed: of the parser's start, where it has one. choice: backend, device, precision. gathering: pictures of
    concurrent calls that go together, and the milliseconds to wait for them.
    """
    model = _model(chosen)
    own_parser, parser_model = _parser(parser, chosen)
    parser_model = None if parser_model is None else parsing.seeded(parser_model, seed)
    assert isinstance(model.config, ModelConfig)
    network = None if parser_model is None else parsing.ParserNetwork(parser_model.config)
    # Before the backend, which then reads every tensor that is left, to check it.
    lights = relight.layers(model.tensors, np.stack) if model.config.relight else None
    fingerprint = model.fingerprint()
    runtime = backends.create([model] if parser_model is None else [model, parser_model], *choice)
    if gathering[0] > 1:
        runtime = gather.Gathered(runtime, *gathering)
    others = {kind: file for kind, file in chosen.others.items() if kind not in parsing.KINDS}
    networks = Networks(runtime, others)
    steps = Driver(networks), Finisher(networks)
    pipeline = Pipeline(runtime, own_parser, network, model.config.size, lights, *steps, fingerprint)
    return pipeline, networks, model.config


def finder(name: str, chosen: Files, networks: Networks) -> landmarks.Finder:
    """Return a detector by name, or the best at hand: RetinaFace, if its weights lie with the model's.

    name: one of `faces.auto.NAMES`. Raises BackendError if it is not at hand.
    """
    if not networks.has("retinaface"):
        return landmarks.resolve(name, chosen.folder)
    logger.info("engine: face detector %s", networks.file("retinaface"))
    return landmarks.resolve(name, chosen.folder, RetinaFace(partial(networks.run, "retinaface", "detect")))


def _model(chosen: Files) -> Model:
    if not isinstance(chosen.model, Model):
        return open_model(chosen.model, "rgi", chosen.argument)
    kind = registry.kind_of(chosen.model.config)
    if kind != "rgi":
        raise WeightsError(f"weights: expected a model of kind 'rgi', got one of kind {kind!r}")
    return chosen.model


def _parser(parser: File | Parser | None, chosen: Files) -> tuple[Parser | None, Model | None]:
    """Return a callable parser, or a parser's weights, or neither."""
    if parser is None:
        return None, None
    if callable(parser):
        return parser, None
    if parser == "auto":
        found = parsing.beside(chosen.others)
        if found is None:
            return None, None
        logger.info("engine: parser %s", found)
        parser = found
    if not isinstance(parser, (str, os.PathLike)):
        raise ArgumentError(f"parser: expected 'auto', a path, a callable or None, got {parser!r}")
    return None, parsing.open_parser(parser)
