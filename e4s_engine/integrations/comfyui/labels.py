"""Nodes for label maps: parse photos, labels as masks, and painted masks as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io

from e4s_engine.engine import Engine
from e4s_engine.faces import choose
from e4s_engine.integrations.comfyui import host, sockets, tensors
from e4s_engine.photo import sheets
from e4s_engine.regions import BACKGROUND, LABEL_SIZE, NAMES, region_ids, resize_nearest


class Parse(io.ComfyNode):
    """Find the regions of a face of every picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SParse",
            display_name="E4S Parse",
            category=sockets.CATEGORY,
            description="Finds the regions of one face of every picture. Labels and masks describe the "
            "aligned crop around the face, which the node shows too: paint on it, not on the photo.",
            inputs=[
                sockets.Engine.Input("engine"),
                io.Image.Input("image"),
                sockets.which_face(),
                sockets.align_input(),
            ],
            outputs=[
                sockets.Labels.Output(display_name="labels"),
                io.Image.Output(display_name="crop", tooltip="the aligned crop, 1024 x 1024"),
                io.Image.Output(display_name="overlay", tooltip="the regions in colour over the crop"),
            ],
        )

    @classmethod
    def execute(cls, engine: Engine, image: Any, face: str, align: str) -> io.NodeOutput:
        """Parse the batch."""
        how: Any = sockets.options({"align": align})
        which: Any = choose.read(face)
        labels, crops = [], []
        for pixels in tensors.frames(image, "image"):
            portrait = engine.portrait(pixels, face=which, **how)
            assert portrait.labels is not None  # `Engine.portrait` parses
            labels.append(portrait.labels)
            crops.append(portrait.crop.image)
            host.report(len(labels), len(image))
        overlays = map(sheets.overlay, crops, labels)
        return io.NodeOutput(np.stack(labels), tensors.image(crops), tensors.image(overlays))


class LabelsToMask(io.ComfyNode):
    """Return where some regions are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SLabelsToMask",
            display_name="E4S Labels to Mask",
            category=sockets.CATEGORY,
            description="A mask of some regions, 512 x 512, of the aligned crop.",
            inputs=[
                sockets.Labels.Input("labels"),
                io.String.Input("regions", default="face", tooltip="names or presets, several with commas"),
            ],
            outputs=[io.Mask.Output(display_name="mask")],
        )

    @classmethod
    def execute(cls, labels: Any, regions: str) -> io.NodeOutput:
        """Select the regions."""
        return io.NodeOutput(tensors.mask(list(np.isin(labels, region_ids(regions)))))


class MaskToLabels(io.ComfyNode):
    """Paint a region into labels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SMaskToLabels",
            display_name="E4S Mask to Labels",
            category=sockets.CATEGORY,
            description="Paints a region into labels where the mask is at least one half: shapes by hand. "
            "Masks of any size describe the aligned crop; several nodes in a row paint several regions.",
            inputs=[
                io.Mask.Input("mask"),
                sockets.Labels.Input("labels", optional=True, tooltip="to paint into; else all background"),
                io.Combo.Input("region", options=list(NAMES), default="lips"),
            ],
            outputs=[
                sockets.Labels.Output(display_name="labels"),
                io.Image.Output(display_name="picture", tooltip="the labels in colour"),
            ],
        )

    @classmethod
    def execute(cls, mask: Any, region: str, labels: Any = None) -> io.NodeOutput:
        """Paint."""
        masks = list(tensors.mask_arrays(mask, "mask") >= 0.5)
        if labels is None:
            labels = np.full((1, LABEL_SIZE, LABEL_SIZE), BACKGROUND, np.uint8)
        total = max(len(masks), len(labels))
        painted = np.stack(tensors.per_picture(labels, total, "labels"))
        for one, where in zip(painted, tensors.per_picture(masks, total, "mask"), strict=True):
            one[resize_nearest(where.astype(np.uint8), LABEL_SIZE) > 0] = NAMES.index(region)
        return io.NodeOutput(painted, tensors.image(map(sheets.colour, painted)))
