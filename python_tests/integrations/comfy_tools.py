"""Workflows of ComfyUI in tests: their files as prompts, and prompts run node by node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# ComfyUI's own nodes in the example workflows: types of inputs by name, types of outputs, names of widgets.
OWN = {
    "LoadImage": ({}, ["IMAGE", "MASK"], ["image", "upload"]),
    "PreviewImage": ({"images": "IMAGE"}, [], []),
    "GrowMask": ({"mask": "MASK"}, ["MASK"], ["expand", "tapered_corners"]),
}


def interface(kind: str, nodes: dict[str, Any]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return types of a node's sockets by name, of its outputs, and the names of its widgets, in order."""
    if kind in OWN:
        return OWN[kind]
    schema = nodes[kind].GET_SCHEMA()
    sockets = {one.id: str(one.io_type) for one in schema.inputs if not hasattr(one, "default")}
    widgets = [one.id for one in schema.inputs if hasattr(one, "default")]
    return sockets, [str(one.io_type) for one in schema.outputs or ()], widgets


def prompt(file: Path, nodes: dict[str, Any]) -> dict[str, Any]:
    """Return a workflow file as ComfyUI's API takes it; fails where it does not fit the nodes."""
    workflow = json.loads(file.read_text())
    by_id = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: link[1:] for link in workflow["links"]}
    result: dict[str, Any] = {}
    for node in workflow["nodes"]:
        sockets, _, widgets = interface(node["type"], nodes)
        assert len(node.get("widgets_values", [])) == len(widgets), node["type"]
        inputs: dict[str, Any] = dict(zip(widgets, node.get("widgets_values", []), strict=True))
        inputs.pop("upload", None)  # a button
        for slot, socket in enumerate(node["inputs"]):
            assert sockets[socket["name"]] == socket["type"], (node["type"], socket)
            if socket["link"] is None:
                continue
            origin, origin_slot, target, target_slot, kind = links[socket["link"]]
            outputs = interface(by_id[origin]["type"], nodes)[1]
            assert (target, target_slot, kind) == (node["id"], slot, outputs[origin_slot])
            assert socket["link"] in by_id[origin]["outputs"][origin_slot]["links"]
            inputs[socket["name"]] = [str(origin), origin_slot]
        result[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return result


def run(wanted: dict[str, Any], nodes: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt; return the outputs of every node. own: functions for ComfyUI's nodes."""
    done: dict[str, Any] = {}

    def value(item: Any) -> Any:
        return outputs(item[0])[item[1]] if isinstance(item, list) else item

    def outputs(number: str) -> Any:
        if number not in done:
            node = wanted[number]
            given = {name: value(item) for name, item in node["inputs"].items()}
            if node["class_type"] in own:
                done[number] = own[node["class_type"]](**given)
            else:
                done[number] = nodes[node["class_type"]].execute(**given).args
        return done[number]

    for number in wanted:
        outputs(number)
    return done
