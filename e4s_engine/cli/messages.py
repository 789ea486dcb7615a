"""Messages on stderr."""

from __future__ import annotations

import sys


def complain(error: Exception) -> None:
    """Print an error as one line on stderr."""
    print(f"e4s: error: {' '.join(str(error).split())}", file=sys.stderr)
