"""Procedural 3-D portraits with exact labels and landmarks: data for regional face swaps.

`render(person(1), scene(2))` draws a picture; `render(combine(person(2), person(1), ["eyes"]), scene(3))` is
the exact answer to "the eyes of 1 on 2". Rendering needs only NumPy.
"""

from __future__ import annotations

from e4s_engine.synth.params import Expression, Person, Pose, Scene, combine
from e4s_engine.synth.people import person
from e4s_engine.synth.render import Picture, render, render_many
from e4s_engine.synth.scenes import scene

__all__ = [
    "Expression", "Person", "Picture", "Pose", "Scene", "combine", "person", "render", "render_many", "scene",
]  # fmt: skip
