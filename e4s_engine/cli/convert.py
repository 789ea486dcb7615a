"""`e4s convert`: official checkpoints to safetensors."""

from __future__ import annotations

import argparse
import shutil
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e4s_engine.cli import flags, outputs
from e4s_engine.errors import OutputError, WeightsError
from e4s_engine.faces.hog import PREDICTOR

if TYPE_CHECKING:
    from e4s_engine.weights.folder import Found

HELP = "official checkpoints to safetensors, one or a whole folder"
_MODEL = "e4s"  # name of the model's converted file; the others have that of their kind


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument(
        "official", metavar="OFFICIAL", help="iteration_300000.pt, 79999_iter.pth ...; a folder of such files"
    )
    command.add_argument("output", metavar="OUT", help="a .safetensors file; for a folder another folder")
    flags.add_overwrite(command)
    command.add_argument("--ema", action="store_true", help="convert the EMA weights if the file has both")


def run(arguments: Namespace) -> int:
    """Convert, and print what the files hold."""
    from e4s_engine.weights import folder

    official, output = Path(arguments.official), Path(arguments.output)
    if not folder.is_folder(official):
        outputs.check_free(output, "OUT", outputs.identities([official]), arguments.overwrite)
        _convert(official, output, arguments.ema)
        return 0
    found = [one for one in folder.survey(official, "OFFICIAL") if not one.converted]
    files = _files(official, found)
    places = {kind: output / f"{_MODEL if kind == 'rgi' else kind}.safetensors" for kind in files}
    predictor = folder.named(official, PREDICTOR)
    copied = output / PREDICTOR
    _check(arguments, [*files.values()], [*places.values(), *([copied] if predictor else [])])
    for one in found:
        if one.kind is None:
            print(f"left out: {one.file} {one.note}")
    for number, (kind, file) in enumerate(files.items(), 1):
        print(f"{number} of {len(files)}: {file}")
        _convert(file, places[kind], arguments.ema and kind == "rgi")
    if predictor is not None:
        _copy(predictor, copied)
    return 0


def _files(official: Path, found: Sequence[Found]) -> dict[str, Path]:
    """Return a folder's official files by kind. Raises WeightsError if there are none."""
    from e4s_engine.weights import folder

    files = folder.chosen(found, "OFFICIAL")
    if not files:
        raise WeightsError(f"OFFICIAL: {official} holds no official checkpoint that is known")
    return files


def _check(arguments: Namespace, read: list[Path], wanted: list[Path]) -> None:
    """Check that every file may be written, before the first is."""
    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"OUT: {folder} is a file; for a folder of checkpoints give a folder")
    identities = outputs.identities(read)
    for path in wanted:
        outputs.check_free(path, "OUT", identities, arguments.overwrite)
    folder.mkdir(parents=True, exist_ok=True)


def _convert(official: Path, output: Path, ema: bool) -> None:
    from e4s_engine import weights
    from e4s_engine.networks import registry

    model = weights.convert(official, output, ema=ema)
    count = sum(tensor.size for tensor in model.tensors.values())
    kind = registry.kind_of(model.config)
    print(f"{output}: {kind}, {len(model.tensors)} tensors, {count / 1e6:.1f} M parameters")
    if model.extra:
        print(f"left out, as nothing reads them: {', '.join(model.extra)}")


def _copy(predictor: Path, output: Path) -> None:
    """Copy a file beside, then rename it."""
    from e4s_engine.photo.files import replacing

    with replacing(output) as temporary:
        shutil.copyfile(predictor, temporary)
    print(f"{output}: copied")
