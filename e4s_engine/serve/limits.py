"""Limits of the service: what a request may cost, and how many may wait."""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine.errors import ArgumentError


def _limit(default: float, meaning: str, low: float, high: float) -> Any:
    """Declare a field. meaning: for the command line; low, high: the values that it may have."""
    return dataclasses.field(default=default, metadata={"meaning": meaning, "low": low, "high": high})


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a request may cost, and how many may wait.

    workers: requests that the engine works on at a time. queue: requests that wait for it; more are refused.
    seconds: time of a request from its last byte to its answer. upload_seconds: time to its last byte.
    megabytes: size of a request, in units of 2^20 bytes. megapixels: size of each picture.

    Raises ArgumentError for a value out of range.
    """

    workers: int = _limit(2, "requests that the engine works on at a time", 1, 256)
    queue: int = _limit(16, "requests that wait; more are refused with 503", 0, 10_000)
    seconds: float = _limit(60.0, "seconds from a request's last byte to its answer, else 504", 0.01, 86_400)
    upload_seconds: float = _limit(30.0, "seconds to a request's last byte, else 408", 0.01, 86_400)
    megabytes: float = _limit(32.0, "size of a request in MiB, else 413", 0.001, 1024)
    megapixels: float = _limit(25.0, "size of a picture in millions of pixels, else 413", 0.001, 89)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, low, high = getattr(self, field.name), field.metadata["low"], field.metadata["high"]
            if not low <= value <= high:
                raise ArgumentError(f"{field.name}: expected a number from {low} to {high}, got {value!r}")

    @property
    def most_bytes(self) -> int:
        """Return the size of a request in bytes."""
        return int(self.megabytes * (1 << 20))

    @property
    def most_pixels(self) -> int:
        """Return the size of a picture in pixels."""
        return int(self.megapixels * 1e6)

    @property
    def budget(self) -> int:
        """Return the bytes of all requests together that are held at a time."""
        return self.most_bytes * (self.workers + self.queue)
