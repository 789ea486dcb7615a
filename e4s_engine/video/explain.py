"""Sheets for people: the faces of a clip, and what was steadied in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from e4s_engine.photo import align, border, sheets
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels
from e4s_engine.video.clip import Clip
from e4s_engine.video.track import Track

if TYPE_CHECKING:
    from e4s_engine.video.video import Video

_MOST = 8  # tracks of a plot's sheet
_MOMENTS = 4  # of each track
_PLOT = (384, 240)
_PAPER, _BEFORE, _AFTER, _INK = (24, 24, 28), (120, 120, 130), (255, 150, 60), (235, 235, 235)


def contact_sheet(video: Video) -> Pixels:
    """Show the faces of a clip, one row per track, as uint8 [H, W, 3]."""
    wanted = [(track, frame) for track in video.tracks for frame in _moments(track)]
    pictures = _crops(video, wanted)
    rows = []
    for track in video.tracks:
        row = [
            (f"track {track.number}, frame {frame}", pictures[track.number, frame])
            for frame in _moments(track)
        ]
        rows.append(row)
    return sheets.sheet(rows or [[("no faces", np.zeros((64, 64, 3), np.uint8))]])


def sheet(video: Video, saved: Path, parse: Callable[..., Labels]) -> Pixels:
    """Show a swap's most prominent track in pictures and labels, and plots of how every track was smoothed.

    saved: the finished clip. parse: function that finds the regions of an aligned crop.
    """
    chosen = [track for track in video.tracks if track.number in video.chosen]
    tracks = sorted(chosen, key=lambda track: -track.weight)[:_MOST]
    if not tracks:
        return sheets.sheet([[("nobody was swapped", np.zeros((64, 64, 3), np.uint8))]])
    steady = video.steady
    track = tracks[0]
    smooth = track.steadied(steady.centre, steady.axes)
    moments = _moments(track)
    before = _crops(video, [(smooth, frame) for frame in moments])
    after = _finished(saved, smooth, moments)
    rows: list[list[sheets.Panel]] = [[(f"frame {i}", before[track.number, i]) for i in moments]]
    parsed = [(i, parse(before[track.number, i], align=False)) for i in moments]
    rows.append([(f"parsed, frame {i}", sheets.overlay(before[track.number, i], one)) for i, one in parsed])
    rows.append([(f"swapped, frame {i}", after[i]) for i in moments if i in after])
    rows += [
        [(f"track {one.number}: {name}", picture) for name, picture in plots(one, steady.centre, steady.axes)]
        for one in tracks
    ]
    return sheets.sheet([row for row in rows if row])


def plots(track: Track, centre: float, axes: float) -> list[tuple[str, Pixels]]:
    """Return plots of a track's centre, side and tilt over its frames, before (grey) and after smoothing."""
    smooth = track.steadied(centre, axes)
    return [
        (name, _plot(before, after))
        for (name, before), (_, after) in zip(_series(track), _series(smooth), strict=True)
    ]


def _series(track: Track) -> list[tuple[str, npt.NDArray[np.float64]]]:
    middle, across = track.quads.mean(1), track.quads[:, 3] - track.quads[:, 0]
    tilt = np.degrees(np.unwrap(np.arctan2(across[:, 1], across[:, 0])))
    sides = np.hypot(*across.T)
    return [
        ("x, pixels", middle[:, 0]),
        ("y, pixels", middle[:, 1]),
        ("side, pixels", sides),
        ("tilt, degrees", tilt),
    ]


def _plot(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> Pixels:
    width, height = _PLOT
    canvas = Image.new("RGB", _PLOT, _PAPER)
    draw = ImageDraw.Draw(canvas)
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    scale = (height - 40) / max(high - low, 1e-9)
    for series, colour, thick in ((before, _BEFORE, 1), (after, _AFTER, 2)):
        x = np.linspace(10, width - 10, len(series))
        y = height - 20 - (series - low) * scale
        points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        if len(points) > 1:
            draw.line(points, fill=colour, width=thick)
    draw.text((4, 2), f"{high:.1f}", fill=_INK)
    draw.text((4, height - 14), f"{low:.1f}", fill=_INK)
    return np.array(canvas)


def _moments(track: Track) -> list[int]:
    """Return some frames of a track in which it is seen, evenly through it."""
    seen = np.flatnonzero(track.seen)
    picked = np.linspace(0, len(seen) - 1, min(_MOMENTS, len(seen))).round().astype(int)
    return [int(track.first + seen[i]) for i in picked]


def _crops(video: Video, wanted: Sequence[tuple[Track, int]]) -> dict[tuple[int, int], Pixels]:
    """Return the aligned crops of tracks in frames."""
    by_frame: dict[int, list[Track]] = {}
    for track, frame in wanted:
        by_frame.setdefault(frame, []).append(track)
    found = {}
    for one in video.frames():
        for track in by_frame.pop(one.number, []):
            found[track.number, one.number] = _cut(one.pixels, track, one.number)
        if not by_frame:
            break
    return found


def _cut(pixels: Pixels, track: Track, frame: int) -> Pixels:
    return border.reflected(align.cut(pixels, track.quads[frame - track.first])).image


def _finished(saved: Path, track: Track, moments: Sequence[int]) -> dict[int, Pixels]:
    """Return a track's crops in frames of the finished clip."""
    found = {}
    for frame in Clip(saved).frames():
        if frame.number in moments:
            found[frame.number] = _cut(frame.pixels, track, frame.number)
    return found
