"""Declaration of GPEN."""

from __future__ import annotations

from e4s_engine.networks.gpen.config import GPENConfig, infer_gpen
from e4s_engine.networks.gpen.restore import restore
from e4s_engine.networks.gpen.tensors import scale, tensors
from e4s_engine.networks.network import GPEN_FILES, GPEN_LICENCE, Function, Input, Network, Published

GPEN = Network(
    kind="gpen",
    title="a GPEN",
    config=GPENConfig,
    tensors=tensors,
    infer=infer_gpen,
    recognise=lambda shapes: "ecd0.0.0.weight" in shapes,
    functions={
        "restore": Function(restore, (Input.PIXELS,), lambda config: ((config.side, config.side, 3),))
    },
    published=Published(
        "GPEN-BFR-512.pth",
        "restoration: faces drawn anew",
        f"{GPEN_FILES}/GPEN-BFR-512.pth",
        GPEN_LICENCE,
    ),
    scale=scale,
)
