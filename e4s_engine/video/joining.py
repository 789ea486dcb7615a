"""Parts joined to the finished file: their packets as they are, with the clip's audio."""

from __future__ import annotations

import dataclasses
import heapq
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.errors import OutputError, VideoError
from e4s_engine.photo import images
from e4s_engine.photo.files import replacing, sync
from e4s_engine.video import frames
from e4s_engine.video.clip import Clip, Facts
from e4s_engine.video.codecs import pyav
from e4s_engine.video.marking import FRAMES, Changed, Marks
from e4s_engine.video.turn import UPRIGHT

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_CENTI = Fraction(1, 100)  # unit of times in a GIF


@dataclasses.dataclass(frozen=True)
class Piece:
    """A finished part. times: of its frames in the clip. changed: faces that were changed in it."""

    path: Path
    times: Sequence[int]
    changed: Changed = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Span:
    """Stretch of a clip in seconds; stop None: to its end."""

    start: float = 0.0
    stop: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is the whole clip, whose times then stay as they are."""
        return self.start <= 0 and self.stop is None


def check_audio(facts: Facts, suffix: str, clip: Path) -> None:
    """Raise VideoError if a container cannot hold the clip's audio as it is."""
    if suffix not in FORMATS or not facts.audio:
        return
    container = pyav().open(io.BytesIO(), "w", format=FORMATS[suffix])
    missing = [name for name in facts.audio if name not in container.supported_codecs]
    if missing:
        raise VideoError(
            f"output: {suffix} files do not hold audio in {missing[0]}, as {clip.name} has it, and audio is "
            "copied, not encoded anew; choose a file that ends in .mkv, or leave it out (audio=False)"
        )


def join(
    pieces: Sequence[Piece],
    facts: Facts,
    output: Path,
    span: Span,
    last_duration: int,
    sound: Clip | None,
    marks: Marks | None = None,
) -> None:
    """Write the finished file; one that is there is complete at every moment.

    last_duration: of the last frame, in units of the clip's time base. sound: clip whose audio it takes.
    marks: what marks it as made by a model; None: nobody was swapped.
    """
    av = pyav()
    times = [time for piece in pieces for time in piece.times]
    offset = 0 if span.whole else times[0]
    with replacing(output, "output") as temporary:
        try:
            if output.suffix.lower() == ".gif":
                _write_gif(pieces, facts, temporary, offset, last_duration)
            else:
                edges = offset, last_duration
                suffix = output.suffix.lower()
                _mux(pieces, facts, temporary, edges, (sound, span.whole), suffix, marks)
            if marks is not None:
                marks.write(temporary)
            sync(temporary)  # the parts that it is made of are deleted next
        except av.error.FFmpegError as error:
            raise OutputError(f"output: cannot write {output}: {error.strerror or error}") from error


def _mux(
    pieces: Sequence[Piece],
    facts: Facts,
    output: Path,
    edges: tuple[int, int],
    audio: tuple[Clip | None, bool],
    suffix: str,
    marks: Marks | None,
) -> None:
    """Write packets of parts and audio. edges: time of the first frame, duration of the last.

    audio: clip that has it, and whether all of it is wanted.
    """
    av = pyav()
    sound, whole = audio
    unit = str(facts.time_base.denominator)
    # Edit lists are in units of the movie: the usual milliseconds would cut the last frame.
    options = {"movflags": "faststart", "video_track_timescale": unit, "movie_timescale": unit}
    is_iso = FORMATS[suffix] in ("mp4", "mov")
    with av.open(str(output), "w", format=FORMATS[suffix], options=options if is_iso else {}) as container:
        with av.open(str(pieces[0].path)) as first:
            stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
        if marks is not None and not is_iso:
            container.metadata.update(marks.tags())
        if stream.codec_context.name == "hevc" and is_iso:
            stream.codec_context.codec_tag = "hvc1"  # the form that Apple's players take
        stream.time_base = facts.time_base
        if facts.matrix != UPRIGHT:
            stream.set_display_matrix(list(facts.matrix))
        video = _video_packets(pieces, stream, facts.time_base, *edges)
        if sound is None:
            for _, _, packet in video:
                container.mux_one(packet)
            return
        with sound.audio() as source:
            container.metadata.update({**source.metadata, **container.metadata})
            outputs = {
                one.index: container.add_stream_from_template(one, opaque=True)
                for one in source.streams.audio
            }
            times = [time for piece in pieces for time in piece.times]
            heard = None if whole else (edges[0], times[-1] + edges[1])
            packets = _audio_packets(source, outputs, facts.time_base, heard)
            for _, _, packet in heapq.merge(video, packets, key=lambda item: item[:2]):
                container.mux_one(packet)


def _video_packets(
    pieces: Sequence[Piece], stream: Any, time_base: Fraction, offset: int, last_duration: int
) -> Iterator[tuple[float, int, Any]]:
    """Yield (seconds, 0, packet) in the order of decoding.

    Every part's encoder began its decoding times anew, so they are set here: the i-th packet is decoded at
    the time of the (i - delay)-th frame.
    """
    av = pyav()
    times = [time - offset for piece in pieces for time in piece.times]
    ends = [*times[1:], times[-1] + last_duration]
    orders = [_order(piece) for piece in pieces]
    delay = max(i - place for order in orders for i, place in enumerate(order))
    step = max(1, (times[-1] - times[0]) // max(len(times) - 1, 1))
    first = 0
    for piece, order in zip(pieces, orders, strict=True):
        with av.open(str(piece.path)) as part:
            packets = (packet for packet in part.demux(part.streams.video[0]) if packet.size)
            for i, (packet, place) in enumerate(zip(packets, order, strict=True)):
                rank, number = first + i - delay, first + place
                packet.pts = times[number]
                packet.dts = times[rank] if rank >= 0 else times[0] + rank * step
                packet.duration = ends[number] - times[number]
                packet.time_base = time_base
                packet.stream = stream
                yield float(packet.dts * time_base), 0, packet
        first += len(order)


def _order(piece: Piece) -> list[int]:
    """Return for every packet of a part, in the order of decoding, the place at which it is shown."""
    with pyav().open(str(piece.path)) as part:
        shown = [packet.pts for packet in part.demux(part.streams.video[0]) if packet.size]
    if len(shown) != len(piece.times):
        raise OutputError(f"output: {piece.path} holds {len(shown)} frames, not {len(piece.times)}")
    places = sorted(range(len(shown)), key=shown.__getitem__)
    return np.argsort(places).tolist()


def _audio_packets(
    source: Any, outputs: dict[int, Any], time_base: Fraction, stretch: tuple[int, int] | None
) -> Iterator[tuple[float, int, Any]]:
    """Yield (seconds, 1, packet) of a clip's audio.

    stretch: times of its video between which it is wanted, the first becoming 0; None: all of it, as it is.
    """
    begin, end = (Fraction(0), None) if stretch is None else (time * time_base for time in stretch)
    for packet in source.demux(source.streams.audio):
        if packet.pts is None or not packet.size:
            continue
        unit = packet.time_base
        heard = packet.pts * unit
        # The packet before the first sound is kept, too: decoders begin with it, and players skip it.
        if end is not None and (heard + 2 * (packet.duration or 0) * unit <= begin or heard >= end):
            continue
        shift = round(begin / unit)
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = outputs[packet.stream.index]
        yield float((packet.dts if packet.dts is not None else packet.pts) * unit), 1, packet


def decoded(pieces: Sequence[Piece], facts: Facts) -> Iterator[tuple[int, Any]]:
    """Yield the time in the clip and the pixels [H, W, 3], upright, of all frames of parts."""
    for piece in pieces:
        with pyav().open(str(piece.path)) as part:
            natives = part.decode(part.streams.video[0])
            for time, native in zip(piece.times, natives, strict=True):
                yield time, frames.to_pixels(native, facts.turn)[: _shown(facts)[0], : _shown(facts)[1]]


def _shown(facts: Facts) -> tuple[int, int]:
    """Return height and width of a clip's upright pictures."""
    sides = facts.height, facts.width
    return sides[::-1] if facts.turn.transpose else sides


def _write_gif(pieces: Sequence[Piece], facts: Facts, output: Path, offset: int, last_duration: int) -> None:
    """Write a GIF: every frame with a palette of its own, times to the hundredth of a second."""
    av = pyav()
    times = [time for piece in pieces for time in piece.times]
    with av.open(str(output), "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=min(facts.rate, Fraction(50)))
        stream.height, stream.width = _shown(facts)
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = stream.time_base = _CENTI
        graph = _palette_graph(stream.width, stream.height)
        last = -1
        for time, pixels in decoded(pieces, facts):
            frame = graph_out(graph, np.ascontiguousarray(pixels))
            frame.pts = last = max(round((time - offset) * facts.time_base / _CENTI), last + 1)
            frame.time_base = _CENTI
            end = round((time + last_duration - offset) * facts.time_base / _CENTI)
            for packet in stream.encode(frame):
                if time == times[-1]:
                    packet.duration = max(end - last, 1)
                container.mux_one(packet)
        for packet in stream.encode(None):
            container.mux_one(packet)


def _palette_graph(width: int, height: int) -> Any:
    av = pyav()
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=_CENTI)
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def graph_out(graph: Any, pixels: Any) -> Any:
    """Return a picture through a filter graph."""
    frame = pyav().VideoFrame.from_ndarray(pixels, format="rgb24")
    graph.push(frame)
    return graph.pull()


def write_pictures(pieces: Sequence[Piece], facts: Facts, folder: Path, marks: Marks | None) -> None:
    """Write the frames as pictures, 000000 and so on, into a new folder. marks: see `join`."""
    packet, finish = (None, None) if marks is None else (marks.xmp, marks.finish)
    folder.mkdir()
    for number, (_, pixels) in enumerate(decoded(pieces, facts)):
        path = folder / f"{number:06d}{FRAMES}"
        images.write(pixels, path, "output", xmp=packet, finish=finish)
        sync(path)
