"""A swapped clip written to a file, part by part, so that an interrupted run can go on."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e4s_engine.errors import CancelledError, OutputError, VideoError
from e4s_engine.marks import making
from e4s_engine.marks.certificates import Signer
from e4s_engine.photo.files import check_writable
from e4s_engine.video import codecs, joining, ledger, marking, parts
from e4s_engine.video.analysis import Analysis
from e4s_engine.video.clip import Clip
from e4s_engine.video.given import Frames
from e4s_engine.video.joining import FORMATS, Piece, Span
from e4s_engine.video.ledger import Ledger
from e4s_engine.video.marking import Changed, Marks
from e4s_engine.video.parts import Form, Part

if TYPE_CHECKING:
    from e4s_engine.video.video import Video

logger = logging.getLogger("e4s_engine")


def form_of(source: Clip | Frames, output: Path, encoder: str, quality: int | None) -> Form:
    """Return how frames are encoded for a file. Raises VideoError or BackendError for what does not fit."""
    suffix = output.suffix.lower()
    if suffix in FORMATS:
        chosen = codecs.choose(encoder, suffix, source.facts.bits)
    elif suffix in (".gif", ""):
        if encoder != "auto" or quality is not None:
            raise VideoError(f"encoder, quality: {suffix or 'PNG'} has none; leave them out")
        chosen = codecs.LOSSLESS
    else:
        known = ", ".join([*FORMATS, ".gif"])
        raise VideoError(f"output: expected a file that ends in {known}, or a folder, got {output.name}")
    form = Form(chosen, codecs.options_of(chosen, quality), source.facts)
    width, height = form.size
    if (width, height) != (source.facts.width, source.facts.height):
        logger.warning(
            "output: %s takes even sizes alone; its frames are %d x %d, the last row or column repeated",
            chosen.library, width, height,
        )  # fmt: skip
    return form


def check_place(output: Path) -> None:
    """Raise OutputError for a file that cannot be written, or a folder that is not new."""
    if output.suffix:
        check_writable(output, "output")
    elif output.name in ("", ".."):
        raise OutputError(f"output: {output} is no name of a new folder; choose another")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"output: {output} exists and is no empty folder; choose another name")


def save(
    video: Video,
    source: Clip | Frames,
    output: Path,
    coding: tuple[str, int | None],
    audio: bool,
    resume: bool,
    sign: bool | Signer | None,
) -> Path:
    """Swap and write a clip; see `Video.save`. coding: encoder and quality."""
    form = form_of(source, output, *coding)
    making.check_signature(marking.named(output).suffix.lower(), sign)
    check_place(output)
    sound = source if audio and isinstance(source, Clip) and source.facts.audio else None
    if sound is not None and output.suffix.lower() in FORMATS:
        joining.check_audio(source.facts, output.suffix.lower(), sound.path)
    origin = marking.origin(source)
    book = Ledger(output, _job(video, source, form, sound is not None), resume)
    keep = video.in_file  # no later run could tell that a list has the same frames

    def finish(path: Path) -> None:
        changed = [piece.changed for piece in book.pieces]
        statement = video.statement and dataclasses.replace(video.statement, day=book.day)
        marks = marking.of_clip(statement, origin, changed, path, sign)
        _finish(book, form, path, video, sound, marks)

    try:
        analysis = _analysed(video, book)
        _write_parts(video, book, form, len(analysis.times))
        video.check_cancelled()
        finish(output)
    except (KeyboardInterrupt, CancelledError):
        keep = keep and book.faces.exists()
        _leave(book, output, video, finish)
        raise
    except OutputError as error:  # a full disk, above all
        raise OutputError(f"{error}{_kept(book)}" if keep else str(error)) from error
    except Exception:
        keep = keep and bool(book.pieces)  # else nothing was done, and something else may be asked for next
        raise
    else:
        keep = False
    finally:
        if not keep:
            book.remove()
    return output


def _kept(book: Ledger) -> str:
    return f"; {book.frames} finished frames are in {book.folder}, resume=True goes on with them"


def _job(video: Video, source: Clip | Frames, form: Form, sound: bool) -> dict[str, Any]:
    """Return what the finished file depends on."""
    clip = ledger.content(source.path) if isinstance(source, Clip) else "frames"
    coding = [form.encoder.library, dict(form.options), form.pix_fmt]
    return {
        **video.job(),
        "clip": clip,
        "rate": str(source.facts.rate),
        "encoder": coding,
        "audio": sound,
        "part": parts.LENGTH,
        "pyav": codecs.pyav().__version__,
    }


def _analysed(video: Video, book: Ledger) -> Analysis:
    if book.faces.exists():
        try:
            video.adopt(Analysis.load(book.faces))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("output: %s is damaged (%s); faces are looked for again", book.faces, error)
        else:
            return video.analysis()
    analysis = video.analysis()
    analysis.save(book.faces)
    return analysis


def _write_parts(video: Video, book: Ledger, form: Form, count: int) -> None:
    """Swap the frames that are left, and write them in parts."""
    if book.frames >= count:
        return
    results = video.results(book.frames)
    try:
        while book.frames < count:
            length = min(parts.LENGTH, count - book.frames)
            changed: Changed = {}
            with Part(book.next_part(), form) as part:
                for _ in range(length):
                    result = next(results, None)
                    video.check_cancelled()
                    if result is None:
                        raise VideoError("frames: the clip ends earlier than before; was it changed?")
                    image = None
                    if result.result is not None:
                        image = np.asarray(result.image)
                        marking.note(changed, result.result)
                    part.add(form.encoded(result.frame, image), result.frame.pts)
            book.add(Piece(part.path, part.times, changed))
    finally:
        results.close()  # type: ignore[attr-defined]


def _finish(
    book: Ledger, form: Form, output: Path, video: Video, sound: Clip | None, marks: Marks | None
) -> None:
    analysis = video.analysis()
    done = len([time for piece in book.pieces for time in piece.times])
    whole = done == len(analysis.times)
    duration, span = analysis.last_duration, video.span
    if not whole:
        duration = int(analysis.times[done] - analysis.times[done - 1])
        span = Span(span.start, float("inf"))  # the sound of these frames alone
    if not output.suffix:
        _write_pictures(book, form, output, marks)
        return
    joining.join(book.pieces, form.facts, output, span, duration, sound, marks)


def _write_pictures(book: Ledger, form: Form, output: Path, marks: Marks | None) -> None:
    folder = book.folder / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        joining.write_pictures(book.pieces, form.facts, folder, marks)
        with contextlib.suppress(FileNotFoundError):
            output.rmdir()  # an empty folder
        folder.replace(output)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"output: cannot write {output}: {error.strerror or error}") from error


def _leave(book: Ledger, output: Path, video: Video, finish: Callable[[Path], None]) -> None:
    """Write what is finished beside the file, for people to look at, and say so."""
    if not book.pieces or not output.suffix:
        if video.in_file and book.faces.exists():
            logger.warning("output: %d frames are finished; resume=True goes on with them", book.frames)
        return
    beside = output.with_name(f"{output.stem}.partial{output.suffix}")
    try:
        finish(beside)
    except OutputError as error:  # the interruption is what callers are told of
        logger.warning("%s", error)
        return
    more = "; resume=True goes on with the others" if video.in_file else ""
    logger.warning("output: %d frames are in %s%s", book.frames, beside, more)
