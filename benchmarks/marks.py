"""Times of saving a picture without and with its mark in the metadata.

    python -m benchmarks.marks [repeats] [--signed] [--formats jpg tif] [--sizes 1024]

saves a swap of 1024 x 1024 and one of 12 megapixels in every format, without and with the mark in turn, and
prints one JSON object: medians in milliseconds, their quartiles, and the difference of the medians in per
cent. The photo is the bundled renderer's, as a JPEG with EXIF and XMP of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import machine
from e4s_engine import synth
from e4s_engine.marks import making
from e4s_engine.marks.statement import Statement
from e4s_engine.photo import images
from e4s_engine.result import Result

SUFFIXES = ("png", "jpg", "webp", "tif", "avif", "gif")
SIZES = {"1024": (1024, 1024), "12MP": (4000, 3000)}
_FEWER = {"12MP": 6}  # saves of large pictures take seconds: repeats are divided
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>image/jpeg'
    b"</dc:format></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def results(width: int, height: int) -> tuple[Result, Result]:
    """Return a swap without a statement, saved as before there were marks, and the same with one."""
    portrait = synth.render(synth.person(3), synth.scene(3), 512).image
    exif = Image.Exif()
    exif[0x010F] = "Benchmark"
    buffer = io.BytesIO()
    picture = Image.fromarray(portrait).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(buffer, "JPEG", quality=92, exif=exif, xmp=_XMP)
    photo = images.read_photo(buffer.getvalue())
    changed = np.zeros((height, width), bool)
    changed[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = True
    pixels = photo.pixels.copy()
    pixels[changed] ^= 3
    empty = np.zeros((512, 512), np.uint8)
    about = Statement("swap", 1.0, True, True, inputs=(making.listed("target", photo.original),))
    plain, marked = (
        Result(pixels, pixels, empty, empty > 0, pixels, changed, original=photo.original).of_face(
            0, np.array([[40, 40], [40, 900], [900, 900], [900, 40]], float), None, statement=statement
        )
        for statement in (None, about)
    )
    return plain, marked


def measure(
    repeat: int, signed: bool, sizes: Sequence[str], formats: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds by picture and format, and in these of saving without marks, with, and signed."""
    told: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in sizes:
            cases = dict(zip(("plain", "marked"), results(*SIZES[name]), strict=True))
            if signed:
                cases["signed"] = cases["marked"]
            for suffix in formats:
                times: dict[str, list[float]] = {case: [] for case in cases}
                for turn in range(max(2, repeat // _FEWER.get(name, 1)) + 1):
                    for case, result in list(cases.items())[:: 1 if turn % 2 else -1]:
                        file = Path(folder) / f"{case}.{suffix}"
                        start = time.perf_counter()
                        result.save(file, sign=case == "signed")
                        if turn:  # the first one warms up
                            times[case].append((time.perf_counter() - start) * 1000)
                told[f"{name} {suffix}"] = times
    return told


def facts(times: dict[str, list[float]]) -> dict[str, object]:
    """Return medians, quartiles, and by how many per cent marks make saving longer."""
    middle = {case: statistics.median(values) for case, values in times.items()}
    spread = {
        case: [round(value, 2) for value in np.percentile(values, (25, 75))] for case, values in times.items()
    }
    more = {
        f"{case}_percent": round(100 * (middle[case] / middle["plain"] - 1), 1)
        for case in middle
        if case != "plain"
    }
    medians = {f"{case}_ms": round(value, 2) for case, value in middle.items()}
    return {**medians, **more, "quartiles": spread}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repeats", type=int, nargs="?", default=60)
    parser.add_argument("--signed", action="store_true", help="sign too, by this machine's certificate")
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=SUFFIXES)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    arguments = parser.parse_args()
    logging.getLogger("e4s_engine").setLevel(logging.ERROR)  # GIF warns of its 256 colours
    measured = measure(arguments.repeats, arguments.signed, arguments.sizes, arguments.formats)
    told = {name: facts(times) for name, times in measured.items()}
    print(json.dumps({"machine": machine.describe(), "repeats": arguments.repeats, "times": told}, indent=1))


if __name__ == "__main__":
    main()
