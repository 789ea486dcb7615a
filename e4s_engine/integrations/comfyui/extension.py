"""The nodes that ComfyUI shows."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from e4s_engine.integrations.comfyui import faces, host, labels, saving, swaps


class E4SExtension(ComfyExtension):
    """The nodes of e4s_engine."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes, after telling ComfyUI of `models/e4s`: 0.3.64 does not call `on_load` yet."""
        host.add_models_folder()
        return [
            faces.LoadEngine,
            faces.EncodeFace,
            swaps.Swap,
            swaps.Edit,
            labels.Parse,
            labels.LabelsToMask,
            labels.MaskToLabels,
            saving.SaveResult,
        ]
