"""Nodes that load an engine and encode faces."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from e4s_engine.engine import Engine
from e4s_engine.faces import choose
from e4s_engine.integrations.comfyui import host, sockets, tensors


class LoadEngine(io.ComfyNode):
    """Load a model from `models/e4s`, or the bundled one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SLoadEngine",
            display_name="E4S Load Engine",
            category=sockets.CATEGORY,
            description="Loads a face swapping model. Nothing is downloaded: put weights into models/e4s, a "
            "file or a folder for every model. The bundled model knows rendered faces only.",
            inputs=[
                io.Combo.Input("weights", options=host.weights(), default=host.DEMO),
                io.Combo.Input("device", options=["auto", "cpu", "cuda"], default="auto"),
                io.Combo.Input("precision", options=["auto", "fp32", "bf16", "fp16"], default="auto"),
                io.Combo.Input("backend", options=["auto", "native", "reference"], default="auto"),
            ],
            outputs=[sockets.Engine.Output(display_name="engine")],
        )

    @classmethod
    def fingerprint_inputs(cls, weights: str, **_: Any) -> str:
        """Load again when the files have changed."""
        return host.fingerprint(weights)

    @classmethod
    def execute(cls, weights: str, device: str, precision: Any, backend: Any) -> io.NodeOutput:
        """Create the engine."""
        path = host.find_weights(weights)
        return io.NodeOutput(Engine(path, device=device, precision=precision, backend=backend))


class EncodeFace(io.ComfyNode):
    """Encode a face of every picture, to be given to many swaps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SEncodeFace",
            display_name="E4S Encode Face",
            category=sockets.CATEGORY,
            description="Encodes one face of every picture: its shape and the texture of its regions.",
            inputs=[
                sockets.Engine.Input("engine"),
                io.Image.Input("image"),
                sockets.Labels.Input("labels", optional=True, tooltip="in place of the parser's"),
                sockets.which_face(),
                sockets.align_input(),
            ],
            outputs=[sockets.Face.Output(display_name="face")],
        )

    @classmethod
    def execute(cls, engine: Engine, image: Any, face: str, align: str, labels: Any = None) -> io.NodeOutput:
        """Encode the faces."""
        total = len(image)
        known = [None] * total if labels is None else tensors.per_picture(labels, total, "labels")
        how: Any = sockets.options({"align": align})
        which: Any = choose.read(face)
        faces = []
        for number, pixels in enumerate(tensors.frames(image, "image"), 1):
            faces.append(engine.encode(pixels, known[number - 1], face=which, **how))
            host.report(number, total)
        return io.NodeOutput(tuple(faces))
