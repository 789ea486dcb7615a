"""SwapOptions: the one place that says what can be chosen, and all that derives from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

import e4s_engine
from e4s_engine import backends, options
from e4s_engine.cli import main
from e4s_engine.errors import ArgumentError
from e4s_engine.faces import choose
from e4s_engine.options import SwapChanges, SwapOptions
from e4s_engine.photo import blend, match
from e4s_engine.testing.portraits import portrait

FIELDS = dataclasses.fields(SwapOptions)
README = (Path(__file__).parents[1] / "README.md").read_text()


def test_keyword_arguments_are_its_fields() -> None:
    assert get_type_hints(SwapChanges) == get_type_hints(SwapOptions)
    assert e4s_engine.SwapOptions is SwapOptions


def test_types_name_the_same_modes() -> None:
    """Type checkers read the Literals, calls the tuples; `typed_calls.py` shows what they refuse."""
    assert get_args(options.Blend) == blend.MODES
    assert get_args(options.Match) == match.MODES
    assert (*get_args(get_args(options.Choice)[0]), True, False) == options.CHOICES
    assert get_args(get_args(choose.Which)[0]) == choose.NAMES
    assert get_args(backends.BackendName) == backends.BACKENDS
    assert get_args(backends.Precision) == backends.PRECISIONS


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_readme_lists_every_option(field: dataclasses.Field) -> None:
    default = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
    row = f"| `{field.name}` | `{default}` | {field.metadata['meaning']} | `{field.metadata['flag']}` |"
    assert row in README


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_command_line_has_every_flag(field: dataclasses.Field, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["swap", "--help"])
    assert field.metadata["flag"] in capsys.readouterr().out


def test_options_and_changes_come_to_the_same(engine) -> None:
    (a, a_labels), (b, b_labels) = portrait(0), portrait(1)
    known = {"source_labels": a_labels, "target_labels": b_labels}
    soft = SwapOptions(extent=0.5, blend="none")
    by_object = engine.swap(a, b, options=soft, **known)
    by_name = engine.swap(a, b, extent=0.5, blend="none", **known)
    both = engine.swap(a, b, options=SwapOptions(extent=0.5), blend="none", **known)
    for other in (by_name, both):
        np.testing.assert_array_equal(by_object.image, other.image)
    batch = engine.swap_batch([a], [b], options=soft, source_labels=[a_labels], target_labels=[b_labels])
    np.testing.assert_array_equal(batch[0].image, by_object.image)
    assert not np.array_equal(engine.swap(a, b, **known).image, by_object.image)


def test_what_is_no_option_is_named(engine) -> None:
    picture = portrait(0)[0]
    with pytest.raises(TypeError, match="'extend' is no option of a swap; options are extent, shape"):
        engine.swap(picture, picture, extend=0.5)
    with pytest.raises(ArgumentError, match=r"options: expected e4s_engine\.SwapOptions, got dict"):
        engine.swap(picture, picture, options={"extent": 0.5})


def test_options_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SwapOptions().extent = 0.5  # type: ignore[misc]
