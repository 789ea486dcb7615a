"""Clips for tests of video, made by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

BASE = Fraction(1, 30_000)
STEP = 1001


def pictures(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    """Draw a gradient over which a square moves; frames can be told apart by it."""
    rows, columns = np.indices((height, width))
    ground = np.stack([columns * 255 // width, rows * 255 // height, np.full_like(rows, 90)], 2)
    drawn = []
    for number in range(count):
        picture = ground.astype(np.uint8)
        left = 4 + number * 3 % (width - 24)
        picture[20:36, left : left + 16] = (200, 40, 30)
        drawn.append(picture)
    return drawn


def write(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    audio: str | None = None,
    rotation: int = 0,
    tags: tuple[int, int] | None = (1, 1),
) -> Path:
    """Write a clip. times: pts in units of BASE. audio: codec of a tone as long as the clip.

    tags: range and matrix.
    """
    times = [number * STEP for number in range(len(images))] if times is None else times
    options = {"crf": "10"} if codec.startswith("libx26") else {}
    with av.open(str(path), "w", options={"video_track_timescale": "30000"}) as container:
        stream = container.add_stream(codec, rate=Fraction(30_000, 1001), options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = stream.time_base = BASE
        if tags:
            stream.codec_context.color_range, stream.codec_context.colorspace = tags
        if rotation:
            stream.set_display_rotation(rotation)
        sound = container.add_stream(audio, rate=48_000) if audio else None
        for time, image in zip(times, images, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=1, src_color_range=2, dst_color_range=1)
            frame.pts, frame.time_base = time, BASE
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
        if sound is not None:
            _write_tone(container, sound, float((times[-1] + STEP) * BASE))
    return path


def _write_tone(container, sound, seconds: float) -> None:
    wave = np.sin(np.arange(int(seconds * 48_000)) * (2 * np.pi * 440 / 48_000)).astype(np.float32)
    for first in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        for packet in sound.encode(frame):
            container.mux(packet)
    for packet in sound.encode(None):
        container.mux(packet)


def packets(path: Path, kind: str = "audio") -> list[tuple[Fraction, bytes]]:
    """Return the time and bytes of every packet of a file's first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(one for one in container.streams if one.type == kind)
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def times(path: Path) -> list[Fraction]:
    """Return the times of a clip's frames, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def planes(path: Path) -> list[np.ndarray]:
    """Return the samples of a clip's frames."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]
