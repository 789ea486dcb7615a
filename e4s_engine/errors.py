"""The errors the package raises.

Everything derives from `E4SError`. Where an argument or a file is at fault the error is also a
`ValueError`, so callers that know nothing of this package still catch it. Messages name the argument,
what was expected, what came and what to do.
"""

from __future__ import annotations


class E4SError(Exception):
    """Base of every error of this package."""


class ArgumentError(E4SError, ValueError):
    """An argument has the wrong type, shape, range or combination."""


class ImageError(ArgumentError):
    """An image cannot be read, or is not of a kind or size that can be used."""


class LabelsError(ArgumentError):
    """A label map is missing, misshapen or holds values that are no region."""


class RegionError(ArgumentError):
    """A region name is unknown, or regions are combined in an impossible way."""


class AlignmentError(ArgumentError):
    """A face cannot be brought to the aligned crop: landmarks are missing or degenerate."""


class WeightsError(ArgumentError):
    """A weight file is missing, damaged, incomplete or of another model."""


class OutputError(E4SError, OSError):
    """A result cannot be written. Whatever was at its place before is untouched."""


class BackendError(E4SError, RuntimeError):
    """The requested device, precision or backend is not available on this machine."""


class DeviceMemoryError(BackendError):
    """A GPU's memory does not suffice. The engine works on; smaller batches or fewer other programs help."""


class DeviceLostError(BackendError):
    """A GPU failed in a way that leaves this process no use of it; every later call raises this, too."""


class ClosedError(E4SError, RuntimeError):
    """The engine was closed and cannot run any more."""
