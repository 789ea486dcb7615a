"""Declaration of the re-colouring network."""

from __future__ import annotations

from e4s_engine.networks.network import Function, Input, Network, Published, Shape
from e4s_engine.networks.recolor.colour import COARSE, colour, features, references
from e4s_engine.networks.recolor.config import RecolorConfig, infer_recolor
from e4s_engine.networks.recolor.tensors import PACKAGE, scale, tensors


def _coarse(config: RecolorConfig) -> tuple[int, int]:
    return config.side // COARSE, config.side // COARSE


def _attended(config: RecolorConfig) -> tuple[Shape, ...]:
    side = _coarse(config)
    maps = (*side, config.features)
    return (maps, maps, side, side, (*side, 3))


RECOLOR = Network(
    kind="recolor",
    title="a re-colouring network",
    config=RecolorConfig,
    tensors=tensors,
    infer=infer_recolor,
    recognise=lambda shapes: "referencer.trainable_tao" in shapes,
    functions={
        "features": Function(features, (Input.MAPS,), lambda config: ((config.side, config.side, 3),)),
        # A softmax of cosines: they are summed in fp32 whatever the features were computed in.
        "references": Function(
            references,
            (Input.MAPS, Input.MAPS, Input.LABELS, Input.LABELS, Input.MAPS),
            _attended,
            cpu_half="fp32",
        ),
        "colour": Function(colour, (Input.MAPS,), lambda config: ((config.side, config.side, PACKAGE),)),
    },
    published=Published(
        "latest_netG.pth",
        "re-colouring: the swapped face in the target's light",
        "the authors' OneDrive share, face_blender/ (https://github.com/e4s2022/e4s)",
        "MIT; parts Microsoft MIT, NVIDIA CC BY-NC-SA 4.0 (non-commercial); VGGFace2 is for research",
    ),
    scale=scale,
)
