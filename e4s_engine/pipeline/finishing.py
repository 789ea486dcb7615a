"""Re-colouring and inpainting of a generated face, as far as options ask for them and weights are at hand.

One rule decides which of three ways brings the target's colours to a face, so that none is done twice:
re-colouring where it runs, else relighting where the model has learnt to, else colour matching (`match`).
"""

from __future__ import annotations

import dataclasses
import weakref
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from e4s_engine import regions
from e4s_engine._forks import Lock
from e4s_engine.errors import ArgumentError
from e4s_engine.networks import registry
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align, images
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose, inpaint, recolor
from e4s_engine.pipeline.networks import Networks
from e4s_engine.pipeline.paste import NOTHING, Finish
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import Labels

_KEPT = 4  # targets whose features are kept
_COLOURED = (*recolor.FACE, regions.EARS, regions.HAIR)  # regions that can be re-coloured


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a swap asks for.

    strength: share of the re-coloured face; 0: it is not re-coloured. regions: those that are. inpaint:
    whether holes are drawn anew.
    """

    strength: float = 0.0
    regions: tuple[int, ...] = ()
    inpaint: bool = False

    @property
    def recolors(self) -> bool:
        """Whether anything is re-coloured."""
        return self.strength > 0 and bool(self.regions)

    def __bool__(self) -> bool:
        return self.recolors or self.inpaint


class Finisher:
    """Re-colouring and inpainting over the networks that an engine has."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self._seen: OrderedDict[int, tuple[weakref.ref[Pixels], Labels, recolor.Seen]] = OrderedDict()
        self._lock = Lock()

    def asked(self, chosen: Sequence[int] | None, options: SwapOptions) -> Asked:
        """Return what is done to a face. chosen: region ids; None: whole face.

        Raises ArgumentError for what needs weights that are not at hand, or contradicts itself.
        """
        return Asked(self._strength(options), self._regions(chosen, options), self._inpaints(options))

    def _strength(self, options: SwapOptions) -> float:
        wish = options.recolor
        if isinstance(wish, str):  # "auto"
            applies = options.match == "auto" and options.shape and options.texture and options.extent > 0
            return recolor.STRENGTH if applies and self.networks.has(recolor.KIND) else 0.0
        strength = recolor.STRENGTH if wish is True else float(wish)
        if strength > 0:
            self._check(recolor.KIND, f"recolor={wish}")
            if options.match == "color":
                raise ArgumentError(
                    f"recolor={wish}: match='color' asks for the target's colours too; choose one of both"
                )
        return strength

    def _regions(self, chosen: Sequence[int] | None, options: SwapOptions) -> tuple[int, ...]:
        if chosen is None:
            return recolor.FACE
        # By themselves regions keep the colours that they were chosen for, unless they are skin.
        able = compose.SKINS if isinstance(options.recolor, str) else _COLOURED
        return tuple(region for region in chosen if region in able)

    def _inpaints(self, options: SwapOptions) -> bool:
        if options.inpaint is True:
            self._check(inpaint.KIND, "inpaint=True")
        by_itself = options.inpaint == "auto" and options.shape and self.networks.has(inpaint.KIND)
        return options.inpaint is True or by_itself

    def _check(self, kind: str, argument: str) -> None:
        if not self.networks.has(kind):
            published = registry.get(kind).published
            assert published is not None
            raise ArgumentError(
                f"{argument}: needs weights that were not found with the model's: {published.file}; make the "
                "engine with a folder that holds them (`e4s weights FOLDER` tells what is missing)"
            )

    def finish(self, asked: Asked, shape: compose.Shape, crop: Crop, target: Labels) -> Finish:
        """Return what `paste` does to a face of this shape. target: labels of the crop."""
        colours = asked.recolors and bool(np.isin(shape.labels, asked.regions).any())
        holes = asked.inpaint and bool(shape.holes.any())
        if not colours and not holes:
            return NOTHING

        def recoloured(face: Pixels) -> Pixels:
            large = images.resize(face, align.CROP, align.CROP, Image.Resampling.LANCZOS)  # as pastes do
            with stage("recolor"):
                seen = self._target(crop, target)
                return recolor.recolour(
                    large, shape.labels, asked.regions, seen, asked.strength, self.networks.run
                )

        def inpainted(face: Pixels, shown: Pixels) -> Pixels:
            with stage("inpaint"):
                return inpaint.inpaint(face, shown, shape.holes, self.networks.run)

        return Finish(
            recoloured if colours else None,
            inpainted if holes else None,
            asked.strength if colours else 0.0,
        )

    def _target(self, crop: Crop, labels: Labels) -> recolor.Seen:
        """Return a target as the network sees it; the last few are kept for further sources."""
        key = id(crop.image)
        with self._lock:
            kept = self._seen.get(key)
            if kept is not None and kept[0]() is crop.image and (kept[1] == labels).all():
                self._seen.move_to_end(key)
                return kept[2]
        seen = recolor.see(recolor.small(crop.image), recolor.parts_of(labels), self.networks.run)
        with self._lock:
            self._seen[key] = weakref.ref(crop.image), labels, seen
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return seen


NO_FINISHER = Finisher(Networks(None, {}))
