"""The one-pass regional convolution against the published form: values and gradients."""

from __future__ import annotations

import pytest
import torch

from e4s_engine.errors import ArgumentError
from e4s_engine.ops import _fir, published, reference, regional_conv

CHANNELS = (5, 7)  # in, out


def labels_of(kind: str, batch: int, height: int, width: int) -> tuple[torch.Tensor, int]:
    """Make a label map [N,H,W]; return it and the number of regions it may hold."""
    torch.manual_seed(height * 100 + width)
    empty = torch.zeros(batch, height, width, dtype=torch.long)
    if kind == "one region":
        return empty, 1
    if kind == "twelve regions":
        return torch.randint(0, 12, empty.shape), 12
    if kind == "single pixels":
        empty[:, 0, 0], empty[:, -1, -1], empty[:, height // 2, width // 2] = 1, 2, 3
        return empty, 4
    if kind == "empty regions":
        empty[:, :, width // 2 :] = 11
        return empty, 12
    checkerboard = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    return checkerboard.expand(batch, -1, -1).contiguous(), 2


def inputs(kind: str, batch: int, height: int, width: int, upsample: bool, kernel: int = 3):
    scale = 2 if upsample else 1
    labels, regions = labels_of(kind, batch, height * scale, width * scale)
    torch.manual_seed(0)
    tensors = {
        "x": torch.randn(batch, CHANNELS[0], height, width),
        "weight": torch.randn(CHANNELS[1], CHANNELS[0], kernel, kernel),
        "styles": 1 + torch.randn(batch, regions, CHANNELS[0]),
        "noise": torch.randn(1, 1, height * scale, width * scale),
        "noise_gain": torch.randn(1),
        "bias": torch.randn(CHANNELS[1]),
    }
    return {k: v.double().requires_grad_() for k, v in tensors.items()}, labels


def run(form, tensors, labels, upsample):
    x, weight, styles = tensors["x"], tensors["weight"], tensors["styles"]
    finish = {k: tensors[k] for k in ("noise", "noise_gain", "bias")}
    return form.regional_conv(x, weight, styles, labels, upsample=upsample, **finish)


KINDS = ["one region", "twelve regions", "single pixels", "empty regions", "checkerboard"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 5), (16, 9)])
def test_forms_agree(kind: str, upsample: bool, batch: int, size: tuple[int, int]) -> None:
    tensors, labels = inputs(kind, batch, *size, upsample)
    expected, found = run(published, tensors, labels, upsample), run(reference, tensors, labels, upsample)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    plain = {k: v.detach() for k, v in tensors.items()}  # sums take another form without gradients
    torch.testing.assert_close(run(reference, plain, labels, upsample), expected, rtol=1e-9, atol=1e-9)
    singles = {k: v.float() for k, v in plain.items()}
    assert (run(reference, singles, labels, upsample) - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upsample", [False, True])
def test_gradients_agree(kind: str, upsample: bool) -> None:
    tensors, labels = inputs(kind, 3, 6, 5, upsample)
    scale = torch.randn(3, CHANNELS[1], *labels.shape[1:], dtype=torch.double)
    gradients = []
    for form in (published, reference):
        loss = (run(form, tensors, labels, upsample) * scale).sum()
        gradients.append(torch.autograd.grad(loss, list(tensors.values())))
    for name, expected, found in zip(tensors, *gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")


def test_gradient_is_the_true_one() -> None:
    tensors, labels = inputs("twelve regions", 1, 3, 2, True)
    names = ["x", "weight", "styles", "bias"]

    def function(*values):
        return run(reference, {**tensors, **dict(zip(names, values, strict=True))}, labels, True)

    assert torch.autograd.gradcheck(function, [tensors[n] for n in names])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_to_rgb_forms_agree(kind: str, batch: int) -> None:
    tensors, labels = inputs(kind, batch, 6, 8, upsample=False, kernel=1)
    weight, bias = tensors["weight"][:3], torch.randn(1, 3, 1, 1).double()
    skip = torch.randn(batch, 3, 3, 4).double()
    arguments = (tensors["x"], weight, tensors["styles"], labels, bias, skip)
    torch.testing.assert_close(reference.to_rgb(*arguments), published.to_rgb(*arguments))


def test_plain_layer_is_one_region() -> None:
    tensors, _ = inputs("one region", 2, 5, 6, True)
    labels = torch.zeros(2, 10, 12, dtype=torch.long)
    torch.testing.assert_close(run(reference, tensors, None, True), run(published, tensors, labels, True))


def test_seam_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors, labels = inputs("checkerboard", 1, 16, 16, False)
    tensors = {name: tensor.detach() for name, tensor in tensors.items()}
    whole = run(reference, tensors, labels, False)
    monkeypatch.setattr(regional_conv, "SEAM_CHUNK", 7)
    torch.testing.assert_close(run(reference, tensors, labels, False), whole)


def test_inference_leaves_inputs_alone() -> None:
    tensors, labels = inputs("twelve regions", 1, 8, 8, False)
    before = {k: v.detach().clone() for k, v in tensors.items()}
    with torch.inference_mode():
        run(reference, {k: v.detach() for k, v in tensors.items()}, labels, False)
    for name, value in before.items():
        assert torch.equal(value, tensors[name])


def test_phase_kernels_are_the_upsampling_convolution() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 5, 6).double(), torch.randn(3, 4, 3, 3).double()
    direct = _fir.smooth(torch.nn.functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1, 1)
    kernels = _fir.phase_kernels(weight)
    for a in (0, 1):
        for b in (0, 1):
            phase = torch.nn.functional.conv2d(x, kernels[a, b], padding=1)
            torch.testing.assert_close(phase, direct[:, :, a::2, b::2])


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"weight": torch.randn(7, 4, 3, 3)}, "weight"),
        ({"weight": torch.randn(7, 5, 2, 2)}, "weight"),
        ({"styles": torch.randn(2, 12, 5)}, "styles"),
        ({"labels": torch.zeros(1, 3, 3, dtype=torch.long)}, "labels"),
        ({"labels": None}, "labels"),
    ],
)
@pytest.mark.parametrize("form", [reference, published])
def test_misfits_are_refused(form, change, names) -> None:
    tensors, labels = inputs("twelve regions", 1, 4, 4, False)
    merged = {**tensors, "labels": labels, **change}
    with pytest.raises(ArgumentError, match=names):
        form.regional_conv(merged["x"], merged["weight"], merged["styles"], merged["labels"])
