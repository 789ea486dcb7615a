"""Pictures and masks as ComfyUI passes them: IMAGE [B, H, W, C] and MASK [B, H, W], float32 in 0..1.

PyTorch is imported by the functions that create tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import ArgumentError
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask
from e4s_engine.result import Result

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]


def arrays(image: torch.Tensor, argument: str) -> Floats:
    """Return an IMAGE as an array [B, H, W, 3]; alpha is dropped. Raises ArgumentError for other shapes."""
    array: Floats = image.detach().cpu().float().numpy()
    if array.ndim != 4 or array.shape[3] not in (3, 4) or not array.size:
        raise ArgumentError(f"{argument}: expected an IMAGE [B, H, W, 3], got shape {list(array.shape)}")
    return array[..., :3]


def pixels(picture: Floats) -> Pixels:
    """Return a picture [H, W, 3] in 0..1 as uint8, rounded, as the networks read it."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def frames(image: torch.Tensor, argument: str) -> Iterator[Pixels]:
    """Yield the pictures of an IMAGE as uint8 [H, W, 3], one at a time."""
    return map(pixels, arrays(image, argument))


def image(pictures: Iterable[Pixels]) -> torch.Tensor:
    """Return pictures uint8 [H, W, 3] of one size as an IMAGE."""
    import torch

    return torch.from_numpy(np.stack([picture.astype(np.float32) / np.float32(255) for picture in pictures]))


def mask(masks: Sequence[Mask]) -> torch.Tensor:
    """Return masks bool [H, W] of one size as a MASK of zeros and ones."""
    import torch

    return torch.from_numpy(np.stack(masks).astype(np.float32))


def merged(target: torch.Tensor, results: Sequence[Result]) -> torch.Tensor:
    """Return results as an IMAGE: wherever nothing was pasted, it has the target's own numbers.

    These need not be multiples of 1/255: pictures may come from a decoder and not from a file.
    """
    import torch

    pictures = arrays(target, "target").copy()
    for picture, result in zip(pictures, results, strict=True):
        changed = result.changed
        picture[changed] = result.image[changed].astype(np.float32) / np.float32(255)
    return torch.from_numpy(pictures)


def mask_arrays(mask: torch.Tensor, argument: str) -> Floats:
    """Return a MASK as an array [B, h, w]; [h, w] is one mask. Raises ArgumentError for other shapes."""
    array: Floats = mask.detach().cpu().float().numpy()
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise ArgumentError(f"{argument}: expected a MASK [B, h, w], got shape {list(array.shape)}")
    return array


def per_picture(values: Sequence[Any], count: int, argument: str) -> list[Any]:
    """Return one value for every picture of a batch, from as many or from one. Raises ArgumentError."""
    if len(values) not in (1, count):
        raise ArgumentError(
            f"{argument}: expected 1 or {count}, one for every picture of the batch, got {len(values)}"
        )
    return list(values) * count if len(values) == 1 else list(values)
