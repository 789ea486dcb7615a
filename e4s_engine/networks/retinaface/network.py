"""Declaration of the RetinaFace detector."""

from __future__ import annotations

from e4s_engine.networks.network import GPEN_FILES, GPEN_LICENCE, Function, Input, Network, Published
from e4s_engine.networks.retinaface.config import DetectorConfig, infer_detector
from e4s_engine.networks.retinaface.heads import heads
from e4s_engine.networks.retinaface.tensors import scale, tensors

SIDE = 1024  # side of the picture in which the published pipeline detects

RETINAFACE = Network(
    kind="retinaface",
    title="a RetinaFace detector",
    config=DetectorConfig,
    tensors=tensors,
    infer=infer_detector,
    recognise=lambda shapes: "fpn.output1.0.weight" in shapes,
    functions={
        # Points are offsets in sizes of the anchors: what bf16 rounds off would move eyes by whole pixels,
        # larger tiles in fp32 move them by thousandths.
        "detect": Function(
            heads, (Input.PIXELS,), lambda config: ((SIDE, SIDE, 3),), cpu_half="fp32_wide", free=True
        ),
    },
    published=Published(
        "RetinaFace-R50.pth",
        "the published pipeline's face detector",
        f"{GPEN_FILES}/RetinaFace-R50.pth",
        GPEN_LICENCE,
    ),
    scale=scale,
)
