"""Nodes for ComfyUI (V3 schema). It loads this folder, or a file that imports `comfy_entrypoint` from it.

Importing it needs neither ComfyUI nor PyTorch; the nodes, which need both, are imported by the entry point.
"""

from __future__ import annotations

from typing import Any


async def comfy_entrypoint() -> Any:
    """Return the extension that lists the nodes; ComfyUI calls this once, at its start."""
    from e4s_engine.integrations.comfyui.extension import E4SExtension

    return E4SExtension()
