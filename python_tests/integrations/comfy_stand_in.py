# ruff: noqa: A002, N818 (the names are ComfyUI's)
"""A stand-in for the part of ComfyUI that the nodes use, as its documentation describes it (V3 schema).

`install` puts it in the place of ComfyUI's modules. The signatures are those of ComfyUI 0.3.64, so that a
call that ComfyUI refuses is refused here too.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from abc import ABC, abstractmethod
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest


class FolderType(str, Enum):  # noqa: UP042 - as in ComfyUI
    input, output, temp = "input", "output", "temp"


class Input:
    parent: Any = None

    def __init__(self, id, display_name=None, optional=False, tooltip=None, lazy=None):
        self.id, self.display_name, self.optional = id, display_name, optional
        self.tooltip, self.lazy = tooltip, lazy

    @property
    def io_type(self):
        return self.parent.io_type


class Output:
    parent: Any = None

    def __init__(self, id=None, display_name=None, tooltip=None, is_output_list=False):
        self.id, self.display_name = id, display_name
        self.tooltip, self.is_output_list = tooltip, is_output_list

    @property
    def io_type(self):
        return self.parent.io_type


def new_type(io_type, input_class=Input):
    kind = type(io_type, (), {"io_type": io_type})
    kind.Input = type("Input", (input_class,), {"parent": kind})
    kind.Output = type("Output", (Output,), {"parent": kind})
    return kind


class Widget(Input):
    """Input with a widget; every kind of widget names the further arguments that it takes."""

    further: tuple[str, ...] = ()

    def __init__(
        self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None, **further
    ):
        super().__init__(id, display_name, optional, tooltip, lazy)
        unknown = set(further) - {"socketless", "force_input", *self.further}
        if unknown:
            raise TypeError(f"{type(self).__name__}: unexpected {unknown}")
        self.default = default
        self.__dict__.update(further)


class StringInput(Widget):
    further = ("multiline", "placeholder", "dynamic_prompts")


class NumberInput(Widget):
    further = ("min", "max", "step", "round", "control_after_generate", "display_mode")


class BooleanInput(Widget):
    further = ("label_on", "label_off")


class ComboInput(Widget):
    further = ("control_after_generate", "upload", "image_folder", "remote")

    def __init__(self, id, options=None, **more):
        super().__init__(id, **more)
        self.options = options


@dataclasses.dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Any] = dataclasses.field(default_factory=list)
    outputs: list[Any] = dataclasses.field(default_factory=list)
    hidden: list[Any] = dataclasses.field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def validate(self):
        for number, output in enumerate(self.outputs):
            output.id = output.id or f"_{number}_{output.io_type}_"
        repeated = [i for i, n in Counter(one.id for one in (*self.inputs, *self.outputs)).items() if n > 1]
        if repeated:
            raise ValueError(f"ids must be unique, {repeated} are not")


class ComfyNode:
    @classmethod
    def GET_SCHEMA(cls):  # noqa: N802
        schema = cls.define_schema()
        schema.validate()
        return schema


class NodeOutput:
    def __init__(self, *args, ui=None, expand=None, block_execution=None):
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self):
        return self.args or None


class SavedResult(dict):
    def __init__(self, filename, subfolder, type):
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class SavedImages:
    def __init__(self, results, is_animated=False):
        self.results, self.is_animated = results, is_animated

    def as_dict(self):
        return {"images": self.results}


class ComfyExtension(ABC):
    @abstractmethod
    async def get_node_list(self): ...


class ProgressBar:
    """Progress that nodes have shown, and whether the user has cancelled."""

    shown: ClassVar[list[tuple[int, int]]] = []
    cancelled = False

    def __init__(self, total, node_id=None):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        self.shown.append((value, total or self.total))


class InterruptProcessingException(Exception):
    pass


def throw_exception_if_processing_interrupted():
    if ProgressBar.cancelled:
        raise InterruptProcessingException


def folders(root: Path) -> types.ModuleType:
    """Make `folder_paths` over a folder of the test."""
    module = types.ModuleType("folder_paths")
    known: dict[str, list[str]] = {}

    def add_model_folder_path(folder_name, full_folder_path, is_default=False):
        paths = known.setdefault(folder_name, [])
        if full_folder_path not in paths:
            paths.append(full_folder_path)

    def get_save_image_path(filename_prefix, output_dir, image_width=0, image_height=0):
        prefix = Path(filename_prefix)
        folder = Path(output_dir) / prefix.parent
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(f.stem.split("_")[-2]) for f in folder.glob(f"{prefix.name}_*_.*")]
        return str(folder), prefix.name, max(taken, default=0) + 1, str(prefix.parent), filename_prefix

    module.models_dir = str(root / "models")
    module.add_model_folder_path = add_model_folder_path
    module.get_folder_paths = lambda name: list(known[name])
    module.get_output_directory = lambda: str(root / "output")
    module.get_save_image_path = get_save_image_path
    return module


def install(root: Path, patch: pytest.MonkeyPatch) -> type[ProgressBar]:
    """Put the stand-in in the place of ComfyUI's modules, over a folder; return what nodes show."""
    io = types.ModuleType("io")
    widgets = {"Boolean": BooleanInput, "Int": NumberInput, "Float": NumberInput, "Combo": ComboInput}
    for name, kind in {**widgets, "String": StringInput, "Image": Input, "Mask": Input}.items():
        setattr(io, name, new_type(name.upper(), kind))
    io.Custom = new_type
    for value in (FolderType, Schema, ComfyNode, NodeOutput):
        setattr(io, value.__name__, value)
    ui = types.SimpleNamespace(SavedResult=SavedResult, SavedImages=SavedImages)
    latest = types.ModuleType("comfy_api.latest")
    latest.__dict__.update(io=io, ui=ui, ComfyExtension=ComfyExtension)
    management = types.ModuleType("comfy.model_management")
    management.throw_exception_if_processing_interrupted = throw_exception_if_processing_interrupted
    utils = types.ModuleType("comfy.utils")
    utils.ProgressBar = ProgressBar
    modules = {
        "comfy_api": types.ModuleType("comfy_api"),
        "comfy_api.latest": latest,
        "comfy": types.ModuleType("comfy"),
        "comfy.model_management": management,
        "comfy.utils": utils,
        "folder_paths": folders(root),
    }
    for name, module in modules.items():
        patch.setitem(sys.modules, name, module)
    ProgressBar.shown, ProgressBar.cancelled = [], False
    return ProgressBar
