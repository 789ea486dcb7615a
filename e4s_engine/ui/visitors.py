"""Visitors of the page: each has photos of their own, for a while, in memory alone."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import Callable

from e4s_engine.ui.photos import Photo
from e4s_engine.ui.refusals import NotServedError


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server takes and keeps.

    visitors: number of people with photos at one time. lifetime: seconds after a visitor's last request until
    their photos are forgotten. photos: number per visitor. pixels: of one photo. all_pixels: of one visitor's
    photos together; each takes 3 bytes, some formats 9. file_bytes: size of an uploaded file. waiting: number
    of a visitor's requests that may wait at one time. seconds: time that an upload may take.
    """

    visitors: int = 16
    lifetime: float = 3600.0
    photos: int = 8
    pixels: int = 50_000_000
    all_pixels: int = 100_000_000
    file_bytes: int = 32 << 20
    waiting: int = 16
    seconds: float = 60.0


class Visitor:
    """One person's photos. Nothing of it is shared with other visitors."""

    def __init__(self, limits: Limits) -> None:
        self.photos: dict[str, Photo] = {}
        self.seen = time.monotonic()
        self.turn = asyncio.Lock()  # a visitor's requests are done one after the other
        self.waiting = 0
        self._limits = limits

    def photo(self, name: object, about: str = "photo") -> Photo:
        """Return a photo by its name. Raises NotServedError."""
        photo = self.photos.get(name) if isinstance(name, str) else None
        if photo is None:
            raise NotServedError(404, "this photo is not here (any more); add it again", about)
        return photo

    def check_room(self, width: int, height: int) -> None:
        """Raise NotServedError unless a photo of this size may be added."""
        most = self._limits
        if len(self.photos) >= most.photos:
            raise NotServedError(413, f"at most {most.photos} photos at one time; remove one first", "photo")
        if width * height > most.pixels:
            raise NotServedError(
                413,
                f"{width} x {height} pixels, at most {most.pixels / 1e6:.0f} million are accepted here; "
                "reduce the photo first",
                "photo",
            )
        used = sum(photo.width * photo.height for photo in self.photos.values())
        if used + width * height > most.all_pixels:
            raise NotServedError(
                413,
                f"all photos together may have {most.all_pixels / 1e6:.0f} million pixels; remove one first",
                "photo",
            )

    def add(self, photo: Photo) -> str:
        """Keep a photo; return its name."""
        name = secrets.token_urlsafe(12)
        self.photos[name] = photo
        return name


class Visitors:
    """Visitors by the random value of their cookie; those who were not seen for long are forgotten."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._visitors: dict[str, Visitor] = {}
        self._clock = clock

    def __len__(self) -> int:
        return len(self._visitors)

    def known(self, cookie: str | None) -> Visitor | None:
        """Return the visitor whose cookie this is, None for any other value."""
        self.sweep()
        visitor = self._visitors.get(cookie or "")
        if visitor is not None:
            visitor.seen = self._clock()
        return visitor

    def new(self) -> tuple[str, Visitor]:
        """Return a new visitor and their cookie. Raises NotServedError if there are too many."""
        self.sweep()
        if len(self._visitors) >= self.limits.visitors:
            self._drop(lambda visitor: not visitor.photos and not visitor.waiting)
        if len(self._visitors) >= self.limits.visitors:
            raise NotServedError(
                503, f"{len(self._visitors)} people have photos here, and no more fit; try later"
            )
        cookie, visitor = secrets.token_urlsafe(32), Visitor(self.limits)
        visitor.seen = self._clock()
        self._visitors[cookie] = visitor
        return cookie, visitor

    def forget(self, cookie: str | None) -> None:
        """Drop a visitor and their photos."""
        self._visitors.pop(cookie or "", None)

    def sweep(self) -> None:
        """Drop those who were not seen for the lifetime."""
        oldest = self._clock() - self.limits.lifetime
        self._drop(lambda visitor: visitor.seen < oldest)

    def _drop(self, which: Callable[[Visitor], bool]) -> None:
        for cookie, visitor in list(self._visitors.items()):
            if which(visitor):
                del self._visitors[cookie]

    def clear(self) -> None:
        """Drop everybody."""
        self._visitors.clear()
