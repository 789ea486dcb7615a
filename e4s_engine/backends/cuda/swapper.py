"""Fused swaps on a GPU: which graph does which of them, and what goes into its slots and comes out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from e4s_engine import _native, regions
from e4s_engine.backends import Ask, Given
from e4s_engine.backends.cuda import resident
from e4s_engine.backends.cuda.resident import Resident
from e4s_engine.backends.cuda.swap import SLOTS, Recipe
from e4s_engine.backends.plans import check_labels, slices
from e4s_engine.photo.align import CROP

if TYPE_CHECKING:
    from e4s_engine.backends.cuda.backend import Cuda

MOST_AT_ONCE = 8  # pictures per graph: more do not fill the card better
IN_FLIGHT = 2  # instances of a graph: one copies while the other computes

Made = dict[str, Any]


class GraphSwapper:
    """Swaps of one backend, each in one graph: see `Swapper`."""

    def __init__(self, backend: Cuda) -> None:
        self._backend = backend

    def resident(self, image: Any) -> Resident | None:
        """See `Swapper`."""
        return resident.find(image, int(self._backend.device.partition(":")[2]))

    def swap(self, asks: Sequence[Ask]) -> list[Made]:
        """See `Swapper`.

        A source that comes once, into a target that was not encoded before, is encoded in the swap's graph,
        others before it.
        """
        for labels in {id(a): a for ask in asks for a in (ask.target_labels, *_labels(ask))}.values():
            check_labels(labels)
        styles = self._encoded(asks)
        groups: dict[Any, list[int]] = defaultdict(list)
        for number, ask in enumerate(asks):
            kept = ask.target_styles is not None
            recipe = Recipe(0 if _pixels(ask, styles) else len(ask.sources), ask.relight, kept)
            groups[recipe, ask.outputs, isinstance(ask.target, Resident)].append(number)
        parts = [
            (recipe, numbers[part])
            for (recipe, _, on_device), numbers in groups.items()
            for part in slices(len(numbers), 1 if on_device else MOST_AT_ONCE)
        ]
        made: dict[int, Made] = {}

        def run(part: tuple[Recipe, list[int]]) -> None:
            recipe, numbers = part
            made.update(zip(numbers, self._run([asks[i] for i in numbers], recipe, styles), strict=True))

        _each(run, parts)
        return [made[number] for number in range(len(asks))]

    def _encoded(self, asks: Sequence[Ask]) -> dict[int, Any]:
        """Return the style vectors of sources that the swaps' graphs do not encode, by `id`."""
        people = {id(given): given for ask in asks for given in ask.sources}
        uses = Counter(id(given) for ask in asks for given in ask.sources)
        plain = [ask for ask in asks if len(ask.sources) == 1 and ask.target_styles is None]
        alone = {id(ask.sources[0]) for ask in plain}
        styles = {number: given.styles for number, given in people.items() if given.styles is not None}
        waiting = [
            given
            for number, given in people.items()
            if number not in styles and not (number in alone and uses[number] == 1)
        ]
        length = self._backend.model.style_dim
        for given in waiting:
            styles[id(given)] = np.empty((regions.COUNT, length), np.float32)

        def run(some: list[Given]) -> None:
            with self._backend.encode_graph(len(some)) as bound:
                inputs = {0: [_place(given.pixels) for given in some], 1: [given.labels for given in some]}
                streams = _streams(given.pixels for given in some)
                bound.graph.run(_dense(inputs), {2: [styles[id(given)] for given in some]}, streams)

        _each(run, [waiting[part] for part in slices(len(waiting), MOST_AT_ONCE)])
        return styles

    def _run(self, asks: list[Ask], recipe: Recipe, styles: dict[int, Any]) -> list[Made]:
        """Do some swaps in one graph; those on the device come one by one."""
        outputs = [self._outputs(ask) for ask in asks]
        given = [ask.sources for ask in asks]
        arrays: dict[str, list[Any]] = {
            "source_labels": [source.labels for sources in given for source in sources],
            "target_pixels": [_place(ask.target) for ask in asks],
            "target_labels": [ask.target_labels for ask in asks],
            "chosen": [ask.chosen for ask in asks],
            "settings": [ask.settings for ask in asks],
            "reach": [np.array(ask.reach, np.int32) for ask in asks],
        }
        if recipe.sources:
            arrays["source_styles"] = [styles[id(source)] for sources in given for source in sources]
        else:
            arrays["source_pixels"] = [_place(source.pixels) for (source,) in given]
        if recipe.kept:
            arrays["target_styles"] = [ask.target_styles for ask in asks]
        inputs = {SLOTS.index(name): arrays[name] for name in recipe.inputs}
        results = {SLOTS.index(name): [one[name] for one in outputs] for name in outputs[0]}
        pictures = [picture for ask in asks for picture in (ask.target, *(s.pixels for s in ask.sources))]
        with self._backend.swap_graph(recipe, len(asks)) as bound:
            bound.graph.run(_dense(inputs), results, _streams(pictures))
        return outputs

    def _outputs(self, ask: Ask) -> Made:
        """Return memory for what a swap returns."""
        size, side = self._backend.model.size, regions.LABEL_SIZE
        shapes = {"pasted": (CROP, CROP, 3), "picture": (size, size, 3), "opacity": (CROP, CROP)}
        names, made = list(ask.outputs), Made()
        if isinstance(ask.target, Resident):
            device = self._backend.linker.device
            on_device = [name for name in names if name in ("pasted", "picture")]
            names = [name for name in names if name not in on_device]
            for name in (*on_device, "target_pixels"):  # the last one: as it came
                made[name] = _native.CudaArray(device, shapes.get(name, (CROP, CROP, 3)))
        if "styles" in names:
            names.remove("styles")
            made["styles"] = np.empty((regions.COUNT, self._backend.model.style_dim), np.float32)
        return made | {name: self._backend.memory.array(shapes.get(name, (side, side))) for name in names}


def _each(run: Any, parts: list[Any]) -> None:
    """Call a function for every part, two at a time: one is copied while another computes."""
    if len(parts) < 2:
        for part in parts:
            run(part)
        return
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in pool.map(run, parts):
            pass


def _labels(ask: Ask) -> list[Any]:
    return [given.labels for given in ask.sources]


def _pixels(ask: Ask, styles: dict[int, Any]) -> bool:
    """Return whether the swap's graph encodes the source."""
    return len(ask.sources) == 1 and id(ask.sources[0]) not in styles


def _place(pixels: Any) -> Any:
    return pixels.place if isinstance(pixels, Resident) else pixels


def _streams(pictures: Any) -> list[int]:
    return sorted({picture.stream for picture in pictures if isinstance(picture, Resident)})


def _dense(inputs: dict[int, list[Any]]) -> dict[int, list[Any]]:
    """Return inputs whose arrays are dense."""
    return {
        slot: [value if isinstance(value, tuple) else np.ascontiguousarray(value) for value in values]
        for slot, values in inputs.items()
    }
