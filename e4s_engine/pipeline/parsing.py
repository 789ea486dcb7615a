"""Parsing by a network: the kinds of parsers, their sizes of pictures, and their classes as regions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from e4s_engine import regions
from e4s_engine.backends import Backend
from e4s_engine.errors import WeightsError
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.segnext.config import SegNeXtConfig
from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels
from e4s_engine.weights import Model
from e4s_engine.weights.files import kind_of_file, open_model

KINDS = ("parser", "segnext")  # of networks; where a folder holds both, the first one is the parser
SIDE = parse.SIDE  # side of every parser's labels


@dataclasses.dataclass(frozen=True)
class ParserNetwork:
    """A parser's network: its config, by which its kind is known."""

    config: ParserConfig | SegNeXtConfig

    def labels(self, backend: Backend, picture: Pixels) -> Labels:
        """Return the regions [512, 512] of a picture, uint8 [1024, 1024, 3] or square and smaller."""
        if picture.shape[0] < SIDE:
            picture = images.resize(picture, SIDE, SIDE, Image.Resampling.BILINEAR)
        if isinstance(self.config, ParserConfig):
            classes, convention = backend.run("parser", "parse", picture[None])[0], self.config.table
            return classes if convention == "regions" else regions.TABLES[convention][classes]
        picture = picture if picture.shape[0] == SIDE else images.half(picture)
        classes = backend.run("segnext", "parse", picture[None])[0]
        table = regions.CELEBAMASK_HQ_TO_12
        # Classes that were never trained are background.
        return np.where(classes < len(table), table[np.minimum(classes, len(table) - 1)], np.uint8(0))


def beside(files: Mapping[str, Path]) -> Path | None:
    """Return the parser's file among weight files by kind."""
    return next((files[kind] for kind in KINDS if kind in files), None)


def open_parser(path: str | os.PathLike[str]) -> Model:
    """Open a parser's weights, of either kind. Raises WeightsError."""
    kind = kind_of_file(path, "parser")
    if kind not in KINDS:
        raise WeightsError(
            f"parser: {path} holds a model of kind {kind!r}, expected 'parser' (a BiSeNet) or 'segnext'"
        )
    return open_model(path, kind, "parser")


def seeded(model: Model, seed: int) -> Model:
    """Return a parser whose factorisation, if it has one, begins with torch's draw for a seed."""
    if not isinstance(model.config, SegNeXtConfig):
        return model
    return dataclasses.replace(model, config=dataclasses.replace(model.config, seed=seed))
