"""Head pose and expression of a face (face-vid2vid's `he_estimator`), and what they make of key points."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.layers import conv
from e4s_engine.networks.facevid2vid.tensors import HEADS, head_sizes
from e4s_engine.networks.layers import batch_norm
from e4s_engine.ops.ops import Ops, T, Weights

Floats = npt.NDArray[np.float32]

_PI = 3.14  # as published
_STEP, _FIRST = 3, -99  # degrees of a bin, and of the first one


def head_pose(ops: Ops[T], picture: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Estimate poses and expressions: [N,3,S,S] RGB in 0..1 -> [N,1,3 B + 3 + 3 K].

    The result is logits of the bins of yaw, pitch and roll, a translation and an offset of each key point.
    """
    prefix = "he_estimator."
    x = ops.max_pool(_layer(ops, picture, weights, prefix, 1, stride=2))
    for stage, count in enumerate(config.blocks):
        x = _layer(ops, x, weights, prefix, stage + 2)
        if stage:
            x = _bottleneck(ops, x, weights, f"{prefix}block{2 * stage}.", halves=True)
        for i in range(count):
            x = _bottleneck(ops, x, weights, f"{prefix}block{2 * stage + 1}.b{2 * stage + 1}_{i}.")
    matrices, biases = ([weights[f"{prefix}{head}.{leaf}"] for head in HEADS] for leaf in ("weight", "bias"))
    return ops.linear(ops.global_mean(x), matrices, biases)


def _layer(
    ops: Ops[T], x: T, weights: Weights[T], prefix: str, number: int, stride: int = 1, relu: bool = True
) -> T:
    x = conv(ops, x, weights, f"{prefix}conv{number}.", stride)
    return batch_norm(ops, x, weights, f"{prefix}norm{number}.", relu)


def _bottleneck(ops: Ops[T], x: T, weights: Weights[T], prefix: str, halves: bool = False) -> T:
    stride = 2 if halves else 1
    y = _layer(ops, _layer(ops, x, weights, prefix, 1), weights, prefix, 2, stride)
    y = _layer(ops, y, weights, prefix, 3, relu=False)
    if halves:
        x = batch_norm(
            ops, conv(ops, x, weights, f"{prefix}skip.", stride), weights, f"{prefix}norm4.", False
        )
    return ops.add(y, x, relu=True)


@dataclasses.dataclass(frozen=True)
class Poses:
    """Poses and expressions of faces.

    angles: yaw, pitch and roll [N,3] in degrees. translation: [N,3]. expression: offsets of key points
    [N,K,3].
    """

    angles: Floats
    translation: Floats
    expression: Floats

    def place(self, points: Floats) -> Floats:
        """Return key points [N,K,3] of a neutral head, turned, moved and with this expression."""
        turned = points @ _rotation(self.angles).transpose(0, 2, 1)
        return (turned + self.translation[:, None] + self.expression).astype(np.float32)


def read_poses(vectors: Floats, config: FaceVid2VidConfig) -> Poses:
    """Read the result of `head_pose`."""
    ends = np.cumsum(head_sizes(config))[:-1]
    *bins, translation, expression = np.split(vectors[:, 0].astype(np.float32), ends, axis=1)
    angles = np.stack([_degrees(logits) for logits in bins], 1)
    return Poses(angles, translation, expression.reshape(len(vectors), -1, 3))


def _degrees(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    mean = (shares * np.arange(logits.shape[1], dtype=np.float32)).sum(1) / shares.sum(1)
    return np.asarray(_STEP * mean + _FIRST, np.float32)


def _rotation(angles: Floats) -> Floats:
    """Return rotations [N,3,3]: about x by the pitch, y by the yaw, z by the roll, the roll first."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in angles.T / 180 * np.float32(_PI))
    one, zero = np.ones_like(cy), np.zeros_like(cy)

    def matrix(*entries: Floats) -> Floats:
        return np.stack(entries, 1).reshape(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_z = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return np.asarray(about_x @ about_y @ about_z, np.float32)
