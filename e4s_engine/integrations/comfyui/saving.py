"""The node that saves results with their marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io, ui

from e4s_engine.integrations.comfyui import host, sockets
from e4s_engine.result import Result


class SaveResult(io.ComfyNode):
    """Save results by `Result.save`, which marks pictures as ComfyUI's own node does not."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SSaveResult",
            display_name="E4S Save Result",
            category=sockets.CATEGORY,
            description="Saves results to the output folder as e4s_engine does, with the marks that say what "
            "a model changed. The workflow itself is not stored in the file.",
            inputs=[
                sockets.Result.Input("result"),
                io.String.Input("filename_prefix", default="e4s/swap"),
                io.Combo.Input("format", options=["png", "jpg", "webp", "tiff"], default="png"),
                io.Int.Input("quality", default=95, min=1, max=100, tooltip="of JPEG and WebP"),
                io.Boolean.Input("sign", default=False, tooltip="add a signed C2PA manifest"),
                io.Boolean.Input("pixel_mark", default=False, tooltip="mark the changed pixels too, faintly"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        result: Any,
        filename_prefix: str,
        format: str,  # noqa: A002
        quality: int,
        sign: bool,
        pixel_mark: bool,
    ) -> io.NodeOutput:
        """Write a numbered file for every picture of the batch."""
        first: Result = result[0]
        height, width = first.image.shape[:2]
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        saved = []
        for number, one in enumerate(result):
            file = f"{name}_{counter + number:05}_.{format}"
            one.save(
                Path(folder) / file,
                quality=quality if format in ("jpg", "webp") else None,
                sign=sign or None,
                pixel_mark=pixel_mark,
            )
            saved.append(ui.SavedResult(file, subfolder, io.FolderType.output))
            host.report(number + 1, len(result))
        return io.NodeOutput(ui=ui.SavedImages(saved))
