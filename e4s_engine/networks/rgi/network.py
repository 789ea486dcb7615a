"""Declaration of RGI."""

from __future__ import annotations

from e4s_engine import regions
from e4s_engine.networks.network import Function, Input, Network, Published, Shape
from e4s_engine.networks.rgi.config import ModelConfig, infer_model
from e4s_engine.networks.rgi.decode import decode
from e4s_engine.networks.rgi.encode import encode_pixels
from e4s_engine.networks.rgi.tensors import scale, tensors

CROP = 1024  # side of the aligned crop in the published pipeline
_LABELS: Shape = (regions.LABEL_SIZE, regions.LABEL_SIZE)

RGI = Network(
    kind="rgi",
    title="an E4S checkpoint",
    config=ModelConfig,
    tensors=tensors,
    infer=infer_model,
    recognise=lambda shapes: "latent_avg" in shapes or any(name.startswith("G.") for name in shapes),
    functions={
        "encode": Function(
            encode_pixels,
            (Input.PIXELS, Input.LABELS),
            lambda config: ((CROP, CROP, 3), _LABELS),
            at_once=2,
        ),
        "decode": Function(
            decode,
            (Input.VECTORS, Input.LABELS),
            lambda config: ((regions.COUNT, config.style_dim), _LABELS),
        ),
    },
    published=Published(
        "iteration_300000.pt",
        "swaps and edits",
        "https://github.com/e4s2022/e4s, INSTALLATION.md, 1.2",
        "MIT (the repository's)",
    ),
    scale=scale,
)
