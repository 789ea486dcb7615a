"""PyAV, and the video encoders that it brings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import ModuleType

from e4s_engine.errors import ArgumentError, BackendError, VideoError

INSTALL = 'pip install "e4s_engine[video]"'
_BARE = ("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb0", "bgr0", "pal8", "gray", "gbrp")


def pyav() -> ModuleType:
    """Return the module `av`. Raises BackendError if it is not installed."""
    try:
        import av
        import av.error
    except ImportError as error:
        raise BackendError(f"video: reading and writing clips needs PyAV; `{INSTALL}` brings it") from error
    return av


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encoder of FFmpeg.

    library: its name there. quality: default of its quality scale, of which `best` is the best and `worst`
    the worst. formats: pixel formats for 8 and for 10 bits. containers: endings of the files that hold it.
    options: fixed options; the number of threads is one, as it changes the bits of some encoders. scale: name
    of the quality option, "" if it has none. even: whether widths and heights must be even.
    """

    library: str
    quality: int
    best: int
    worst: int
    formats: tuple[str, str]
    containers: tuple[str, ...]
    options: Mapping[str, str]
    scale: str = "crf"
    even: bool = True


ISO, MATROSKA = (".mp4", ".m4v", ".mov"), (".mkv",)
ENCODERS = {
    "h264": Encoder(
        "libx264",
        16,
        0,
        51,
        ("yuv420p", "yuv420p10le"),
        ISO + MATROSKA,
        {"preset": "faster", "threads": "4", "x264-params": "mbtree=0"},  # see docs/traps.md
    ),
    "hevc": Encoder(
        "libx265",
        18,
        0,
        51,
        ("yuv420p", "yuv420p10le"),
        ISO + MATROSKA,
        {"preset": "medium", "x265-params": "log-level=none:open-gop=0:frame-threads=2:pools=4"},
    ),
    "av1": Encoder(
        "libsvtav1",
        22,
        0,
        63,
        ("yuv420p", "yuv420p10le"),
        (*ISO, *MATROSKA, ".webm"),
        {"preset": "8", "svtav1-params": "lp=4"},
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        20,
        0,
        63,
        ("yuv420p", "yuv420p10le"),
        (".webm", *MATROSKA, *ISO),
        {"b": "0", "row-mt": "1", "threads": "4", "cpu-used": "3", "deadline": "good"},
        even=False,
    ),
    "ffv1": Encoder(
        "ffv1",
        0,
        0,
        0,
        ("yuv420p", "yuv420p10le"),
        MATROSKA,
        {"level": "3", "slicecrc": "1"},
        scale="",
        even=False,
    ),
}


LOSSLESS = ENCODERS["ffv1"]


def choose(name: str, suffix: str, bits: int) -> Encoder:
    """Return an encoder by name.

    "auto" is H.264, which plays everywhere, for clips of 8 bits; HEVC for deeper ones, as hardly any player
    takes H.264 of 10 bits; VP9 in WebM.

    name: "auto" or one of ENCODERS. suffix: ending of the file to write. bits: per channel of the clip.

    Raises ArgumentError for an unknown name, VideoError for a container that does not hold it, BackendError
    if this PyAV was built without it.
    """
    if name == "auto":
        name = "vp9" if suffix == ".webm" else "hevc" if bits > 8 else "h264"
    if name not in ENCODERS:
        raise ArgumentError(f"encoder: expected auto, {', '.join(ENCODERS)}, got {name!r}")
    encoder = ENCODERS[name]
    if suffix not in encoder.containers:
        fitting = [key for key, other in ENCODERS.items() if suffix in other.containers]
        raise VideoError(
            f"encoder: {suffix} files hold no {name}; choose {' or '.join(fitting)}, or a file that ends in "
            f"{' or '.join(encoder.containers)}"
        )
    if encoder.library not in pyav().codecs_available:
        present = [key for key, other in ENCODERS.items() if other.library in pyav().codecs_available]
        raise BackendError(
            f"encoder: this PyAV has no {encoder.library} ({name}); it has {', '.join(present)}"
        )
    return encoder


def options_of(encoder: Encoder, quality: int | None) -> dict[str, str]:
    """Return the options of an encoder at a quality; None: its default. Raises ArgumentError."""
    options = dict(encoder.options)
    if quality is None:
        quality = encoder.quality
    elif not encoder.scale:
        raise ArgumentError(f"quality: {encoder.library} loses nothing and has no quality; leave it out")
    if not encoder.best <= quality <= encoder.worst:
        raise ArgumentError(
            f"quality: expected {encoder.best} (best) to {encoder.worst} of {encoder.library}, got {quality}"
        )
    if encoder.scale:
        options[encoder.scale] = str(quality)
    return options


def format_of(encoder: Encoder, pix_fmt: str, bits: int) -> str:
    """Return the pixel format in which an encoder takes a clip of a format: it keeps 10 bits and FFV1 all."""
    plain = pix_fmt.replace("yuvj", "yuv")
    if encoder is LOSSLESS:
        if is_bare(pix_fmt):
            return "bgr0"
        known = {form.name for form in pyav().Codec(encoder.library, "w").video_formats}
        if plain in known and "a" not in plain:
            return plain
    return encoder.formats[bits > 8]


def is_bare(pix_fmt: str) -> bool:
    """Return whether a pixel format has no colour matrix: RGB, palettes, grey."""
    return pix_fmt in _BARE
