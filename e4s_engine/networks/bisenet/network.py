"""Declaration of the BiSeNet face parser."""

from __future__ import annotations

from e4s_engine.networks.bisenet.config import ParserConfig, infer_parser
from e4s_engine.networks.bisenet.parse import SIDE, classes
from e4s_engine.networks.bisenet.tensors import scale, tensors
from e4s_engine.networks.network import Function, Input, Network, Published
from e4s_engine.ops.ops import Ops, T, Weights


def _parse(ops: Ops[T], pixels: T, weights: Weights[T], config: ParserConfig) -> T:
    """Return the best class per pixel, a class of the parser; `config.table` maps it to a region."""
    return classes(ops, pixels, weights)


BISENET = Network(
    kind="parser",
    title="a BiSeNet parser",
    config=ParserConfig,
    tensors=tensors,
    infer=infer_parser,
    recognise=lambda shapes: any(name.startswith("cp.resnet.") for name in shapes),
    functions={
        # In bf16 a noise picture keeps 99.1% of its labels: every layer adds a little error, no single one
        # much. In fp32 a picture costs 0.07 s more of one core, and labels do not depend on the precision.
        # A GPU takes fp16 for bf16: as fast, and 99.85% of the labels stay where bf16 keeps 99.5%.
        "parse": Function(
            _parse,
            (Input.PIXELS,),
            lambda config: ((2 * SIDE, 2 * SIDE, 3),),
            at_once=2,
            cpu_half="fp32",
            half="fp16",
        ),
    },
    published=Published(
        "79999_iter.pth",
        "labels of photos that come without them",
        "https://github.com/zllrunning/face-parsing.PyTorch",
        "see the repository; trained on CelebAMask-HQ, for non-commercial research",
    ),
    scale=scale,
)
