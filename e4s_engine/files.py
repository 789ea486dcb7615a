"""Writing files so that nothing is lost: beside first, then renamed over."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from e4s_engine.errors import OutputError


def check_writable(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """The file that writing to `path` would replace. Raises OutputError where that cannot work."""
    final = Path(os.path.realpath(path))
    if not final.parent.is_dir():
        raise OutputError(f"{argument}: the folder {final.parent} does not exist; create it first")
    if final.is_dir():
        raise OutputError(f"{argument}: {final} is a folder, expected a file name")
    if final.exists() and not os.access(final, os.W_OK):
        raise OutputError(f"{argument}: {final} is read-only; choose another name or change its mode")
    if not os.access(final.parent, os.W_OK):
        raise OutputError(f"{argument}: the folder {final.parent} is read-only; choose another")
    return final


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], argument: str = "path") -> Iterator[Path]:
    """A temporary path beside `path`; renamed over it on success, removed on failure.

    An existing file is whole at every moment: the old one before, the new one after. A symbolic link is
    followed, so that the file it names is replaced and the link stays. Raises OutputError.
    """
    final = check_writable(path, argument)
    temporary = final.with_name(f".{final.stem}.{secrets.token_hex(4)}{final.suffix}")
    try:
        yield temporary
        temporary.replace(final)
    except OSError as error:
        raise OutputError(f"{argument}: cannot write {final}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
