"""Declaration of face-vid2vid."""

from __future__ import annotations

from typing import Any

from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig, infer_facevid2vid
from e4s_engine.networks.facevid2vid.points import key_points
from e4s_engine.networks.facevid2vid.pose import head_pose
from e4s_engine.networks.facevid2vid.reenact import reenact
from e4s_engine.networks.facevid2vid.tensors import scale, tensors
from e4s_engine.networks.network import Function, Input, Network, Published, Shape


def _picture(config: FaceVid2VidConfig) -> Shape:
    return (config.side, config.side, 3)


def _moved(config: FaceVid2VidConfig) -> tuple[Shape, ...]:
    return (_picture(config), (config.points, 3), (config.points, 3))


# In bf16 a golden's picture came to 31 dB of fp32's, and to 37 with all but the decoder in fp32; with larger
# tiles in fp32 it comes to 106. On an H200 one of random weights came to 23 dB in bf16, in tf32 to 30, and
# fp16 overflows.
_FP32: dict[str, Any] = {"cpu_half": "fp32_wide", "half": "fp32"}

FACEVID2VID = Network(
    kind="facevid2vid",
    title="a face-vid2vid",
    config=FaceVid2VidConfig,
    tensors=tensors,
    infer=infer_facevid2vid,
    recognise=lambda shapes: "generator.dense_motion_network.mask.weight" in shapes,
    functions={
        "key_points": Function(key_points, (Input.MAPS,), lambda config: (_picture(config),), **_FP32),
        "head_pose": Function(head_pose, (Input.MAPS,), lambda config: (_picture(config),), **_FP32),
        "reenact": Function(reenact, (Input.MAPS, Input.VECTORS, Input.VECTORS), _moved, **_FP32),
    },
    published=Published(
        "00000189-checkpoint.pth.tar",
        "reenactment: the source driven to the target's pose and expression",
        "https://github.com/zhanglonghao1992/One-Shot_Free-View_Neural_Talking_Head_Synthesis (Vox-256-New)",
        "see the repository",
    ),
    scale=scale,
)
