"""Speed of swapped clips, end to end, against the sum of the stages and against one swap after the other.

The clip is rendered or given. Stages are timed one by one, on the same frames: reading, following faces,
networks and paste, encoding. "frame by frame" is `engine.swap` on every frame, with its own look for
faces. Both passes of `Video.save` count as end to end. Peak memory is the process's.

    python -m benchmarks.video                                  a rendered clip of 48 frames, 1280 x 720
    python -m benchmarks.video --clip holiday.mp4 --frames 96 --json
    python -m benchmarks.video --memory 2000 --json             memory over a long clip, by hundreds of frames
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import machine
from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.errors import DemoModelWarning
from e4s_engine.photo.images import Pixels
from e4s_engine.synth import motion
from e4s_engine.video import saving
from e4s_engine.video.clip import Clip
from e4s_engine.video.codecs import pyav
from e4s_engine.video.parts import Part

WIDTH, HEIGHT, FACE = 1280, 720, 560  # of the rendered clip, and of the film in its middle


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    warnings.simplefilter("ignore", DemoModelWarning)
    with tempfile.TemporaryDirectory() as folder, Engine(arguments.weights) as engine:
        place = Path(folder)
        portrait = synth.render(synth.person(12), synth.scene(12), 512).image
        if arguments.memory:
            facts = _memory(engine, portrait, place, arguments.memory)
        else:
            clip = arguments.clip or render(place / "clip.mp4", arguments.frames)
            facts = _speed(engine, portrait, Path(clip), place, arguments.frames)
    for name, value in facts.items():
        print(f"{name:28}{value:10.3f}" if isinstance(value, float) else f"{name:28}{value!s:>10}")
    if arguments.json:
        print(json.dumps({**facts, "machine": machine.describe()}))
    return 0


def render(path: Path, count: int) -> Path:
    """Write a clip of a rendered person who moves, before a grey wall."""
    shots = motion.film(synth.person(7), motion.scenes(7, min(count, 24)), FACE // 2, supersample=2)
    film = [_framed(shot.picture.image) for shot in shots]
    return write(path, [film[i % len(film)] for i in range(count)])


def write(path: Path, frames: list[Pixels]) -> Path:
    """Write pictures as a clip of 25 frames a second."""
    av = pyav()
    with av.open(str(path), "w") as container:
        options = {"crf": "16", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _framed(picture: Pixels) -> Pixels:
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    large = np.array(Image.fromarray(picture).resize((FACE, FACE), Image.Resampling.LANCZOS))
    top, left = (HEIGHT - FACE) // 2, (WIDTH - FACE) // 2
    frame[top : top + FACE, left : left + FACE] = large
    return frame


def _speed(engine: Engine, portrait: Pixels, clip: Path, place: Path, count: int) -> dict[str, Any]:
    source = engine.encode(portrait, align=False)
    stop = count / float(Clip(clip).facts.rate)
    engine.swap(source, next(Clip(clip).frames()).pixels)  # plans are made
    list(engine.video(source, [next(Clip(clip).frames()).pixels] * 9))
    video = engine.video(source, clip, stop=stop)
    frames = list(video.frames())
    seconds = {
        "read": _seconds(lambda: [frame.pixels for frame in video.frames()]),
        "faces": _seconds(video.analysis),
        "swap": _seconds(lambda: list(video)),
    }
    results = list(video)
    form = saving.form_of(Clip(clip), place / "out.mp4", "auto", None)
    seconds["encode"] = _seconds(lambda: _encode(place / "part.mp4", form, results))
    whole = _seconds(lambda: engine.video(source, clip, stop=stop).save(place / "out.mp4"))
    alone = _seconds(lambda: [engine.swap(source, frame.pixels) for frame in frames])
    done = len(frames)
    return {
        "frames": done,
        "end_to_end_fps": done / whole,
        "sum_of_stages_fps": done / sum(seconds.values()),
        "frame_by_frame_fps": done / alone,
        "faces_and_swap_fps": done / (seconds["faces"] + seconds["swap"]),
        **{f"{name}_s_per_frame": value / done for name, value in seconds.items()},
        "ratio_to_frame_by_frame": alone / whole,
        "ratio_to_faces_and_swap": (seconds["faces"] + seconds["swap"]) / whole,
        "peak_mb": _peak(),
    }


def _encode(path: Path, form: Any, results: list[Any]) -> None:
    with Part(path, form) as part:
        for result in results:
            part.add(form.encoded(result.frame, result.image if result.tracks else None), result.frame.pts)


def _memory(engine: Engine, portrait: Pixels, place: Path, count: int) -> dict[str, Any]:
    """Measure the memory in use after every hundred frames of a clip in which a face is swapped all along."""
    frames = [np.ascontiguousarray(frame[::4, ::4]) for frame in _loop(24)]
    clip = write(place / "long.mp4", [frames[i % len(frames)] for i in range(count)])
    held: list[float] = []

    def tell(stage: str, done: int, _: int | None) -> None:
        if stage == "frames" and done % 100 == 0:
            held.append(_resident())
            print(f"{done} frames: {held[-1]:.0f} MB", file=sys.stderr)

    engine.video(portrait, clip, progress=tell).save(place / "out.mp4")
    return {"frames": count, "mb_after_100": held[0], "mb_at_the_end": held[-1], "peak_mb": _peak()}


def _loop(count: int) -> list[Pixels]:
    shots = motion.film(synth.person(7), motion.scenes(7, count), FACE // 2, supersample=1)
    return [_framed(shot.picture.image) for shot in shots]


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time swaps of a clip.")
    parser.add_argument("--weights", help="default: the bundled model")
    parser.add_argument("--clip", help="default: a rendered one")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--memory", type=int, metavar="N", help="instead: memory over a clip of N frames")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
