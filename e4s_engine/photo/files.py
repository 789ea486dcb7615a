"""Files, read with care and written safely.

Writing goes to a temporary file beside the final one, which it then replaces by a rename.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from e4s_engine.errors import ArgumentError, OutputError

_PATIENCE = 3.0 if os.name == "nt" else 0.0  # seconds
_URL = re.compile(r"(?:https?|ftps?|sftp|s3|gs|file):/|data:[\w.+/-]*[;,]", re.IGNORECASE)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body)\b", re.I | re.S)
_LFS = b"version https://git-lfs.github.com/spec/"


def is_there(path: Path) -> bool:
    """Return whether a path exists.

    Raises OSError for others, such as a name that is too long: `exists` is silent there from Python 3.14 on.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_writable(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """Return the file that writing to `path` would replace. Raises OutputError if it cannot be written."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"{argument}: expected a path to write to, got {type(path).__name__}")
    try:
        final = Path(os.path.realpath(path))
        exists = is_there(final)
    except (OSError, ValueError) as error:  # a name too long, or with a NUL
        raise OutputError(f"{argument}: not a usable path: {error}; choose another name") from error
    if not final.parent.is_dir():
        raise OutputError(f"{argument}: the folder {final.parent} does not exist; create it first")
    if final.is_dir():
        raise OutputError(f"{argument}: {final} is a folder, expected a file name")
    if exists and not os.access(final, os.W_OK):
        raise OutputError(f"{argument}: {final} is read-only; choose another name or change its mode")
    if not os.access(final.parent, os.W_OK):
        raise OutputError(f"{argument}: the folder {final.parent} is read-only; choose another")
    return final


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], argument: str = "path") -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on failure.

    An existing file is complete at every moment: the old one before, the new one after. A symbolic link is
    followed: the file it names is replaced and the link stays; permissions stay too, and those of a new file
    follow the umask, whoever writes it. Raises OutputError.
    """
    final = check_writable(path, argument)
    # Not named after the file, whose name may already have the greatest length allowed.
    temporary = final.with_name(f".e4s-{secrets.token_hex(8)}{final.suffix}")
    try:
        mode = _mode_of_new_files(temporary)
        yield temporary
        temporary.chmod(stat.S_IMODE(final.stat().st_mode) if final.exists() else mode)
        rename(temporary, final)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{argument}: cannot write {final}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def rename(new: Path, path: Path) -> None:
    """Give a file the name of another, which it replaces. Raises OSError.

    Windows refuses while the other is open, in a scanner or by a second writer: there, try again for a while.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            new.replace(path)
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(random.uniform(0.001, 0.02))  # two writers must not keep step
        else:
            return


def sync(path: Path) -> None:
    """Have a file's content on the disk, so that a loss of power does not take it. Raises OSError."""
    with path.open("r+b") as file:  # Windows flushes only what may be written
        os.fsync(file.fileno())


def _mode_of_new_files(path: Path) -> int:
    """Return the permissions that a new file gets here, by creating one: reading the umask would set it."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        path.unlink()


def is_url(path: object) -> bool:
    """Return whether a path is in truth a URL; `pathlib` drops one of its slashes."""
    return isinstance(path, (str, os.PathLike)) and bool(_URL.match(str(path)))


def url_of(path: object) -> str:
    """Return a URL as it was before `pathlib` made one slash of two or, in those of files, three."""
    slashes = "///" if str(path).lower().startswith("file:") else "//"
    return re.sub(r"^(\w+):/(?!/)", rf"\1:{slashes}", str(path))


def impostor(start: bytes) -> str:
    """Return what a file is that was downloaded wrongly, with the remedy, or "".

    start: the first bytes of the file, a few hundred.
    """
    if start.startswith(_LFS):
        return "a Git LFS pointer, not the file itself; run `git lfs pull`, or download the file"
    if _PAGE.match(start):
        return "a web page, not the file itself; open the link in a browser and download what it offers"
    return ""


def read_bounded(path: str | os.PathLike[str], most: int) -> bytes:
    """Return a regular file's bytes. Raises ValueError for anything else, or more than `most` bytes."""
    file = Path(path)
    if not file.is_file():  # a pipe would block, a device might never end
        raise ValueError("No such file" if not file.exists() else "not a regular file")
    with file.open("rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    return data
