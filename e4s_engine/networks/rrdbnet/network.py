"""Declaration of RRDBNet, and of the wider one with the weights of RealESRGAN."""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine.networks.network import GPEN_FILES, GPEN_LICENCE, Function, Input, Network, Published
from e4s_engine.networks.rrdbnet.config import (
    RealESRGANConfig,
    RRDBConfig,
    infer_realesrgan,
    infer_rrdbnet,
    is_realesrgan,
)
from e4s_engine.networks.rrdbnet.enlarge import colours, enlarge, features
from e4s_engine.networks.rrdbnet.tensors import scale, tensors

SIDE = 256  # side of the picture that the published pipeline enlarges

# On a GPU fp16 comes 17 dB nearer to fp32 than bf16, and is as fast.
_ANY_SIZE: dict[str, Any] = {"free": True, "half": "fp16"}

RRDBNET = Network(
    kind="rrdbnet",
    title="an RRDBNet",
    config=RRDBConfig,
    tensors=tensors,
    infer=infer_rrdbnet,
    recognise=lambda shapes: "body.0.rdb1.conv1.weight" in shapes and not is_realesrgan(shapes),
    functions={
        "enlarge": Function(enlarge, (Input.PIXELS,), lambda config: ((SIDE, SIDE, 3),), **_ANY_SIZE),
        "enlarge_features": Function(
            features, (Input.PIXELS,), lambda config: ((SIDE, SIDE, 3),), **_ANY_SIZE
        ),
        "enlarge_colours": Function(
            colours, (Input.MAPS,), lambda config: ((SIDE, SIDE, config.features),), **_ANY_SIZE
        ),
    },
    published=Published(
        "realesrnet_x4.pth",
        "restoration: four times the size",
        f"{GPEN_FILES}/realesrnet_x4.pth",
        GPEN_LICENCE,
    ),
    scale=scale,
)

REALESRGAN = dataclasses.replace(
    RRDBNET,
    kind="realesrgan",
    title="a RealESRGAN",
    config=RealESRGANConfig,
    infer=infer_realesrgan,
    recognise=is_realesrgan,
    published=Published(
        "RealESRGAN_x4plus.pth",
        "the longer paper: four times the size, of re-coloured and inpainted faces",
        "https://github.com/xinntao/Real-ESRGAN/releases",
        "BSD-3-Clause",
    ),
)
