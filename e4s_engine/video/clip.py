"""Clips to read: video files, GIFs, folders of pictures. Frames are decoded one by one."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.errors import VideoError
from e4s_engine.photo import images, opening
from e4s_engine.photo.files import impostor
from e4s_engine.video.codecs import pyav
from e4s_engine.video.frames import FULL, UNKNOWN, Colours, Frame
from e4s_engine.video.turn import UPRIGHT, Turn

logger = logging.getLogger("e4s_engine")

RATE = Fraction(25)  # frames per second of pictures that have no times


@dataclasses.dataclass(frozen=True)
class Facts:
    """Properties of a clip.

    width, height: of stored pictures. time_base: unit of times, in seconds. rate: average frames per second.
    count: about how many frames there are; None: unknown. pix_fmt: FFmpeg's pixel format. bits: per channel.
    start: time of the first frame, in units of the time base. matrix: display matrix. aspect: width over
    height of a pixel. audio: names of the audio streams' codecs.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    count: int | None
    pix_fmt: str
    bits: int
    colours: Colours
    start: int = 0
    matrix: tuple[int, ...] = UPRIGHT
    aspect: Fraction = Fraction(1)
    audio: tuple[str, ...] = ()

    @property
    def turn(self) -> Turn:
        """How stored pictures are displayed."""
        return Turn.of_matrix(self.matrix)


class Clip:
    """A video file or GIF, or a folder or pattern ("frames/%05d.png") of pictures."""

    def __init__(
        self, path: str | os.PathLike[str], argument: str = "clip", rate: float | Fraction | None = None
    ) -> None:
        """Read the facts of a clip. rate: frames per second of pictures; 25 by default.

        Raises VideoError, or BackendError without PyAV.
        """
        self.path, self.argument = Path(path), argument
        self.pictures = _pictures(self.path, argument)
        if self.pictures is not None:
            self.facts = _facts_of_pictures(self.pictures, argument, rate)
            return
        if rate is not None:
            raise VideoError(f"rate: is for folders of pictures; {self.path.name} has times of its own")
        with self._open() as container:
            self.facts = _facts(container, argument, self.path)

    def frames(self, first_pts: int | None = None, number: int = 0) -> Iterator[Frame]:
        """Yield frames in the order of display.

        first_pts: time from which on, in units of the time base; None: all. number: of the first frame.
        """
        if self.pictures is not None:
            yield from self._of_pictures(first_pts, number)
            return
        last: int | None = None
        natives = self._decoded(first_pts)
        if first_pts is not None and first_pts > self.facts.start:
            natives = self._from_before(natives, first_pts)
        for native in natives:
            duration = int(native.duration or 0) or round(1 / (self.facts.rate * self.facts.time_base))
            pts = native.pts
            if pts is None or (last is not None and pts <= last):  # a damaged or hand-made file
                pts = 0 if last is None else last + duration
            last = pts
            self._tag(native)
            if first_pts is not None and pts < first_pts:
                continue
            yield Frame(number, pts, duration, native, self.facts.turn)
            number += 1

    def _from_before(self, natives: Iterator[Any], first_pts: int) -> Iterator[Any]:
        """Yield frames that begin at a time or before it; where seeking went beyond it, all of them."""
        first = next(natives, None)
        if first is not None and first.pts is not None and first.pts <= first_pts:
            yield first
            yield from natives
        else:
            yield from self._decoded(None)

    def _tag(self, native: Any) -> None:
        """Give a frame the colour tags that only the file's header has: some decoders do not pass them on."""
        tags = self.facts.colours
        native.color_range, native.colorspace = tags.range, tags.matrix
        native.color_primaries, native.color_trc = tags.primaries, tags.transfer

    def audio(self) -> Any:
        """Return the opened container to copy audio from."""
        return self._open()

    def _open(self) -> Any:
        av = pyav()
        if not self.path.is_file():
            what = "is not a file" if self.path.exists() else "no such file"
            raise VideoError(f"{self.argument}: {what}: {self.path}")
        try:
            with self.path.open("rb") as file:
                wrong = impostor(file.read(1024))
            if wrong:
                raise VideoError(f"{self.argument}: {self.path} is {wrong}")
            return av.open(str(self.path))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, VideoError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise VideoError(
                f"{self.argument}: {self.path} is no clip that can be read ({reason}); a recording "
                "that was cut off may be repaired with other programs"
            ) from error

    def _decoded(self, first_pts: int | None) -> Iterator[Any]:
        """Yield the decoder's frames; damaged packets are left out, with a warning."""
        av = pyav()
        damaged = False
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if first_pts is not None:
                with contextlib.suppress(av.error.FFmpegError):  # some files cannot seek
                    container.seek(first_pts, stream=stream, backward=True)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    natives = [] if packet is None else packet.decode()
                except av.error.EOFError:
                    break
                except av.error.FFmpegError as error:
                    if not damaged:
                        logger.warning(
                            "%s: %s is damaged (%s); what can be read of it is", self.argument, self.path,
                            error.strerror,
                        )  # fmt: skip
                    if isinstance(error, OSError):
                        break
                    damaged = True
                    continue
                if packet is None:
                    break
                yield from natives

    def _of_pictures(self, first_pts: int | None, number: int) -> Iterator[Frame]:
        assert self.pictures is not None
        for pts in range(first_pts or 0, len(self.pictures)):
            path = self.pictures[pts]
            pixels = images.read(path, f"{self.argument} {path.name}")
            _check_size(pixels, self.facts, f"{self.argument} {path.name}")
            yield Frame(number, pts, 1, array=pixels)
            number += 1


def _check_size(pixels: Any, facts: Facts, argument: str) -> None:
    if pixels.shape[:2] != (facts.height, facts.width):
        raise VideoError(
            f"{argument}: {pixels.shape[1]} x {pixels.shape[0]} pixels, the first picture has "
            f"{facts.width} x {facts.height}; all must have one size"
        )


def _pictures(path: Path, argument: str) -> list[Path] | None:
    """Return the pictures of a folder or a pattern, in order; None for a single file."""
    if path.is_dir():
        listed = [one for one in path.iterdir() if one.suffix.lower() in opening.SUFFIXES]
        listed = sorted((one for one in listed if not one.name.startswith(".")), key=_by_number)
    elif "%" in path.name and not path.exists():
        listed = _numbered(path, argument)
    else:
        return None
    if not listed:
        raise VideoError(f"{argument}: {path} holds no pictures")
    return listed


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return what sorts 2.png before 10.png."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", path.name)]


def _numbered(path: Path, argument: str) -> list[Path]:
    """Return the files that a pattern such as "%05d.png" names, from the first number below 1000 on."""
    try:
        names = [path.with_name(path.name % number) for number in range(1000)]
    except (TypeError, ValueError) as error:
        raise VideoError(f"{argument}: expected a pattern such as %05d.png, got {path.name}") from error
    number = next((number for number, name in enumerate(names) if name.is_file()), None)
    listed: list[Path] = []
    while number is not None and (name := path.with_name(path.name % number)).is_file():
        if listed and name == listed[-1]:
            raise VideoError(
                f"{argument}: expected a pattern with one number such as %05d.png, got {path.name}"
            )
        listed.append(name)
        number += 1
    if number is not None:
        _check_gap(path, number, argument)
    return listed


def _check_gap(path: Path, missing: int, argument: str) -> None:
    """Raise VideoError if a pattern names files beyond the first that is missing."""
    pattern = r"(\d+)".join(map(re.escape, re.split(r"%\d*[di]", path.name, maxsplit=1)))
    numbers = [re.fullmatch(pattern, file.name) for file in path.parent.iterdir()]
    later = [int(found[1]) for found in numbers if found and int(found[1]) > missing]
    if later:
        raise VideoError(
            f"{argument}: {path.name % missing} is missing, though there are pictures up to "
            f"{path.name % max(later)}; number them without gaps, or give the folder for all of its pictures"
        )


def _facts_of_pictures(pictures: list[Path], argument: str, rate: float | Fraction | None) -> Facts:
    frames = RATE if rate is None else Fraction(rate).limit_denominator(100_000)
    if frames <= 0:
        raise VideoError(f"rate: expected frames per second above 0, got {rate}")
    height, width = images.read(pictures[0], f"{argument} {pictures[0].name}").shape[:2]
    return Facts(width, height, 1 / frames, frames, len(pictures), "rgb24", 8, Colours())


def _facts(container: Any, argument: str, path: Path) -> Facts:
    if not container.streams.video:
        raise VideoError(f"{argument}: {path} holds no video")
    stream = container.streams.video[0]
    context = stream.codec_context
    native = next(_first(container, stream), None)
    if native is None:
        raise VideoError(f"{argument}: {path} holds no frame that can be decoded")
    pix_fmt = native.format.name
    limits = int(native.color_range) or int(context.color_range)
    matrix, primaries, transfer = (
        int(getattr(context if int(getattr(native, name)) == UNKNOWN else native, name))
        for name in ("colorspace", "color_primaries", "color_trc")
    )
    colours = Colours(FULL if pix_fmt.startswith("yuvj") else limits, matrix, primaries, transfer)
    return Facts(
        native.width,
        native.height,
        stream.time_base,
        stream.average_rate or stream.guessed_rate or RATE,
        stream.frames or _estimate(container, stream),
        pix_fmt,
        max(part.bits for part in native.format.components),
        colours,
        int(native.pts or 0),
        _display_matrix(native),
        context.sample_aspect_ratio or Fraction(1),
        tuple(str(one.codec_context.name) for one in container.streams.audio),
    )


def _first(container: Any, stream: Any) -> Iterator[Any]:
    """Yield frames up to the first damaged packet."""
    try:
        yield from container.decode(stream)
    except pyav().error.FFmpegError:
        return


def _estimate(container: Any, stream: Any) -> int | None:
    rate = stream.average_rate or stream.guessed_rate
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1e6
    else:
        return None
    return max(1, round(seconds * float(rate))) if rate else None


def _display_matrix(native: Any) -> tuple[int, ...]:
    data = native.side_data.get("DISPLAYMATRIX")
    if data is None or len(bytes(data)) != 36:
        return UPRIGHT
    return tuple(int(value) for value in np.frombuffer(bytes(data), np.int32))
