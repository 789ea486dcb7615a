"""`e4s video`: a face, or some regions of it, into the people of a clip."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli import clips, engines, files, flags, marking, outputs, progress
from e4s_engine.errors import ArgumentError, OutputError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.video.track import Track
    from e4s_engine.video.video import Video

HELP = "put a face, or some regions of it, into the people of a clip"

_WITHOUT = ("faces", "align", "full_face")  # options of photos: here tracks are chosen, and always aligned


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("source", metavar="SOURCE", nargs="?", help="photo to take the face from")
    command.add_argument(
        "clip", metavar="CLIP", help="video, GIF, folder of pictures, or a pattern such as frames/%%05d.png"
    )
    command.add_argument(
        "--faces",
        dest="list_faces",
        action="store_true",
        help="list the faces of CLIP with the numbers by which --track chooses them; OUT is a contact sheet",
    )
    flags.add_regions(command, False, "regions or presets to take; default: whole face")
    command.add_argument(
        "--track",
        dest="faces",
        type=flags.faces,
        default="largest",
        metavar="WHICH",
        help="which face: largest (of every shot), all, a number, or numbers separated by commas",
    )
    command.add_argument(
        "--put",
        action="append",
        metavar="N,N=IMAGE",
        help="put another person into other tracks; SOURCE goes into those of --track",
    )
    flags.add_options(command, without=_WITHOUT)
    command.add_argument(
        "--source-face", type=flags.faces, default="largest", metavar="WHICH", help="which face of SOURCE"
    )
    command.add_argument(
        "--from", dest="start", type=_seconds, default=0.0, metavar="TIME", help="1.5 or 0:01.5"
    )
    command.add_argument("--to", dest="stop", type=_seconds, metavar="TIME", help="end before this time")
    command.add_argument("--rate", type=float, metavar="FPS", help="of folders of pictures; default: 25")
    command.add_argument(
        "-o", "--output", metavar="OUT", help=".mp4, .mov, .mkv, .webm, .gif, or a name without ending: PNGs"
    )
    flags.add_overwrite(command)
    clips.add(command)
    command.add_argument("--quality", type=int, metavar="N", help="on the encoder's scale; lower is better")
    command.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    command.add_argument("--explain", metavar="SHEET", help="also write a sheet of what was steadied")
    command.add_argument("--json", action="store_true", help="with --faces: print one object per face")
    marking.add_signature(command)
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """List the faces of a clip, or swap it."""
    if arguments.list_faces:
        return _list(arguments)
    if arguments.source is None:
        raise ArgumentError("SOURCE: give the photo to take the face from, then the clip")
    if arguments.output is None:
        raise ArgumentError("--output: name the file to write (-o out.mp4)")
    if arguments.json:
        raise ArgumentError("--json: lists faces; give --faces with it")
    output = Path(arguments.output)
    files.check_regions(arguments.regions)
    _check(arguments, output)
    with engines.engine(arguments) as engine, _bar() as bar, _video(engine, arguments, bar) as video:
        saved = video.save(
            output,
            encoder=arguments.encoder,
            quality=arguments.quality,
            audio=not arguments.no_audio,
            resume=arguments.resume,
            sign=marking.sign(arguments),
        )
        if arguments.explain:
            _explain(engine, video, saved, arguments)
    print(f"{len(video.analysis().times)} frames written to {saved}")
    return 0


def _check(arguments: Namespace, output: Path) -> None:
    """Check, before any work, that the files may be written."""
    from e4s_engine.video import ledger, saving
    from e4s_engine.video.marking import named

    if arguments.explain:
        outputs.check(arguments, {"--explain": arguments.explain})
    saving.check_place(output)
    if output.suffix:
        read = outputs.identities(outputs.inputs(arguments))
        outputs.check_free(output, "--output", read, arguments.overwrite)
    marking.check(arguments, named(output))
    unfinished = ledger.folder_of(output)
    if unfinished.exists() and not arguments.resume:
        if not arguments.overwrite:
            raise OutputError(
                f"--output: {unfinished} holds an unfinished run; --resume goes on with it, --overwrite "
                "begins anew"
            )
        clips.begin_anew(output)


def _video(engine: Engine, arguments: Namespace, bar: _Bar) -> Video:
    return engine.video(
        _source(engine, arguments),
        arguments.clip,
        arguments.regions,
        options=engines.options(arguments),
        steady=clips.steady(arguments),
        start=arguments.start,
        stop=arguments.stop,
        rate=arguments.rate,
        progress=bar.tell,
    )


def _source(engine: Engine, arguments: Namespace) -> Any:
    """Return SOURCE, or the people by the tracks that they go into."""
    person: Any = files.person(engine, arguments.source, "source", face=arguments.source_face)
    if not arguments.put:
        return person
    if isinstance(arguments.faces, str):
        raise ArgumentError(
            "--put: give --track the numbers of the tracks that SOURCE itself goes into (--track 0,2)"
        )
    people = dict.fromkeys(_numbers(arguments.faces), person)
    for item in arguments.put:
        text, separator, path = item.partition("=")
        numbers = _put(text) if separator and path else None
        if numbers is None:
            raise ArgumentError(f"--put: expected numbers of tracks and a photo, N,N=IMAGE, got {item!r}")
        twice = [number for number in numbers if number in people]
        if twice:
            raise ArgumentError(f"--put: track {twice[0]} is given to two people; every track takes one")
        people |= dict.fromkeys(numbers, files.person(engine, path, f"--put {text}"))
    arguments.faces = "largest"  # the numbers say it
    return people


def _put(text: str) -> tuple[int, ...] | None:
    """Read the tracks of a --put; None if these are no numbers."""
    try:
        which = flags.faces(text)
    except argparse.ArgumentTypeError:
        return None
    return None if isinstance(which, str) else _numbers(which)


def _numbers(which: int | tuple[int, ...]) -> tuple[int, ...]:
    return (which,) if isinstance(which, int) else which


def _list(arguments: Namespace) -> int:
    from e4s_engine.photo import images
    from e4s_engine.video import explain

    if arguments.source is not None:
        raise ArgumentError("--faces: takes the clip alone; leave out SOURCE")
    outputs.check(arguments, {"--output": arguments.output})
    with engines.engine(arguments) as engine, _bar() as bar:
        video = engine.video(
            None,
            arguments.clip,
            start=arguments.start,
            stop=arguments.stop,
            rate=arguments.rate,
            progress=bar.tell,
        )
        tracks, facts, times = video.tracks, video.facts, video.analysis().times
        assert facts is not None
        begin = int(times[0])
        unit = float(facts.time_base)
        name = engine.landmarks
        if arguments.output:
            images.write(explain.contact_sheet(video), arguments.output, "--output")
    for track in tracks:
        seconds = [(int(times[frame]) - begin) * unit for frame in (track.first, track.stop - 1)]
        print(json.dumps(_facts(track, seconds)) if arguments.json else _line(track, seconds))
    if not arguments.json:
        shots = len(video.analysis().shots)
        if len(tracks) > 1:
            print("--track N,N names those of SOURCE, --put N,N=IMAGE those of another person")
        faces = f"{len(tracks)} face{'' if len(tracks) == 1 else 's'}"
        print(f"{faces} in {len(times)} frames and {shots} shot{'s' * (shots > 1)} by {name}")
    return 0


def _line(track: Track, seconds: list[float]) -> str:
    frames = f"frames {track.first}-{track.stop - 1} ({seconds[0]:.2f}-{seconds[1]:.2f} s)"
    return (
        f"{track.number}: shot {track.shot}, {frames}, crop {track.side:.0f} wide, found in "
        f"{track.seen.mean():.0%}, score {track.score:.2f}"
    )


def _facts(track: Track, seconds: list[float]) -> dict[str, Any]:
    return {
        "number": track.number,
        "shot": track.shot,
        "first": track.first,
        "last": track.stop - 1,
        "seconds": seconds,
        "side": track.side,
        "score": track.score,
        "found": float(track.seen.mean()),
        "quads": track.quads.tolist(),
    }


def _explain(engine: Engine, video: Video, saved: Path, arguments: Namespace) -> None:
    from e4s_engine.photo import images
    from e4s_engine.video import explain

    sheet = explain.sheet(video, saved, engine.parse)
    if video.chosen:
        marking.save(sheet, arguments.explain, "sheet", sign=False)
    else:
        images.write(sheet, arguments.explain, "--explain")


class _Bar:
    """Progress bars, one for each stage."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""

    def tell(self, stage: str, done: int, total: int | None) -> None:
        """Show how many frames of a stage are done."""
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = progress.bar(total=total, initial=done - 1, unit="frame", desc=stage)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bar() -> _Bar:
    return _Bar()


def _seconds(text: str) -> float:
    """Read a time: seconds, m:s or h:m:s."""
    value = 0.0
    try:
        for part in text.split(":"):
            number = float(part)
            if number < 0:
                raise ValueError
            value = value * 60 + number
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected seconds, or minutes:seconds, got {text!r}") from None
    return value
