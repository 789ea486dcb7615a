"""Parts of a clip: runs of frames, each encoded by itself, so that an interrupted run loses one part."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from e4s_engine.errors import BackendError, OutputError
from e4s_engine.photo.files import rename, sync
from e4s_engine.photo.images import Pixels
from e4s_engine.video import codecs, frames
from e4s_engine.video.clip import Facts
from e4s_engine.video.codecs import Encoder, pyav
from e4s_engine.video.frames import BT709, FULL, LIMITED, Colours, Frame

LENGTH = 48  # frames of a part: what an interrupted run does again


@dataclasses.dataclass(frozen=True)
class Form:
    """How frames are encoded. facts: of the clip that they come from."""

    encoder: Encoder
    options: Mapping[str, str]
    facts: Facts

    @property
    def pix_fmt(self) -> str:
        """Pixel format of the encoded frames."""
        return codecs.format_of(self.encoder, self.facts.pix_fmt, self.facts.bits)

    @property
    def colours(self) -> Colours:
        """Colour tags: those of the clip; BT.709 for pictures that become YUV."""
        if codecs.is_bare(self.facts.pix_fmt) and not codecs.is_bare(self.pix_fmt):
            return Colours(LIMITED, BT709, BT709, BT709)
        return self.facts.colours

    @property
    def matrix(self) -> int:
        """Colour matrix that converts between pixels and samples."""
        return frames.matrix_of(self.colours.matrix, self.facts.height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of encoded frames."""
        odd = 1 if self.encoder.even else 0
        return self.facts.width + (self.facts.width & odd), self.facts.height + (self.facts.height & odd)

    def encoded(self, frame: Frame, image: Pixels | None) -> Any:
        """Return a frame for the encoder. image: what it shall show, upright; None: what it shows."""
        full = self.colours.range == FULL
        if frame.native is None:
            shown = frame.pixels if image is None else image
            return self._even(
                frames.from_pixels(np.ascontiguousarray(shown), self.pix_fmt, self.matrix, full)
            )
        native = frames.in_format(frame.native, self.pix_fmt, self.matrix, full)
        if image is None:
            return self._even(native)
        before, after = frame.turn.stored(frame.pixels), frame.turn.stored(image)
        if codecs.is_bare(self.pix_fmt):
            return self._even(frames.from_pixels(after, self.pix_fmt, self.matrix, full))
        return self._even(frames.with_changes(native, before, after, self.matrix, full))

    def _even(self, native: Any) -> Any:
        """Return a frame whose odd sides are longer by one row or column, the last one repeated."""
        width, height = self.size
        if (native.width, native.height) == (width, height):
            return native
        result = pyav().VideoFrame(width, height, native.format.name)
        for plane, own in zip(result.planes, native.planes, strict=True):
            old = frames.samples(own)
            more = [(0, plane.height - own.height), (0, plane.width - own.width)]
            frames.samples(plane)[:] = np.pad(old, more, mode="edge")
        return result


class Part:
    """File of one part. It has its name only once it is whole and on the disk."""

    def __init__(self, path: Path, form: Form) -> None:
        """Open the encoder. Raises BackendError if it refuses."""
        self.path, self.form = path, form
        self.times: list[int] = []
        self._temporary = path.with_name(f"{path.stem}.partial{path.suffix}")
        av = pyav()
        facts = form.facts
        # MP4 keeps times exactly, by which reordered frames are told, but only complete sets of colour tags.
        # FFV1 reorders nothing, and has no tags in its own stream.
        unit = {"video_track_timescale": str(facts.time_base.denominator)}
        kind = ("matroska", {}) if form.encoder is codecs.LOSSLESS else ("mp4", unit)
        try:
            self._container = av.open(str(self._temporary), "w", format=kind[0], options=kind[1])
            stream = self._container.add_stream(
                form.encoder.library, rate=facts.rate, options=dict(form.options)
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise OutputError(f"output: cannot write {path.parent}: {error}") from error
        stream.width, stream.height = form.size
        stream.pix_fmt = form.pix_fmt
        context = stream.codec_context
        context.time_base = stream.time_base = facts.time_base
        context.sample_aspect_ratio = facts.aspect
        tags = form.colours
        context.color_range, context.colorspace = tags.range, tags.matrix
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        self._stream = stream

    def add(self, native: Any, pts: int) -> None:
        """Encode a frame. pts: its time in the clip."""
        self.times.append(pts)
        native.pts, native.time_base = pts - self.times[0], self.form.facts.time_base
        native.pict_type = 0
        tags = self.form.colours
        native.color_range, native.colorspace = tags.range, tags.matrix
        native.color_primaries, native.color_trc = tags.primaries, tags.transfer
        self._mux(native)

    def finish(self) -> None:
        """Write what is left, and give the file its name."""
        self._mux(None)
        try:
            self._container.close()
            sync(self._temporary)
            rename(self._temporary, self.path)
        except (pyav().error.FFmpegError, OSError) as error:  # a full disk is often first seen here
            raise OutputError(f"output: cannot write {self.path}: {error.strerror or error}") from error

    def _mux(self, native: Any) -> None:
        av = pyav()
        try:
            for packet in self._stream.encode(native):
                self._container.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise OutputError(f"output: cannot write {self.path}: {error.strerror}") from error
            raise BackendError(
                f"encoder: {self.form.encoder.library} refuses frames of {self.form.size[0]} x "
                f"{self.form.size[1]} in {self.form.pix_fmt}: {error.strerror}"
            ) from error

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._drop()
            return
        try:
            self.finish()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        with contextlib.suppress(pyav().error.FFmpegError):  # a container without frames has no header
            self._container.close()
        self._temporary.unlink(missing_ok=True)
