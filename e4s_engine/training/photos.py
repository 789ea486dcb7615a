"""A user's photos with label maps, in the layouts of FFHQ and CelebAMask-HQ.

FFHQ            images1024/00000/00012.png            BiSeNet_mask/00000/00012.png
CelebAMask-HQ   CelebA-HQ-img/12.jpg                  labels/12.png (merged, 19 labels), or
                                                      CelebAMask-HQ-mask-anno/0/00012_hair.png ...
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, E4SError, LabelsError
from e4s_engine.photo import images, labelfile, opening
from e4s_engine.photo.images import Pixels

_MERGED = ("labels", "CelebAMask-HQ-mask", "CelebA-HQ-mask", "mask")

# The parts of CelebAMask-HQ, in the order of their ids from 1; later ones lie over earlier ones.
PARTS = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip


class Photos:
    """The photos of a folder with their labels, as regions. Unusable files are left out.

    `broken` maps their names to the reasons. A file enters it when it is first read.
    """

    def __init__(self, folder: str | os.PathLike[str], size: int, label_format: str = "auto") -> None:
        """label_format: label convention: "regions", "bisenet", "celebamask_hq" or "auto" (the layout's).

        Raises ArgumentError for a folder of neither layout.
        """
        self.folder, self.size = Path(folder), size
        self.broken: dict[str, str] = {}
        self._label_format = label_format
        self._photos, self._labels = self._find()
        if not self._photos:
            raise ArgumentError(f"data: no photos in {self.folder}")

    def __len__(self) -> int:
        return len(self._photos)

    def item(self, index: int) -> Pixels:
        """Read a photo with its labels, uint8 [S, S, 4]; the next intact one if it is broken."""
        for shift in range(len(self._photos)):
            photo = self._photos[(index + shift) % len(self._photos)]
            name = str(photo.relative_to(self.folder))
            if name in self.broken:
                continue
            try:
                return self._read(photo)
            except (E4SError, OSError, SyntaxError, ValueError) as error:
                self.broken[name] = " ".join(str(error).split())
        raise ArgumentError(f"data: none of the {len(self._photos)} photos in {self.folder} can be used")

    def _read(self, photo: Path) -> Pixels:
        pixels = images.read(photo)
        if pixels.shape[0] != pixels.shape[1]:
            raise LabelsError(f"{pixels.shape[1]} x {pixels.shape[0]} pixels: not an aligned square portrait")
        labels = self._labels(photo)
        if (labels != regions.BACKGROUND).mean() < 0.01:
            raise LabelsError("the label map shows no face")
        out = np.empty((self.size, self.size, 4), np.uint8)
        out[:, :, :3] = images.resize(pixels, self.size, self.size, Image.Resampling.LANCZOS)
        out[:, :, 3] = regions.resize_nearest(labels, self.size)
        return out

    def _find(self) -> tuple[list[Path], Callable[[Path], regions.Labels]]:
        root = self.folder
        if (root / "images1024").is_dir():
            return _pictures(root / "images1024"), self._merged(
                root / "images1024", root / "BiSeNet_mask", "bisenet"
            )
        if (root / "CelebA-HQ-img").is_dir():
            photos = _pictures(root / "CelebA-HQ-img")
            for name in _MERGED:
                if (root / name).is_dir():
                    return photos, self._merged(root / "CelebA-HQ-img", root / name, "celebamask_hq")
            if (root / "CelebAMask-HQ-mask-anno").is_dir():
                return photos, _Parts(root / "CelebAMask-HQ-mask-anno")
        raise ArgumentError(
            f"data: {root} has neither images1024 and BiSeNet_mask (FFHQ) nor CelebA-HQ-img and "
            f"{_MERGED[0]} or CelebAMask-HQ-mask-anno (CelebAMask-HQ)"
        )

    def _merged(self, photos: Path, labels: Path, convention: str) -> Callable[[Path], regions.Labels]:
        convention = convention if self._label_format == "auto" else self._label_format

        def read(photo: Path) -> regions.Labels:
            path = (labels / photo.relative_to(photos)).with_suffix(".png")
            return labelfile.read(str(path), convention)

        return read


class _Parts:
    """Label maps merged from the part files of CelebAMask-HQ."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, photo: Path) -> regions.Labels:
        number = int(photo.stem)
        merged: npt.NDArray[np.uint8] | None = None
        for value, part in enumerate(PARTS, start=1):
            path = self._folder / str(number // 2000) / f"{number:05d}_{part}.png"
            if not path.exists():
                continue
            with Image.open(path) as opened:
                inside = np.array(opened.convert("L")) > 127
            if merged is None:
                merged = np.zeros(inside.shape, np.uint8)
            if inside.shape != merged.shape:
                raise LabelsError(f"{path.name} is {inside.shape}, the other parts are {merged.shape}")
            merged[inside] = value
        if merged is None:
            raise LabelsError(f"no part files {number:05d}_*.png")
        return regions.check_labels(regions.from_19(merged, "celebamask_hq"))


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and its folders, without hidden files (AppleDouble's "._1.jpg")."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in opening.SUFFIXES and path.name[0] != "." and path.is_file()
    )
