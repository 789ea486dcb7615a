"""Exceptions of the package.

All derive from `E4SError`. If an argument or a file is at fault the error is also a `ValueError`, so
callers that do not know this package catch it too. A message names the argument, what was expected, what
it was instead, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class E4SError(Exception):
    """Base class of every error of this package."""


class ArgumentError(E4SError, ValueError):
    """Argument of the wrong type, shape, range or combination."""


class ImageError(ArgumentError):
    """Image that cannot be read, or whose kind or size cannot be used."""


class VideoError(ArgumentError):
    """Clip that cannot be read, or frames that the wanted file cannot hold."""


class LabelsError(ArgumentError):
    """Label map that is missing, has the wrong shape or holds values that are no region."""


class RegionError(ArgumentError):
    """Unknown region name, or an impossible combination of regions."""


class AlignmentError(ArgumentError):
    """Missing or degenerate landmarks: a face cannot be aligned to the crop."""


class WeightsError(ArgumentError):
    """Weight file that is missing, damaged, incomplete or of another model."""


class FaceFileError(ArgumentError):
    """Saved Face that is damaged, or a Face of another model than the engine's."""


class OutputError(E4SError, OSError):
    """Result that cannot be written; a file already at its path is untouched."""


class BackendError(E4SError, RuntimeError):
    """Device, precision or backend that is not available on this machine."""


class DeviceMemoryError(BackendError):
    """Too little GPU memory. The engine remains usable; smaller batches or fewer other programs help."""


class DeviceLostError(BackendError):
    """GPU failure after which this process cannot use the GPU; every later call raises this too."""


class CancelledError(E4SError, RuntimeError):
    """Work on a clip that was cancelled; what was finished of it is kept."""


class ClosedError(E4SError, RuntimeError):
    """Call on an engine that is already closed."""


class NotPicklableError(E4SError, TypeError):
    """Attempt to pickle or copy an object that belongs to its process, such as an engine."""


class RefusedError(E4SError, RuntimeError):
    """Swap that the engine's guard refused; nothing was generated."""


class UnmarkedWarning(UserWarning):
    """Files that do not say that a model changed them, because marking was switched off."""


class DemoModelWarning(UserWarning):
    """Use of the bundled demo model, which knows rendered faces only, on a caller's pictures."""


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Let exceptions of a caller's own callable through, with a note that says whose they are."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise
