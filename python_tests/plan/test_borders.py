"""Edge cases of plans and their weights that no present network reaches, but others will."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from native_tools import SMALL, make_model, native

from e4s_engine import ops
from e4s_engine.backends.cuda.instances import Instances
from e4s_engine.errors import BackendError
from e4s_engine.plan import Plan
from e4s_engine.plan.fuse import fuse
from e4s_engine.testing.loaded import loaded

CHANNELS = 64  # wide enough for Winograd's tiles where sides are even and large
NORM = ("gamma", "beta", "mean", "var")


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    normal = {"in": (CHANNELS, 3, 1, 1), "w": (CHANNELS, CHANNELS, 3, 3)}
    made = {n: rng.standard_normal(s, dtype=np.float32) / np.float32(s[1] ** 0.5) for n, s in normal.items()}
    return made | {n: rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32) for n in ("slope", *NORM)}


def network(ops: Any, pixels: Any, weights: Any) -> Any:
    x = ops.conv2d(ops.from_uint8(pixels, -1, 1), weights["in"])
    return ops.conv2d(x, weights["w"])


def recorded(
    made: dict[str, np.ndarray], side: int, name: str, function: Callable[..., Any] = network
) -> Plan:
    plan = Plan("fp32")
    symbols = plan.weights({n: a.shape for n, a in made.items()}, name)
    plan.output(function(ops.record, plan.pixels(1, side, side), symbols))
    return fuse(plan)


def expected(
    made: dict[str, np.ndarray], pixels: np.ndarray, function: Callable[..., Any] = network
) -> np.ndarray:
    tensors = {n: torch.from_numpy(a) for n, a in made.items()}
    return function(ops.reference, torch.from_numpy(pixels), tensors).permute(0, 2, 3, 1).numpy()


def run(plan: Plan, store: Any, pixels: np.ndarray) -> np.ndarray:
    out = np.full(plan.buffers[-1].shape, np.nan, np.float32)
    native.compile_plan(plan, store, guard=True, poison=True).run([pixels, out])
    return out


def picture(side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (1, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("after", ["relu", "prelu", "sum", "sum and relu", "norm"])
def test_a_norm_is_not_folded_through_what_follows_a_convolution(after: str) -> None:
    """Folding it would scale the sums before the activation or the shortcut: silently wrong."""

    def network(ops: Any, pixels: Any, weights: Any) -> Any:
        x = ops.conv2d(ops.from_uint8(pixels, -1, 1), weights["in"])
        more = {"relu": {"relu": True}, "prelu": {"prelu": weights["slope"]}}.get(after, {})
        y = ops.conv2d(x, weights["w"], **more)
        if after.startswith("sum"):
            y = ops.add(y, x, relu=after != "sum")
        norm = [weights[name] for name in NORM]
        if after == "norm":
            y = ops.batch_norm(y, *norm)
        return ops.batch_norm(y, *norm)

    store, made, pixels = native.WeightStore(), arrays(0), picture(8)
    plan = recorded(made, 8, "one", network)
    assert [step.kind for step in plan.steps].count("affine") == (after != "norm")
    store.add(plan, made)
    want = expected(made, pixels, network)
    np.testing.assert_allclose(run(plan, store, pixels), want, atol=2e-5 * np.abs(want).max())


def test_networks_with_tensors_of_one_name_keep_their_own_values() -> None:
    store, pixels = native.WeightStore(), picture(12)
    models = {name: arrays(seed) for seed, name in enumerate(("one", "two"))}
    plans = {name: recorded(made, 12, name) for name, made in models.items()}
    for name, plan in plans.items():
        store.add(plan, models[name])
    for name, plan in plans.items():
        np.testing.assert_allclose(run(plan, store, pixels), expected(models[name], pixels), atol=1e-4)


def test_sizes_that_want_another_form_of_a_convolution() -> None:
    """Weights packed at 32 for Winograd's tiles are packed again for the direct form, and the reverse."""
    store, made = native.WeightStore(), arrays(0)
    forms = set()
    for side in (32, 31, 14, 8, 1, 32):
        plan, pixels = recorded(made, side, "one"), picture(side)
        store.add(plan, made)
        forms.add(store.form(plan, plan.steps[-2]))
        np.testing.assert_allclose(run(plan, store, pixels), expected(made, pixels), atol=1e-4)
    assert forms == {"direct", "winograd"}


def test_a_form_that_cannot_be_packed_any_more_is_an_error_with_a_way_out() -> None:
    with pytest.raises(BackendError, match=r"'in' is needed in another form .*`e4s convert"):
        native.WeightStore().add(recorded(arrays(0), 31, "one"), {})


def test_plans_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_MOST_PLANS", 3)
    backend = loaded(native.Native("fp32"), make_model(SMALL))
    labels = np.zeros((1, 512, 512), np.uint8)
    first = {side: backend.run("rgi", "encode", picture(side), labels) for side in range(64, 70)}
    assert [key[2][0][1] for key in backend._plans] == [67, 68, 69]
    backend.run("rgi", "encode", picture(67), labels)
    backend.run("rgi", "encode", picture(64), labels)
    assert [key[2][0][1] for key in backend._plans] == [69, 67, 64]  # the least recently used one is gone
    for side, styles in first.items():
        np.testing.assert_array_equal(backend.run("rgi", "encode", picture(side), labels), styles)


def test_graphs_that_wait_are_kept_up_to_a_bound() -> None:
    instances: Instances[object] = Instances(2, most_idle=2)
    built: list[str] = []

    def use(key: str) -> None:
        with instances.use(key, lambda: built.append(key) or object()):
            pass

    for key in "aababcb":
        use(key)
    assert built == ["a", "b", "c"]
    use("a")  # evicted for c
    assert built == ["a", "b", "c", "a"]
    use("b")
    assert built == ["a", "b", "c", "a"]
