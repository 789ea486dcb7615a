"""Declaration of the SegNeXt face parser."""

from __future__ import annotations

from e4s_engine.networks.network import Function, Input, Network, Published
from e4s_engine.networks.segnext.config import SegNeXtConfig, infer_segnext
from e4s_engine.networks.segnext.parse import classes
from e4s_engine.networks.segnext.tensors import scale, tensors

SIDE = 512  # side of the network's input

SEGNEXT = Network(
    kind="segnext",
    title="a SegNeXt parser",
    config=SegNeXtConfig,
    tensors=tensors,
    infer=infer_segnext,
    recognise=lambda shapes: "decode_head.hamburger.ham_in.conv.weight" in shapes,
    functions={
        # In fp32, as labels on CPUs always are. On a GPU fp16 overflows, and bf16 changes labels.
        "parse": Function(
            classes, (Input.PIXELS,), lambda config: ((SIDE, SIDE, 3),), cpu_half="fp32", half="fp32"
        ),
    },
    published=Published(
        "segnext.small.best_mIoU_iter_140000.pth",
        "labels of photos that come without them, in place of 79999_iter.pth; also tiny, base and large",
        "https://github.com/e4s2022/SegNeXt-FaceParser",
        "Apache-2.0; for commercial use, contact the authors; trained on CelebAMask-HQ, for research",
    ),
    scale=scale,
)
