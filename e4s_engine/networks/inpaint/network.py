"""Declaration of the inpainting network."""

from __future__ import annotations

from e4s_engine.networks.inpaint.config import InpaintConfig, infer_inpaint
from e4s_engine.networks.inpaint.fill import fill
from e4s_engine.networks.inpaint.tensors import HOLED, scale, tensors
from e4s_engine.networks.network import Function, Input, Network, Published

INPAINT = Network(
    kind="inpaint",
    title="an inpainting network (GCFSR)",
    config=InpaintConfig,
    tensors=tensors,
    infer=infer_inpaint,
    recognise=lambda shapes: "condition_shift.0.0.weight" in shapes,
    functions={
        "fill": Function(
            fill,
            (Input.MAPS, Input.VECTORS),
            lambda config: ((config.side, config.side, HOLED), (1, 1)),
        )
    },
    published=Published(
        "net_g_50000.pth",
        "inpainting: where the target's face reaches further than the source's",
        "the authors' OneDrive share, inpainting/ (https://github.com/e4s2022/e4s)",
        "none stated (E4S2023's code: MIT; GCFSR: none stated)",
    ),
    scale=scale,
)
