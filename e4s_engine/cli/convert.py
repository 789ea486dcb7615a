"""`e4s convert`: an official checkpoint to safetensors."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from e4s_engine.cli import flags, outputs

HELP = "an official checkpoint to safetensors"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("official", metavar="OFFICIAL", help="iteration_300000.pt or 79999_iter.pth")
    command.add_argument("output", metavar="OUT", help="a .safetensors file")
    flags.add_overwrite(command)
    command.add_argument("--ema", action="store_true", help="convert the EMA weights if the file has both")


def run(arguments: Namespace) -> int:
    """Convert, and print what the file holds."""
    from e4s_engine import weights
    from e4s_engine.networks import registry

    outputs.check_free(
        Path(arguments.output), "OUT", outputs.identities([Path(arguments.official)]), arguments.overwrite
    )
    model = weights.convert(arguments.official, arguments.output, ema=arguments.ema)
    count = sum(tensor.size for tensor in model.tensors.values())
    kind = registry.kind_of(model.config)
    print(f"{arguments.output}: {kind}, {len(model.tensors)} tensors, {count / 1e6:.1f} M parameters")
    if model.extra:
        print(f"left out, as nothing reads them: {', '.join(model.extra)}")
    return 0
