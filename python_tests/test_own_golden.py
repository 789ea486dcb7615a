"""Golden swap of the tiny model, stored in the repository, so that a plain clone has a fixed reference.

`python python_tests/test_own_golden.py` renews it from the reference backend, which is itself tested against
the published implementation's goldens.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_tools import TINY, TINY_PARSER

from e4s_engine import backends, weights
from e4s_engine.pipeline import compose
from e4s_engine.testing.portraits import portrait

FILE = Path(__file__).parent / "goldens" / "tiny.npz"


def compute(backend: str) -> dict[str, np.ndarray]:
    """Compute style vectors, label map, face and parsed classes of a whole-face swap."""
    model, parser = weights.random_model(TINY, 0), weights.random_model(TINY_PARSER, 1)
    runtime = backends.create([model, parser], backend, "cpu", "fp32")
    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    styles = runtime.run(
        "rgi", "encode", np.stack([source, target]), np.stack([source_labels, target_labels])
    )
    labels, _ = compose.whole_face_labels(source_labels, target_labels)
    face = runtime.run("rgi", "decode", compose.whole_face_styles(styles[0], styles[1])[None], labels[None])[
        0
    ]
    classes = runtime.run("parser", "parse", source[None])[0]
    return {"styles": styles, "labels": labels[::8, ::8], "face": face, "classes": classes[::8, ::8]}


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_the_tiny_swap_is_what_it_was(backend):
    found, pinned = compute(backend), np.load(FILE)
    np.testing.assert_array_equal(found["labels"], pinned["labels"])
    for name in ("styles", "face"):
        assert np.abs(found[name] - pinned[name]).max() < 1e-4 * np.abs(pinned[name]).max(), name
    assert (found["classes"] == pinned["classes"]).mean() > 0.999  # ties may be broken either way
    assert len(np.unique(pinned["classes"])) > 1


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, **compute("reference"))
