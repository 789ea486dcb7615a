"""Declaration of ParseNet."""

from __future__ import annotations

from e4s_engine.networks.network import GPEN_FILES, GPEN_LICENCE, Function, Input, Network, Published
from e4s_engine.networks.parsenet.config import ParseNetConfig, infer_parsenet
from e4s_engine.networks.parsenet.parse import classes
from e4s_engine.networks.parsenet.tensors import scale, tensors

SIDE = 512  # side of the face crop in the published pipeline

PARSENET = Network(
    kind="parsenet",
    title="a ParseNet",
    config=ParseNetConfig,
    tensors=tensors,
    infer=infer_parsenet,
    recognise=lambda shapes: "out_mask_conv.conv2d.weight" in shapes,
    functions={
        # As in BiSeNet, every layer adds a little error in bf16: of a golden's labels, 96% stay. With larger
        # tiles in fp32 all stay but one or two.
        "parse_face": Function(
            classes, (Input.PIXELS,), lambda config: ((SIDE, SIDE, 3),), cpu_half="fp32_wide"
        ),
    },
    published=Published(
        "ParseNet-latest.pth",
        "restoration: which pixels of a restored face are pasted",
        f"{GPEN_FILES}/ParseNet-latest.pth",
        GPEN_LICENCE,
    ),
    scale=scale,
)
