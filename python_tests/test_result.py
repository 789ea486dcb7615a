"""Results and faces, which the engine returns."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.result import Face, Result


@pytest.mark.parametrize("kind", [Face, Result])
def test_results_and_faces_compare_by_identity(kind: type) -> None:
    """Comparing arrays would raise: neither could then be a key or be looked up in a list."""
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    arrays = {name: np.zeros((4, 4, 3), np.uint8) for name in fields}
    one, other = kind(**arrays), kind(**arrays)
    assert one == one and one != other  # noqa: PLR0124
    assert len({one, other, one}) == 2 and [one, other].index(other) == 1
