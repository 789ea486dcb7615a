"""Rules of fusing for concatenations, recorded as copies into parts of a wider map.

A dense block, whose map grows by one convolution after the other, becomes convolutions that read and write
channels of one map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan.recorder import VECTOR, Conv

if TYPE_CHECKING:
    from e4s_engine.plan.fuse import Graph
    from e4s_engine.plan.recorder import Step


def grow(graph: Graph, step: Step) -> bool:
    """Let a map begin the wider one that it is copied into: what writes and reads it can do so there."""
    x, y = step.buffers["x"], step.buffers["y"]
    if not _is_part(graph, step) or step.numbers["first"] != 0 or graph.writer(y, "copy") is not None:
        return False
    steps = [other for other in graph.steps if other is not step and x in other.buffers.values()]
    writers = [other for other in steps if other.buffers["y"] == x]
    ready = all(other.kind in ("copy", "affine", "conv2d") for other in writers) and len(writers) > 1
    if not ready or any(
        x in (b for role, b in other.buffers.items() if role not in ("x", "y"))
        or (other.buffers.get("x") == x and not _reads_vectors(other))
        for other in steps
    ):
        return False
    for other in steps:
        other.buffers = {role: y if b == x else b for role, b in other.buffers.items()}
    graph.remove(step)
    return True


def _reads_vectors(step: Step) -> bool:
    """Return whether a step is a convolution that can read the first channels of a wider map."""
    if step.kind != "conv2d":
        return False
    (kernel,) = step.weights["kernel"]
    return isinstance(kernel, Conv) and kernel.shape[1] % VECTOR == 0


def write_part(graph: Graph, step: Step) -> bool:
    """Let a step write its channels of a concatenation, without a copy."""
    writer = graph.before(step, "x", "conv2d", "affine", "regional_conv")
    first = step.numbers["first"]
    if writer is None or not _is_part(graph, step) or (writer.kind == "regional_conv" and first):
        return False
    if writer.kind != "regional_conv":
        writer.numbers["to"] = first
    graph.fold(step, writer)
    return True


def _is_part(graph: Graph, step: Step) -> bool:
    """Return whether a copy fills whole vectors of channels of a map in the arena, as they are."""
    buffers = graph.plan.buffers
    x, y = buffers[step.buffers["x"]], buffers[step.buffers["y"]]
    first, channels = int(step.numbers["first"]), x.shape[3]
    whole = first % VECTOR == 0 and (channels % VECTOR == 0 or first + channels == y.shape[3])
    inside = x.external < 0 and y.external < 0 and step.numbers["stride"] == 1
    return whole and inside and x.type == y.type and 3 not in (channels, y.shape[3])
