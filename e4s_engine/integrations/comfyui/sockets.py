"""Types of sockets that the nodes add to ComfyUI's, and the widgets of a swap's options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from e4s_engine.faces import choose
from e4s_engine.options import SwapOptions

CATEGORY = "e4s"

# What the sockets carry: an Engine; a tuple of Faces; labels uint8 [B, 512, 512]; a tuple of Results.
Engine = io.Custom("ENGINE_E4S")
Face = io.Custom("FACE_E4S")
Labels = io.Custom("LABELS_E4S")
Result = io.Custom("RESULT_E4S")

_CHOICES: dict[str, str | bool] = {"auto": "auto", "yes": True, "no": False}
_FIELDS = dataclasses.fields(SwapOptions)
_SHARE = "recolor"  # a share too, which is typed
_AUTO = [
    field.name
    for field in _FIELDS
    if field.default == "auto" and "choices" not in field.metadata and field.name != _SHARE
]
_NOT_HERE = ("full_face",)  # nothing here shows the generated face by itself
NOT_IN_EDITS = ("shape", "texture", "hair_first", "earrings_first")


def option_inputs(without: tuple[str, ...] = ()) -> list[Any]:
    """Return the widgets of the options of a swap, as the fields of SwapOptions declare them."""
    left_out = (*_NOT_HERE, *without)
    return [_widget(field) for field in _FIELDS if field.name not in left_out]


def options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of such widgets as options by name. Raises ArgumentError for impossible faces."""
    chosen: dict[str, Any] = dict(values)
    chosen |= {name: _CHOICES[chosen[name]] for name in _AUTO if name in chosen}
    if _SHARE in chosen:
        chosen[_SHARE] = _share(chosen[_SHARE])
    if "faces" in chosen:
        chosen["faces"] = choose.read(chosen["faces"])
    return chosen


def _share(text: str) -> Any:
    """Read auto, yes, no or a number; anything else is refused by SwapOptions."""
    try:
        return float(text)
    except ValueError:
        return _CHOICES.get(text.strip(), text)


def which_face() -> Any:
    """Return the widget that chooses a face of a photo."""
    tip = "which face of the photo: largest, left, right, or its number (0 is the largest)"
    return io.String.Input("face", default="largest", tooltip=tip)


def align_input() -> Any:
    """Return the widget of the option `align`."""
    return _widget(next(field for field in _FIELDS if field.name == "align"))


def _widget(field: dataclasses.Field[Any]) -> Any:
    name, default, tip = field.name, field.default, field.metadata["meaning"]
    if isinstance(default, bool):
        return io.Boolean.Input(name, default=default, tooltip=tip)
    if isinstance(default, float):
        return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.05, tooltip=tip)
    if "choices" in field.metadata:
        return io.Combo.Input(name, options=list(field.metadata["choices"]), default=default, tooltip=tip)
    if name in _AUTO:
        return io.Combo.Input(name, options=list(_CHOICES), default="auto", tooltip=tip)
    return io.String.Input(name, default=default, tooltip=tip)
