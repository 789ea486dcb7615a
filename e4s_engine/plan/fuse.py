"""Fusing: rewrites recorded steps, one per op, into the steps of the runtime.

Every rule takes one step and looks at the step that writes its operand: it folds the step into that one, or
that one into the step, or changes neither. The table RULES lists them in the order in which they are tried. A
value that another step reads too is never folded away. A step that no rule has turned into one of the
runtime's raises an error; the result is never wrong.

The file is longer than others, as rules must be read together: each relies on what the others leave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.errors import BackendError
from e4s_engine.plan import parts
from e4s_engine.plan.recorder import Conv, Vector, conv_numbers, filled

if TYPE_CHECKING:
    from e4s_engine.plan.recorder import Array, Arrays, Plan, Step

# Steps of the runtime; other kinds exist only between recording and fusing.
RUNTIME = frozenset(
    {
        "add", "affine", "argmax", "blur", "condition", "constant", "conv2d", "copy", "demodulate",
        "depthwise", "from_uint8", "gate", "gaussian_quarter", "gelu", "group_norm", "instance_norm",
        "layer_norm", "max_pool", "multiply", "nmf", "norm_add", "part_attention", "picture",
        "region_linear", "region_pool", "regional_conv", "resize", "resize_labels", "rms_norm",
        "soft_argmax", "spade", "sparse_motion", "split_slices", "sum_taps", "to_rgb", "to_uint8", "warp",
    }
)  # fmt: skip

_NOT_OF_PICTURES = {"resize": "a second resize", "affine": "a norm or an activation", "blur": "a blur"}

_WHY = {
    "normalize": "a normalisation of anything but pixels",
    "cubic_half": "an antialiasing half of anything but 8-bit pixels in 0..1 at their own size",
    "latent_codes": "style codes that no linear layer makes",
    "sigmoid": "a sigmoid of anything but a picture",
}


class Graph:
    """A plan's steps by the buffers that they read and write."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @property
    def steps(self) -> list[Step]:
        """Steps in their order of execution."""
        return self.plan.steps

    def writer(self, buffer: int, *kinds: str) -> Step | None:
        """Return the only step that writes a buffer, if it is of one of these kinds; else None."""
        writers = [step for step in self.steps if step.buffers["y"] == buffer]
        return writers[0] if len(writers) == 1 and writers[0].kind in kinds else None

    def readers(self, buffer: int) -> int:
        """Return the number of reads of a buffer; a step that reads it twice counts twice."""
        return sum(b == buffer for step in self.steps for role, b in step.buffers.items() if role != "y")

    def before(self, step: Step, operand: str, *kinds: str) -> Step | None:
        """Return the step of one of these kinds that writes an operand, if nothing else reads it."""
        buffer = step.buffers[operand]
        alone = self.readers(buffer) == 1 and self.plan.buffers[buffer].external < 0
        return self.writer(buffer, *kinds) if alone else None

    def is_ready(self, buffer: int, step: Step) -> bool:
        """Return whether a buffer is written before a step runs."""
        index = self.index(step)
        return not any(later.buffers["y"] == buffer for later in self.steps[index:])

    def index(self, step: Step) -> int:
        """Return a step's position."""
        return next(i for i, other in enumerate(self.steps) if other is step)

    def fold(self, step: Step, into: Step) -> None:
        """Remove a step whose work moves into an earlier one, which then writes its result."""
        into.buffers["y"] = step.buffers["y"]
        self.remove(step)

    def remove(self, step: Step) -> None:
        """Remove a step from the plan."""
        del self.steps[self.index(step)]


Rule = Callable[[Graph, "Step"], bool]


def fuse(plan: Plan) -> Plan:
    """Fuse a plan's steps in place, lay out its buffers, and return it. Raises BackendError."""
    graph = Graph(plan)
    for step in list(plan.steps):
        for rule in RULES.get(step.kind, ()):
            if rule(graph, step):
                break
    for step in plan.steps:
        if step.kind not in RUNTIME:
            what = _WHY.get(step.kind, f"{step.kind} on its own")
            raise BackendError(f"plan: the native backend has no step for {what}")
    _refuse_pictures(plan)
    _add_halos(plan)
    _drop_unused(plan)
    return plan


# Rules that fuse into the step that reads pixels.


def _normalise_pixels(graph: Graph, step: Step) -> bool:
    picture = graph.before(step, "x", "from_uint8")
    if picture is None:
        return False
    numbers = picture.numbers
    for c in range(3):
        numbers[f"scale{c}"] /= step.numbers[f"std{c}"]
        numbers[f"shift{c}"] = (numbers[f"shift{c}"] - step.numbers[f"mean{c}"]) / step.numbers[f"std{c}"]
    graph.fold(step, picture)
    return True


def _resize_pixels(graph: Graph, step: Step) -> bool:
    picture = graph.before(step, "x", "from_uint8")
    if picture is None or step.numbers["mode"] != 0 or not _has_own_size(graph, picture):
        return False
    graph.fold(step, picture)
    return True


def _halve_pixels(graph: Graph, step: Step) -> bool:
    picture = graph.before(step, "x", "from_uint8")
    plain = {f"{name}{c}": value for name, value in (("scale", 1), ("shift", 0)) for c in range(3)}
    if picture is None or picture.numbers != plain or not _has_own_size(graph, picture):
        return False
    picture.weights["taps"] = step.weights["taps"]
    graph.fold(step, picture)
    return True


def _has_own_size(graph: Graph, picture: Step) -> bool:
    """Return whether the pixels are not resized yet."""
    buffers = graph.plan.buffers
    same = buffers[picture.buffers["x"]].shape[1:3] == buffers[picture.buffers["y"]].shape[1:3]
    return same and "taps" not in picture.weights


# Rules that fuse into a convolution, in the order of its epilogue: bias, activation, residual, ReLU.


def _is_activated(step: Step) -> bool:
    return bool(step.numbers.get("relu", 0)) or "prelu" in step.weights


def _scale_kernel(graph: Graph, step: Step) -> bool:
    """Fold scale and shift into a convolution that is followed by nothing but a bias."""
    conv = graph.before(step, "x", "conv2d")
    if conv is None or _is_activated(conv) or "residual" in conv.buffers:
        return False
    (kernel,), (scale,), (shift,) = conv.weights["kernel"], step.weights["scale"], step.weights["shift"]
    assert isinstance(kernel, Conv) and isinstance(scale, Vector) and isinstance(shift, Vector)
    (bias,) = conv.weights.get("bias", [None])
    assert not isinstance(bias, Conv)

    def scaled(arrays: Arrays) -> tuple[Array, Array | None, Array | None]:
        weight, out_scale, in_scale = kernel.make(arrays)
        gain = scale.make(arrays)
        return weight, gain if out_scale is None else out_scale * gain, in_scale

    def moved(arrays: Arrays) -> Array:
        before = shift.make(arrays)
        return before if bias is None else before + scale.make(arrays) * bias.make(arrays)

    key = () if bias is None else bias.key
    conv.weights["kernel"] = [Conv((*kernel.key, *scale.key), kernel.shape, kernel.type, scaled)]
    conv.weights["bias"] = [Vector((*shift.key, *key), moved)]
    graph.fold(step, conv)
    return True


def _activate_conv(graph: Graph, step: Step) -> bool:
    conv = graph.before(step, "x", "conv2d")
    if conv is None:
        return False
    relu = bool(step.numbers["relu"])
    if "residual" in conv.buffers:
        if not relu or conv.numbers["relu_last"]:
            return False
        conv.numbers["relu_last"] = 1
    elif _is_activated(conv):
        return False
    elif relu:
        conv.numbers["relu"] = 1
    else:
        conv.weights["prelu"] = step.weights["prelu"]
    graph.fold(step, conv)
    return True


def _activate_norm(graph: Graph, step: Step) -> bool:
    """Fold PReLU into an instance or group norm, or any activation into an affine map."""
    norm = graph.before(step, "x", "instance_norm", "group_norm", "affine")
    if norm is None or "prelu" in norm.weights:
        return False
    norm.weights["prelu"] = step.weights["prelu"]
    graph.fold(step, norm)
    return True


def _activate_sum(graph: Graph, step: Step) -> bool:
    """Fold ReLU into a sum or a gate."""
    before = graph.before(step, "x", "add", "gate")
    if before is None or not step.numbers["relu"] or before.numbers["relu"]:
        return False
    before.numbers["relu"] = 1
    graph.fold(step, before)
    return True


def _add_residual(graph: Graph, step: Step) -> bool:
    """Fold a sum into the later of the convolutions that write its operands."""
    buffers = graph.plan.buffers
    for mine, other in (("x", "other"), ("other", "x")):
        conv, residual = graph.before(step, mine, "conv2d", "depthwise"), step.buffers[other]
        a, b = buffers[step.buffers[mine]], buffers[residual]
        if conv is None or a.shape != b.shape or a.type != b.type or b.external >= 0:
            continue
        if _is_activated(conv) or "residual" in conv.buffers or not graph.is_ready(residual, conv):
            continue
        if step.numbers["gain"] != 1:
            if mine == "x" or conv.kind == "depthwise":
                continue  # the residual would need a factor
            _multiply(conv, step.numbers["gain"])
        conv.buffers["residual"] = residual
        if conv.kind == "conv2d":
            conv.numbers["relu_last"] = 0
        graph.fold(step, conv)
        return True
    return False


def _multiply(conv: Step, factor: float) -> None:
    """Multiply the result of a convolution that is followed by nothing but a bias."""
    ((kernel,), biases) = conv.weights["kernel"], conv.weights.get("bias", [])
    assert isinstance(kernel, Conv)
    gain = np.float32(factor)

    def scaled(arrays: Arrays) -> tuple[Array, Array | None, Array | None]:
        weight, out_scale, in_scale = kernel.make(arrays)
        every = np.full(kernel.shape[0], gain, np.float32)
        return weight, every if out_scale is None else out_scale * gain, in_scale

    conv.weights["kernel"] = [Conv((*kernel.key, str(factor)), kernel.shape, kernel.type, scaled)]
    if biases:
        (bias,) = biases
        assert isinstance(bias, Vector)
        plain = bias.make
        conv.weights["bias"] = [Vector((*bias.key, str(factor)), lambda arrays: plain(arrays) * gain)]


def _affine_apart(graph: Graph, step: Step) -> bool:
    """Scale and shift, or activate, in a step of its own."""
    channels = graph.plan.buffers[step.buffers["x"]].shape[3]
    step.kind = "affine"
    step.numbers = {"to": 0}
    step.weights.pop("bias", None)
    for name, value in (("scale", 1.0), ("shift", 0.0)):
        step.weights.setdefault(name, [filled(value, channels)])
    return True


def _activate_regional(graph: Graph, step: Step) -> bool:
    """Fold bias, leaky ReLU and gain into a modulated convolution that has none."""
    conv = graph.before(step, "x", "regional_conv")
    if conv is None or "bias" in conv.weights:
        return False
    conv.weights["bias"] = step.weights["bias"]
    conv.numbers |= step.numbers
    graph.fold(step, conv)
    return True


# Squeeze-and-excitation.


def _norm_and_add(graph: Graph, step: Step) -> bool:
    """Fuse an instance norm, its gate of one half, the shortcut and the step that writes the shortcut.

    An instance-normalised map has mean zero, so its gate is sigmoid(0) whatever the weights: one half. (The
    published code computes the gate from the rounding error of that mean, some 1e-8.)
    """
    norm = graph.before(step, "x", "instance_norm")
    if norm is None or "prelu" in norm.weights:
        return False
    step.kind, step.weights = "norm_add", {}
    epsilon = norm.numbers["epsilon"]
    step.numbers = {"gain": 0.5, "normalised": 0, "stride": 1, "epsilon": epsilon}
    graph.remove(norm)
    step.buffers["x"] = norm.buffers["x"]
    other = graph.before(step, "shortcut", "instance_norm", "copy")
    if other is None or "prelu" in other.weights:
        return True
    if other.kind == "instance_norm":
        if other.numbers["epsilon"] != epsilon:
            return True
        step.numbers["normalised"] = 1
    else:
        step.numbers["stride"] = other.numbers["stride"]
    graph.remove(other)
    step.buffers["shortcut"] = other.buffers["x"]
    return True


def _excite_apart(graph: Graph, step: Step) -> bool:
    """Excite in steps of its own: the mean, two linear layers, the gate, the sum."""
    from e4s_engine.plan.recorder import Step as NewStep

    plan, x = graph.plan, step.buffers["x"]
    n, _, _, channels = plan.buffers[x].shape
    index, source = graph.index(step), x
    for kind, weight, relu in (("region_pool", "", 0), ("conv2d", "squeeze", 1), ("conv2d", "excite", 0)):
        kernel = step.weights[weight] if weight else []
        width = kernel[0].shape[0] if kernel and isinstance(kernel[0], Conv) else channels
        y = plan.add_buffer((n, 1, 1, width), plan.type)
        flop = 2.0 * n * width * plan.buffers[source].shape[3] if kernel else 0
        numbers = conv_numbers(relu=bool(relu)) if kernel else {}
        new = NewStep(kind, {"x": source, "y": y}, {"kernel": kernel} if kernel else {}, numbers, flop)
        graph.steps.insert(index, new)
        index, source = index + 1, y
    y = plan.add_buffer(plan.buffers[x].shape, plan.type)
    gate = NewStep("gate", {"x": x, "gate": source, "y": y}, numbers={"residual": 0, "relu": 0})
    graph.steps.insert(index, gate)
    step.kind, step.weights, step.numbers = "add", {}, {"relu": 0, "gain": 1}
    step.buffers = {"x": y, "other": step.buffers["shortcut"], "y": step.buffers["y"]}
    return True


# Other rules.


def _shift_biases(graph: Graph, step: Step) -> bool:
    """Add latent_avg to the biases of the linear layers that compute the offsets."""
    linear = graph.before(step, "x", "region_linear")
    if linear is None or "prelu" in linear.weights:
        return False
    (average,) = step.weights["average"]
    length = graph.plan.buffers[step.buffers["y"]].shape[3]

    def shifted(bias: Conv | Vector) -> Vector:
        assert isinstance(bias, Vector) and isinstance(average, Vector)
        plain, added = bias.make, average.make
        return Vector(
            (*bias.key, *average.key), lambda arrays: plain(arrays) + added(arrays).reshape(-1)[:length]
        )

    linear.weights["biases"] = [shifted(bias) for bias in linear.weights["biases"]]
    graph.fold(step, linear)
    return True


def _resize_logits(graph: Graph, step: Step) -> bool:
    """Fold a resize into the argmax: logits at full size are never stored. Rounded logits would tie."""
    resize = graph.before(step, "x", "resize")
    if resize is not None:
        step.numbers["mode"] = resize.numbers["mode"]
        step.buffers["x"] = resize.buffers["x"]
        graph.remove(resize)
    return _keep_floats(graph, step, "x")


def _keep_floats(graph: Graph, step: Step, operand: str) -> bool:
    """Let a convolution write an operand as floats, unrounded."""
    if graph.before(step, operand, "conv2d", "sum_taps") is None:
        return False
    graph.plan.buffers[step.buffers[operand]].type = "f32"
    return True


def _activate_depthwise(graph: Graph, step: Step) -> bool:
    conv = graph.before(step, "x", "depthwise")
    if conv is None or "residual" in conv.buffers or conv.numbers["gelu"]:
        return False
    conv.numbers["gelu"] = 1
    graph.fold(step, conv)
    return True


def _float_x(graph: Graph, step: Step) -> bool:
    return _keep_floats(graph, step, "x")


def _float_mixture(graph: Graph, step: Step) -> bool:
    return _keep_floats(graph, step, "logits")


def _sigmoid_picture(graph: Graph, step: Step) -> bool:
    picture = graph.before(step, "x", "picture")
    if picture is None or picture.numbers["sigmoid"]:
        return False
    picture.numbers["sigmoid"] = 1
    graph.fold(step, picture)
    return True


def _write_picture(graph: Graph, step: Step) -> bool:
    """Let the last step write to the caller's buffer, without a copy of the largest picture."""
    if graph.plan.buffers[step.buffers["y"]].external < 0:
        return False
    last = graph.before(step, "x", "to_rgb", "picture")
    if last is None:
        return False
    graph.fold(step, last)
    return True


RULES: dict[str, Sequence[Rule]] = {
    "normalize": (_normalise_pixels,),
    "resize": (_resize_pixels,),
    "cubic_half": (_halve_pixels,),
    "batch_norm": (_scale_kernel, _affine_apart),
    "biased": (_activate_regional, _affine_apart),
    "activation": (_activate_conv, _activate_sum, _activate_norm, _affine_apart),
    "add": (_add_residual,),
    "squeeze_excite": (_norm_and_add, _excite_apart),
    "latent_codes": (_shift_biases,),
    "argmax": (_resize_logits,),
    "soft_argmax": (_float_x,),
    "nmf": (_float_x,),
    "gelu": (_activate_depthwise,),
    "warp": (_float_mixture,),
    "sigmoid": (_sigmoid_picture,),
    "copy": (_write_picture, parts.grow, parts.write_part),
}


def _refuse_pictures(plan: Plan) -> None:
    """Raise BackendError where a step for feature maps meets the three channels of a picture."""
    for step in plan.steps:
        if step.kind in _NOT_OF_PICTURES and plan.buffers[step.buffers["x"]].shape[3] == 3:
            what = _NOT_OF_PICTURES[step.kind]
            raise BackendError(f"plan: the native backend has no step for {what} of a picture")


def _add_halos(plan: Plan) -> None:
    """Give the inputs of convolutions a border of zero pixels, half as wide as their kernels."""
    for step in plan.steps:
        if step.kind in ("conv2d", "regional_conv"):
            (kernel,) = step.weights["kernel"]
            assert isinstance(kernel, Conv)
            buffer = plan.buffers[step.buffers["x"]]
            buffer.halo = max(buffer.halo, kernel.shape[-1] // 2)


def _drop_unused(plan: Plan) -> None:
    """Drop buffers that no step names any more and renumber the rest; the result comes last."""
    used = {b for step in plan.steps for b in step.buffers.values()}
    written = {step.buffers["y"] for step in plan.steps}
    order = [i for i, buffer in enumerate(plan.buffers) if i in used or buffer.external >= 0]
    order.sort(key=lambda i: i in written and plan.buffers[i].external >= 0)
    number = {old: new for new, old in enumerate(order)}
    plan.buffers[:] = [plan.buffers[i] for i in order]
    for step in plan.steps:
        step.buffers = {name: number[b] for name, b in step.buffers.items()}
