"""RRDBNet: picture of any size -> four times the size (Wang et al., ESRGAN; RealESRNet's weights).

The network is two functions. `features` runs at the picture's own size and sees most of a picture at once:
its 350 convolutions reach 350 pixels far. `colours` enlarges the features and reaches two pixels of theirs,
but takes sixteen times the memory: large pictures go through it in tiles (`tiles.py`).
"""

from __future__ import annotations

from e4s_engine.networks.rrdbnet.config import RRDBConfig
from e4s_engine.networks.rrdbnet.tensors import DENSE
from e4s_engine.ops.ops import Ops, T, Weights

SCALE = 4
SLOPE = 0.2
_GAIN = 0.2  # of residual branches


def enlarge(ops: Ops[T], pixels: T, weights: Weights[T], config: RRDBConfig) -> T:
    """Enlarge pictures: uint8 [N,H,W,3] RGB -> [N,3,4H,4W], 0 to 1 but not clamped."""
    return colours(ops, features(ops, pixels, weights, config), weights, config)


def features(ops: Ops[T], pixels: T, weights: Weights[T], config: RRDBConfig) -> T:
    """Compute the features [N,C,H,W] of pictures uint8 [N,H,W,3]."""
    first = x = _conv(ops, ops.from_uint8(pixels, 0, 1), weights, "conv_first.")
    for i in range(config.blocks):
        y = x
        for dense in (1, 2, 3):
            y = _dense_block(ops, y, weights, f"body.{i}.rdb{dense}.")
        x = ops.add(x, y, gain=_GAIN)
    return ops.add(first, _conv(ops, x, weights, "conv_body."))


def colours(ops: Ops[T], x: T, weights: Weights[T], config: RRDBConfig) -> T:
    """Enlarge features [N,C,H,W] fourfold and draw them, [N,3,4H,4W]."""
    for name in ("conv_up1.", "conv_up2."):
        height, width = x.shape[2:]
        x = ops.resize(x, 2 * height, 2 * width, "nearest")
        x = _conv(ops, x, weights, name, SLOPE)
    x = _conv(ops, x, weights, "conv_hr.", SLOPE)
    return _conv(ops, x, weights, "conv_last.")


def _conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, slope: float = 0.0) -> T:
    return ops.conv2d(x, weights[prefix + "weight"], bias=weights[prefix + "bias"], slope=slope)


def _dense_block(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Run a dense block: every convolution reads what there is and adds channels to it."""
    block = x
    for number in range(1, DENSE):
        block = ops.concat([block, _conv(ops, block, weights, f"{prefix}conv{number}.", SLOPE)])
    return ops.add(x, _conv(ops, block, weights, f"{prefix}conv{DENSE}."), gain=_GAIN)
