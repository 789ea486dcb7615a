"""`e4s acknowledge`: what the tool is for, read once."""

from __future__ import annotations

import argparse
from argparse import Namespace

from e4s_engine.errors import OutputError

HELP = "show what the tool is for and what not, and end the notice about it"
TEXT = """\
For: research, film and art, privacy, with the agreement of the people whose faces are used.
Not for: deceiving anybody about who did or said something, harassment, intimate pictures without consent,
fraud, getting past identity checks.
Files say in their metadata that a model changed them (`e4s verify FILE`). Since August 2026 the law of the
European Union asks for it (AI Act, Article 50). Who publishes such a picture answers for it.
"""


def add(command: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def run(arguments: Namespace) -> int:
    """Print the text and remember that it was read."""
    from e4s_engine.marks import certificates

    print(TEXT, end="")
    folder = certificates.folder_of_user()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "acknowledged").touch()
    except OSError as error:
        raise OutputError(f"cannot note in {folder} that it was read: {error.strerror}") from error
    return 0
