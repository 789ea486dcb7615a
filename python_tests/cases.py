"""Table of operation cases for tests and benchmarks: small networks over `ops`, with their inputs.

Each case is a function over an operation namespace: the same lines run in PyTorch and are recorded for the
compiled runtime. Features come from 8-bit pixels through a 1 x 1 convolution, which makes batches differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

REGIONS = 12
DIM = 16

# Largest error relative to the largest value. bf16 keeps 8 bits and rounds after every step.
TOLERANCE = {"fp32": 2e-5, "bf16": 4e-2}


@dataclasses.dataclass
class Case:
    name: str
    network: Callable[[Any, dict[str, Any], dict[str, Any]], Any]
    inputs: dict[str, np.ndarray]  # pixels uint8 [N,H,W,3], labels uint8 [N,h,w], vectors float [N,R,C]
    weights: dict[str, np.ndarray]
    exact_bf16: bool = True  # whether bf16 results can be compared value by value

    def __str__(self) -> str:
        return self.name


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _kernel(rng: np.random.Generator, out: int, inner: int, size: int) -> np.ndarray:
    return _normal(rng, out, inner, size, size) / np.float32(np.sqrt(inner * size * size))


def make_labels(kind: str, batch: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Make label maps: one region, all twelve at random, in pixels or blocks, a checkerboard, or bands.

    Bands omit some regions; blocks show hair and skin more often than others.
    """
    if kind == "one":
        return np.full((batch, side, side), 5, np.uint8)
    if kind == "twelve":
        return rng.integers(0, REGIONS, (batch, side, side)).astype(np.uint8)
    if kind == "blocks":
        few = rng.choice([*range(REGIONS), 4, 4, 4, 6, 6, 6], (batch, 16, 16)).astype(np.uint8)
        return few.repeat(side // 16, 1).repeat(side // 16, 2)
    rows, columns = np.mgrid[:side, :side]
    if kind == "checkerboard":
        one = ((rows + columns) % 2 * 11).astype(np.uint8)
    else:  # bands
        one = (columns * 4 // side * 2).astype(np.uint8)
    return np.stack([np.roll(one, i, 1) for i in range(batch)])


def _features(ops: Any, inputs: dict[str, Any], weights: dict[str, Any]) -> Any:
    return ops.conv2d(ops.from_uint8(inputs["pixels"], -1, 1), weights["in"])


def _base(name: str, channels: int, height: int, width: int, batch: int = 1) -> tuple[Any, dict, dict]:
    rng = _rng(name)
    pixels = rng.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)
    return rng, {"pixels": pixels}, {"in": _kernel(rng, channels, 3, 1)}


def _conv_cases() -> Iterator[Case]:
    shapes = [
        (16, 16, 3, 1, 1, 1, 1), (20, 80, 3, 1, 5, 7, 1), (16, 130, 3, 2, 17, 33, 1), (64, 64, 1, 1, 9, 9, 3),
        (33, 48, 1, 2, 8, 5, 1), (16, 32, 7, 2, 15, 14, 1), (272, 64, 3, 1, 6, 6, 1), (64, 24, 3, 2, 1, 6, 3),
        (64, 80, 3, 1, 16, 18, 1), (96, 64, 3, 1, 14, 20, 3),  # with Winograd's tiles on the CPU
    ]  # fmt: skip
    for inner, out, size, stride, height, width, batch in shapes:
        for after in ("", "relu", "prelu", "norm"):
            name = f"conv-{inner}-{out}-k{size}s{stride}-{height}x{width}-n{batch}-{after or 'plain'}"
            rng, inputs, weights = _base(name, inner, height, width, batch)
            weights |= {"w": _kernel(rng, out, inner, size), "slope": _normal(rng, out)}
            weights |= {n: _normal(rng, out) for n in ("gain", "bias", "mean")}
            weights["var"] = np.square(_normal(rng, out)) + np.float32(0.5)

            def network(ops: Any, x: Any, w: Any, stride: int = stride, after: str = after) -> Any:
                prelu = w["slope"] if after == "prelu" else None
                y = _features(ops, x, w)
                y = ops.conv2d(y, w["w"], stride=stride, prelu=prelu, relu=after == "relu")
                if after == "norm":
                    y = ops.batch_norm(y, w["gain"], w["bias"], w["mean"], w["var"], relu=True)
                return y

            yield Case(name, network, inputs, weights)


def _stem_cases() -> Iterator[Case]:
    for out, size, stride, height, width, batch in (
        (24, 7, 2, 9, 13, 3), (70, 3, 2, 6, 5, 1), (16, 7, 1, 1, 1, 1), (64, 5, 1, 8, 3, 2),
    ):  # fmt: skip
        name = f"stem-{out}-k{size}s{stride}-{height}x{width}-n{batch}"
        rng, inputs, _ = _base(name, 3, height, width, batch)
        weights = {"w": _kernel(rng, out, 3, size), "slope": _normal(rng, out)}

        def bare(ops: Any, x: Any, w: Any, stride: int = stride) -> Any:
            return ops.conv2d(ops.from_uint8(x["pixels"], -1, 1), w["w"], stride=stride)

        def activated(ops: Any, x: Any, w: Any, stride: int = stride) -> Any:
            picture = ops.from_uint8(x["pixels"], -1, 1)
            return ops.conv2d(picture, w["w"], stride=stride, prelu=w["slope"])

        yield Case(name, bare, inputs, {"w": weights["w"]})
        yield Case(name + "-prelu", activated, inputs, weights)


def _residual_cases() -> Iterator[Case]:
    for batch, height, width in ((1, 7, 5), (3, 8, 8)):
        rng, inputs, weights = _base(f"residual{batch}", 24, height, width, batch)
        weights |= {"w": _kernel(rng, 24, 24, 3), "v": _kernel(rng, 24, 24, 1)}
        weights |= {name: _normal(rng, 24) for name in ("slope", "gain", "bias", "mean")}
        weights["var"] = np.square(_normal(rng, 24)) + np.float32(0.5)

        def both(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            y = ops.conv2d(x, w["w"])
            return ops.add(ops.conv2d(x, w["v"]), y, relu=True)

        def broadcast(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            return ops.add(x, ops.conv2d(ops.global_mean(x), w["v"]))

        def gate(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            return ops.gate(x, ops.conv2d(ops.global_mean(x), w["v"]), residual=True)

        def apart(ops: Any, x: Any, w: Any) -> Any:
            """Norms and activations that follow what no convolution can take along."""
            x = _features(ops, x, w)
            norm = [w[name] for name in ("gain", "bias", "mean", "var")]
            y = ops.conv2d(x, w["w"], bias=w["bias"], prelu=w["slope"])
            y = ops.batch_norm(y, *norm)
            y = ops.activation(ops.add(ops.conv2d(y, w["v"]), x, relu=True), prelu=w["slope"])
            return ops.batch_norm(
                ops.batch_norm(ops.conv2d(y, w["w"], bias=w["bias"]), *norm), *norm, relu=True
            )

        def joined(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            return ops.subsample(ops.concat([x, ops.max_pool(ops.resize(x, *_twice(x), "nearest")), x]), 2)

        for network in (both, broadcast, gate, apart, joined):
            yield Case(f"{network.__name__}-{height}x{width}-n{batch}", network, inputs, weights)


def _twice(x: Any) -> tuple[int, int]:
    return 2 * x.shape[2], 2 * x.shape[3]


def _norm_cases() -> Iterator[Case]:
    for channels, height, width, batch in ((16, 1, 1, 1), (24, 9, 7, 3), (64, 16, 16, 1)):
        rng, inputs, weights = _base(f"norm{channels}", channels, height, width, batch)
        weights |= {"slope": _normal(rng, channels), "w": _kernel(rng, channels, channels, 3)}
        weights["s"] = _kernel(rng, channels, channels, 1)
        weights["fc1"], weights["fc2"] = _kernel(rng, 8, channels, 1), _kernel(rng, channels, 8, 1)

        def norm(ops: Any, x: Any, w: Any) -> Any:
            return ops.instance_norm(_features(ops, x, w), prelu=w["slope"])

        def unit(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            y = ops.instance_norm(ops.conv2d(ops.instance_norm(x), w["w"], stride=2))
            return ops.squeeze_excite(y, w["fc1"], w["fc2"], ops.subsample(x, 2))

        def widening(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            shortcut = ops.instance_norm(ops.conv2d(x, w["s"], stride=2))
            y = ops.instance_norm(ops.conv2d(x, w["w"], stride=2))
            return ops.squeeze_excite(y, w["fc1"], w["fc2"], shortcut)

        def general(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            return ops.squeeze_excite(ops.conv2d(x, w["w"]), w["fc1"], w["fc2"], x)

        for network in (norm, unit, widening, general):
            if network is widening and height == 1:
                continue
            name = f"{network.__name__}-{channels}-{height}x{width}-n{batch}"
            yield Case(name, network, inputs, weights)


def _unit_cases() -> Iterator[Case]:
    """Return cases of residual units that keep a map's size, one after the other."""
    for channels, height, width, batch in ((32, 12, 10, 1), (48, 4, 6, 2)):
        rng, inputs, weights = _base(f"units{channels}", channels, height, width, batch)
        weights |= {name: _kernel(rng, channels, channels, 3) for name in ("w0", "v0", "w1", "v1")}
        weights |= {"slope": _normal(rng, channels), "last": _kernel(rng, 16, channels, 3)}
        weights |= {"fc1": _kernel(rng, 8, channels, 1), "fc2": _kernel(rng, channels, 8, 1)}

        def units(ops: Any, x: Any, w: Any) -> Any:
            x = _features(ops, x, w)
            for number in "01":
                y = ops.conv2d(ops.instance_norm(x), w["w" + number], prelu=w["slope"])
                y = ops.instance_norm(ops.conv2d(y, w["v" + number]))
                x = ops.squeeze_excite(y, w["fc1"], w["fc2"], x)
            y = ops.conv2d(ops.instance_norm(x, prelu=w["slope"]), w["w0"], prelu=w["slope"])
            return ops.conv2d(y, w["last"], stride=2)

        yield Case(f"units-{channels}-{height}x{width}-n{batch}", units, inputs, weights)


def _regional_cases() -> Iterator[Case]:
    shapes = [(16, 24, 4, False, 1), (24, 80, 9, False, 3), (20, 40, 7, True, 1), (48, 32, 20, True, 3),
              (16, 16, 1, True, 1), (64, 64, 35, False, 1), (64, 64, 16, False, 3),
              (16, 24, 40, True, 1)]  # fmt: skip
    for inner, out, side, upsample, batch in shapes:
        for kind in ("one", "twelve", "checkerboard", "bands"):
            name = f"regional-{inner}-{out}-{side}{'-up' if upsample else ''}-{kind}-n{batch}"
            rng, inputs, weights = _base(name, inner, side, side, batch)
            yield _regional(
                name, rng, inputs, weights, (inner, out, side * (2 if upsample else 1)), upsample, kind
            )


def _regional(
    name: str,
    rng: np.random.Generator,
    inputs: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    sizes: tuple[int, int, int],
    upsample: bool,
    kind: str,
) -> Case:
    """Chain a regional convolution, its toRGB, and a plain convolution upsampled with toRGB and skip."""
    inner, out, side = sizes
    batch = len(inputs["pixels"])
    inputs |= {"labels": make_labels(kind, batch, 64, rng), "vectors": _normal(rng, batch, REGIONS, 8)}
    for r in range(REGIONS):
        weights |= {f"m{r}": _normal(rng, 2 * DIM, 8), f"b{r}": _normal(rng, 2 * DIM)}
    weights |= {"avg": _normal(rng, 3, DIM), "w": _normal(rng, out, inner, 3, 3), "gain": _normal(rng, 1)}
    weights |= {"noise": _normal(rng, 1, 1, side, side), "bias": _normal(rng, out)}
    weights |= {"mw": _normal(rng, inner, DIM), "mb": np.ones(inner, np.float32)}
    weights |= {
        "rgb": _normal(rng, 3, out, 1, 1),
        "rw": _normal(rng, out, DIM),
        "rb": np.ones(out, np.float32),
    }
    weights |= {"rgb_bias": _normal(rng, 1, 3, 1, 1), "w2": _normal(rng, out, out, 3, 3)}

    def network(ops: Any, x: Any, w: Any) -> Any:
        layers = [w[f"m{r}"] for r in range(REGIONS)], [w[f"b{r}"] for r in range(REGIONS)]
        codes = ops.latent_codes(ops.region_linear(x["vectors"], *layers), w["avg"])
        masks = ops.resize_labels(x["labels"], side, side)
        styles = ops.modulation(codes, 0, w["mw"], w["mb"])
        y = ops.regional_conv(_features(ops, x, w), w["w"], styles, masks, upsample=upsample,
                              noise=w["noise"], noise_gain=w["gain"], bias=w["bias"])  # fmt: skip
        skip = ops.to_rgb(y, w["rgb"], ops.modulation(codes, 1, w["rw"], w["rb"]), masks, w["rgb_bias"])
        plain = ops.modulation(codes, 2, w["rw"], w["rb"], regional=False)
        y = ops.regional_conv(y, w["w2"], plain, None, upsample=True, bias=w["bias"])
        plain = ops.modulation(codes, 2, w["rw"], w["rb"], regional=False)
        return ops.to_rgb(y, w["rgb"], plain, None, w["rgb_bias"], skip)

    return Case(name, network, inputs, weights)


def _chain_cases() -> Iterator[Case]:
    """Return cases of layers with regions that follow each other."""
    for inner, out, side, batch in ((24, 16, 5, 3), (16, 40, 8, 1)):
        for kind in ("twelve", "bands"):
            name = f"chain-{inner}-{out}-{side}-{kind}-n{batch}"
            rng, inputs, weights = _base(name, inner, side, side, batch)
            inputs |= {
                "labels": make_labels(kind, batch, 64, rng),
                "vectors": _normal(rng, batch, REGIONS, 8),
            }
            for r in range(REGIONS):
                weights |= {f"m{r}": _normal(rng, 3 * DIM, 8), f"b{r}": _normal(rng, 3 * DIM)}
            weights |= {
                "avg": _normal(rng, 4, DIM),
                "bias": _normal(rng, out),
                "rgb": _normal(rng, 3, out, 1, 1),
            }
            weights |= {"rgb_bias": _normal(rng, 1, 3, 1, 1)}
            for number, width in ((0, inner), (1, out), (2, out)):
                weights |= {
                    f"w{number}": _normal(rng, out, width, 3, 3),
                    f"mw{number}": _normal(rng, width, DIM),
                }
                weights[f"mb{number}"] = np.ones(width, np.float32)

            def network(ops: Any, x: Any, w: Any, side: int = side) -> Any:
                layers = [w[f"m{r}"] for r in range(REGIONS)], [w[f"b{r}"] for r in range(REGIONS)]
                codes = ops.latent_codes(ops.region_linear(x["vectors"], *layers), w["avg"])
                y, skip = _features(ops, x, w), None
                for number, wide in enumerate((side, 2 * side, 2 * side)):
                    masks = ops.resize_labels(x["labels"], wide, wide)
                    styles = ops.modulation(codes, number, w[f"mw{number}"], w[f"mb{number}"])
                    y = ops.regional_conv(
                        y, w[f"w{number}"], styles, masks, upsample=number == 1, bias=w["bias"]
                    )
                    if number != 1:
                        styles = ops.modulation(codes, 2, w["mw2"], w["mb2"])
                        skip = ops.to_rgb(y, w["rgb"], styles, masks, w["rgb_bias"], skip)
                return skip

            yield Case(name, network, inputs, weights)


def _last_cases() -> Iterator[Case]:
    """Return cases of a generator's end: a picture, upsampling, and a layer that only its toRGB reads."""
    for inner, out, side, batch in ((24, 16, 5, 1), (16, 40, 8, 3)):
        name = f"last-{inner}-{out}-{side}-n{batch}"
        rng, inputs, weights = _base(name, inner, side, side, batch)
        inputs["vectors"] = _normal(rng, batch, REGIONS, 8)
        for r in range(REGIONS):
            weights |= {f"m{r}": _normal(rng, 2 * DIM, 8), f"b{r}": _normal(rng, 2 * DIM)}
        weights |= {"avg": _normal(rng, 3, DIM), "noise": _normal(rng, 1, 1, 2 * side, 2 * side)}
        for number, width in (("1", inner), ("2", out), ("3", out)):
            weights |= {f"mw{number}": _normal(rng, width, DIM), f"mb{number}": np.ones(width, np.float32)}
        weights |= {"w1": _normal(rng, out, inner, 3, 3), "w2": _normal(rng, out, out, 3, 3)}
        weights |= {"small": _normal(rng, 3, inner, 1, 1), "rgb": _normal(rng, 3, out, 1, 1)}
        weights |= {"rgb_bias": _normal(rng, 1, 3, 1, 1), "bias": _normal(rng, out), "gain": _normal(rng, 1)}

        def network(ops: Any, x: Any, w: Any) -> Any:
            layers = [w[f"m{r}"] for r in range(REGIONS)], [w[f"b{r}"] for r in range(REGIONS)]
            codes = ops.latent_codes(ops.region_linear(x["vectors"], *layers), w["avg"])

            def plain(which: str, w: Any = w) -> Any:
                return ops.modulation(codes, 2, w[f"mw{which}"], w[f"mb{which}"], regional=False)

            y = _features(ops, x, w)
            skip = ops.to_rgb(y, w["small"], plain("1"), None, w["rgb_bias"])
            y = ops.regional_conv(y, w["w1"], plain("1"), None, upsample=True, bias=w["bias"])
            y = ops.regional_conv(y, w["w2"], plain("2"), None, noise=w["noise"], noise_gain=w["gain"],
                                  bias=w["bias"])  # fmt: skip
            return ops.to_rgb(y, w["rgb"], plain("3"), None, w["rgb_bias"], skip)

        yield Case(name, network, inputs, weights)


def _other_cases() -> Iterator[Case]:
    for side, batch in ((1, 1), (6, 3), (13, 1)):
        for kind in ("one", "twelve", "checkerboard", "bands"):
            rng, inputs, weights = _base(f"pool{side}{kind}", 40, side, side, batch)
            inputs["labels"] = make_labels(kind, batch, 32, rng)

            def pool(ops: Any, x: Any, w: Any, side: int = side) -> Any:
                labels = ops.resize_labels(x["labels"], side, side)
                pooled = ops.region_pool(_features(ops, x, w), labels, REGIONS)
                return ops.concat([pooled, pooled], axis=2)

            yield Case(f"pool-{side}-{kind}-n{batch}", pool, inputs, weights)
    for height, width, batch in ((1, 1, 1), (5, 9, 3), (12, 8, 1)):
        rng, inputs, weights = _base(f"resize{height}", 19, height, width, batch)
        for mode in ("bilinear", "bilinear_corners", "nearest"):

            def resize(
                ops: Any, x: Any, w: Any, mode: str = mode, to: Any = (height * 3 + 1, width * 2)
            ) -> Any:
                return ops.resize(_features(ops, x, w), *to, mode)

            yield Case(f"{mode}-{height}x{width}-n{batch}", resize, inputs, weights)
        weights["w"] = _kernel(rng, 150 if height == 12 else 19, 19, 3)  # ADE20K has 150

        def classes(ops: Any, x: Any, w: Any, to: Any = (height * 8, width * 8)) -> Any:
            logits = ops.conv2d(_features(ops, x, w), w["w"])
            return ops.argmax(ops.resize(logits, *to, "bilinear_corners"))

        yield Case(f"argmax-{height}x{width}-n{batch}", classes, inputs, weights, exact_bf16=False)
    for height, width, batch in ((8, 10, 1), (16, 16, 3)):
        rng, inputs, weights = _base(f"cubic{height}", 16, height, width, batch)

        def cubic(ops: Any, x: Any, w: Any) -> Any:
            image = ops.cubic_half(ops.from_uint8(x["pixels"], 0, 1))
            return ops.conv2d(ops.normalize(image, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), w["in"])

        def shrink(ops: Any, x: Any, w: Any) -> Any:
            return ops.conv2d(ops.resize(ops.from_uint8(x["pixels"], -1, 1), 5, 7, "bilinear"), w["in"])

        for network in (cubic, shrink):
            yield Case(f"{network.__name__}-{height}x{width}-n{batch}", network, inputs, weights)


def _mirrored_cases() -> Iterator[Case]:
    """Return cases of convolutions whose border mirrors the map, of leaky slopes and of pictures."""
    for inner, out, stride, height, width, batch in (
        (16, 24, 1, 2, 3, 1), (24, 16, 2, 7, 5, 3), (64, 64, 1, 16, 18, 1), (33, 48, 2, 9, 8, 1),
    ):  # fmt: skip
        name = f"mirrored-{inner}-{out}-s{stride}-{height}x{width}-n{batch}"
        rng, inputs, weights = _base(name, inner, height, width, batch)
        weights |= {
            "w": _kernel(rng, out, inner, 3),
            "v": _kernel(rng, out, inner, 3),
            "b": _normal(rng, out),
        }
        weights |= {"stem": _kernel(rng, inner, 3, 3), "rgb": _kernel(rng, 3, out, 3), "rb": _normal(rng, 3)}

        def network(ops: Any, x: Any, w: Any, stride: int = stride) -> Any:
            """Read one map by a mirrored and an ordinary convolution."""
            x = ops.conv2d(ops.from_uint8(x["pixels"], -1, 1), w["stem"], reflect=True, slope=0.2)
            y = ops.conv2d(x, w["w"], bias=w["b"], stride=stride, reflect=True)
            return ops.add(y, ops.conv2d(x, w["v"], stride=stride, slope=0.1), gain=-0.5)

        def picture(ops: Any, x: Any, w: Any, stride: int = stride) -> Any:
            y = ops.conv2d(_features(ops, x, w), w["w"], bias=w["b"], stride=stride, reflect=True, slope=0.2)
            return ops.conv2d(y, w["rgb"], bias=w["rb"], reflect=min(y.shape[2:]) > 1)

        yield Case(name, network, inputs, weights)
        yield Case(name + "-picture", picture, inputs, weights)


def _dense_cases() -> Iterator[Case]:
    """Return cases of maps that grow by convolutions of all that there is."""
    for width, grown, height, side, batch in ((16, 16, 5, 7, 3), (32, 16, 9, 4, 1), (20, 12, 3, 3, 1)):
        name = f"dense-{width}-{grown}-{height}x{side}-n{batch}"
        rng, inputs, weights = _base(name, width, height, side, batch)
        for i in range(3):
            weights |= {f"w{i}": _kernel(rng, grown, width + i * grown, 3), f"b{i}": _normal(rng, grown)}
        weights["last"] = _kernel(rng, width, width + 3 * grown, 3)

        def network(ops: Any, x: Any, w: Any) -> Any:
            block = x = _features(ops, x, w)
            for i in range(3):
                y = ops.conv2d(block, w[f"w{i}"], bias=w[f"b{i}"], slope=0.2)
                block = ops.concat([block, y])
            y = ops.add(x, ops.conv2d(block, w["last"]), gain=0.2)
            return ops.add(x, y, gain=0.5, relu=True)

        def both(ops: Any, x: Any, w: Any) -> Any:
            """Begin two wider maps with the same one."""
            x = _features(ops, x, w)
            pair = ops.concat([x, ops.conv2d(x, w["w0"])])
            three = ops.concat([pair, ops.conv2d(pair, w["w1"])])
            other = ops.concat([pair, ops.conv2d(pair, w["w1"], relu=True)])
            return ops.add(ops.conv2d(three, w["w2"]), ops.conv2d(other, w["w2"]))

        yield Case(name, network, inputs, weights)
        yield Case(name + "-both", both, inputs, weights)


def _style_cases() -> Iterator[Case]:
    """Return cases of a generator whose styles and injected features come from an encoder."""
    for inner, out, side, batch in ((16, 16, 2, 3), (24, 32, 3, 1), (20, 24, 4, 1)):
        name = f"style-{inner}-{out}-{side}-n{batch}"
        rng, inputs, weights = _base(name, inner, 2 * side, 2 * side, batch)
        weights |= {"e0": _normal(rng, inner, 3, 1, 1), "f0": _normal(rng, inner)}
        weights |= {"e1": _normal(rng, out, inner, 3, 3), "f1": _normal(rng, out)}
        weights |= {"flat": _normal(rng, DIM, out * side * side), "fb": _normal(rng, DIM)}
        weights |= {"map": 100 * _normal(rng, DIM, DIM), "mb": _normal(rng, DIM), "gain": _normal(rng, 1)}
        for number, depth in (("1", out), ("2", 2 * out), ("3", out + inner)):
            weights |= {f"mw{number}": _normal(rng, depth, DIM), f"mb{number}": np.ones(depth, np.float32)}
        weights |= {"w1": _normal(rng, out, out, 3, 3), "b1": _normal(rng, 2 * out)}
        weights |= {"w2": _normal(rng, out, 2 * out, 3, 3), "b2": _normal(rng, out + inner)}
        weights |= {"rgb": _normal(rng, 3, out + inner, 1, 1), "rgb_bias": _normal(rng, 1, 3, 1, 1)}

        def network(ops: Any, x: Any, w: Any) -> Any:
            fine = ops.equal_conv(ops.from_uint8(x["pixels"], -1, 1), w["e0"], w["f0"])
            coarse = ops.equal_conv(ops.blur(fine), w["e1"], w["f1"], stride=2)
            z = ops.rms_norm(ops.flat_linear(coarse, w["flat"], w["fb"]))
            z = ops.equal_linear(z, w["map"], w["mb"], rate=0.01, activated=True)

            def style(which: str) -> Any:
                return ops.equal_linear(z, w[f"mw{which}"], w[f"mb{which}"])

            y = ops.regional_conv(coarse, w["w1"], style("1"))
            y = ops.inject(y, coarse, w["gain"], w["b1"])
            y = ops.regional_conv(y, w["w2"], style("2"), upsample=True)
            y = ops.inject(y, fine, w["gain"], w["b2"])
            return ops.to_rgb(y, w["rgb"], style("3"), None, w["rgb_bias"])

        def injected(ops: Any, x: Any, w: Any) -> Any:
            """Inject after what no bias can be folded into."""
            x = _features(ops, x, w)
            twice = ops.inject(x, x, w["gain"], w["both"])
            return ops.blur(ops.add(twice, twice))

        weights["both"] = _normal(rng, 2 * inner)
        yield Case(name, network, inputs, weights)
        yield Case(name + "-injected", injected, inputs, weights)


def _deep_kernel(rng: np.random.Generator, out: int, inner: int, size: int) -> np.ndarray:
    return _normal(rng, out, inner, size, size, size) / np.float32(np.sqrt(inner * size**3))


def _volume_cases() -> Iterator[Case]:
    """Return cases of volumes: convolutions over slices, and channels as slices and back."""
    for inner, out, size, depth, height, width, batch in (
        (16, 24, 3, 1, 1, 1, 1), (20, 16, 3, 4, 5, 3, 3), (12, 40, 7, 5, 2, 4, 1), (16, 80, 1, 3, 7, 7, 1),
        (33, 16, 3, 2, 9, 6, 2), (64, 48, 3, 3, 16, 18, 2),
    ):  # fmt: skip
        name = f"volume-{inner}-{out}-k{size}-{depth}x{height}x{width}-n{batch}"
        rng, inputs, weights = _base(name, inner * depth, height, width, batch)
        weights |= {"w": _deep_kernel(rng, out, inner, size), "b": _normal(rng, out)}
        weights |= {n: _normal(rng, out) for n in ("gain", "bias", "mean")}
        weights["var"] = np.square(_normal(rng, out)) + np.float32(0.5)
        weights |= {"v": _deep_kernel(rng, out, out, 3), "vb": _normal(rng, out)}
        weights |= {"flat": _kernel(rng, 20, out * depth, 3), "fb": _normal(rng, 20)}
        weights |= {"few": _kernel(rng, 2, inner * depth, 5), "fewb": _normal(rng, 2)}
        weights |= {"one": _kernel(rng, 1, inner * depth, 7), "oneb": _normal(rng, 1)}

        def network(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            x = ops.split_slices(_features(ops, x, w), depth)
            norm = [w[name] for name in ("gain", "bias", "mean", "var")]
            y = ops.batch_norm(ops.conv3d(x, w["w"], w["b"], depth=depth), *norm, relu=True)
            y = ops.add(ops.conv3d(y, w["v"], w["vb"], depth=depth), y, relu=True)
            return ops.conv_slices(y, w["flat"], w["fb"], depth=depth)

        def few(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            """Convolve to a few outputs, whose taps are computed apart."""
            x = ops.split_slices(_features(ops, x, w), depth)
            y = ops.conv_slices(x, w["few"], w["fewb"], depth=depth)
            return ops.concat([y, ops.conv_slices(x, w["one"], w["oneb"], depth=depth)])

        def joined(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            """Concatenate what two convolutions make of a volume."""
            x = ops.split_slices(_features(ops, x, w), depth)
            y = ops.conv3d(x, w["w"], w["b"], depth=depth)
            return ops.concat([y, ops.conv3d(y, w["v"], w["vb"], depth=depth)])

        yield Case(name, network, inputs, weights)
        yield Case(name + "-joined", joined, inputs, weights)
        yield Case(name + "-few", few, inputs, weights)


def _motion_cases() -> Iterator[Case]:
    """Return cases of key points and of volumes moved by them, some of them out of the volume."""
    for channels, points, depth, height, width, batch in (
        (4, 5, 3, 6, 5, 1), (17, 4, 4, 7, 9, 3), (16, 15, 1, 1, 1, 1),
    ):  # fmt: skip
        name = f"motion-{channels}-{points}-{depth}x{height}x{width}-n{batch}"
        rng, inputs, weights = _base(name, channels * depth, height, width, batch)
        weights |= {"k": _deep_kernel(rng, points, channels, 3), "kb": _normal(rng, points)}
        every = (points + 1) * (1 + channels)
        weights |= {"m": _deep_kernel(rng, points + 1, every, 3), "mb": _normal(rng, points + 1)}
        inputs["vectors"] = rng.uniform(-1.5, 1.5, (batch, points, 3)).astype(np.float32)

        def heat(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            x = ops.split_slices(_features(ops, x, w), depth)
            return ops.soft_argmax(ops.conv3d(x, w["k"], w["kb"], depth=depth), depth=depth, temperature=0.5)

        def moved(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            points = x["vectors"]
            x = ops.split_slices(_features(ops, x, w), depth)
            driving = ops.soft_argmax(
                ops.conv3d(x, w["k"], w["kb"], depth=depth), depth=depth, temperature=0.5
            )
            return ops.sparse_motion(x, points, driving, depth=depth)

        def warped(ops: Any, x: Any, w: Any, depth: int = depth) -> Any:
            points = x["vectors"]
            x = ops.split_slices(_features(ops, x, w), depth)
            y = ops.sparse_motion(x, points, points, depth=depth)
            logits = ops.conv3d(y, w["m"], w["mb"], depth=depth)
            driving = ops.soft_argmax(
                ops.conv3d(x, w["k"], w["kb"], depth=depth), depth=depth, temperature=0.5
            )
            return ops.warp(x, logits, points, driving, depth=depth)

        yield Case(name + "-heat", heat, inputs, weights)
        for network in (moved, warped):
            yield Case(f"{name}-{network.__name__}", network, inputs, weights)


def _spade_cases() -> Iterator[Case]:
    for channels, style, height, width, batch in ((16, 24, 1, 1, 1), (24, 16, 5, 7, 3), (64, 40, 16, 18, 1)):
        name = f"spade-{channels}-{style}-{height}x{width}-n{batch}"
        rng, inputs, weights = _base(name, channels, height, width, batch)
        weights |= {"s": _kernel(rng, style, 3, 3)}
        for part in ("gamma", "beta"):
            weights |= {part: _kernel(rng, channels, style, 3), f"{part}_b": _normal(rng, channels)}
        weights |= {"w": _kernel(rng, channels, channels, 3), "u": _normal(rng, channels)}
        weights |= {"v": _normal(rng, channels * 9), "rgb": _kernel(rng, 3, channels, 3)}
        weights |= {"o": _kernel(rng, 1, style, 3), "rb": _normal(rng, 3)}

        def network(ops: Any, x: Any, w: Any) -> Any:
            style = ops.conv2d(ops.from_uint8(x["pixels"], 0, 1), w["s"], relu=True)
            x = _features(ops, x, w)
            maps = [w[name] for name in ("gamma", "gamma_b", "beta", "beta_b")]
            y = ops.spade(x, style, *maps, slope=0.2)
            y = ops.conv2d(y, ops.spectral_norm(w["w"], w["u"], w["v"]))
            mirrored = min(style.shape[2:]) > 1
            return ops.add(y, ops.spade(x, style, *maps, reflect=mirrored))

        def picture(ops: Any, x: Any, w: Any) -> Any:
            """Gate pixels and draw them."""
            style = ops.conv2d(ops.from_uint8(x["pixels"], 0, 1), w["s"], relu=True)
            x = ops.gate(_features(ops, x, w), ops.conv2d(style, w["o"]))
            return ops.sigmoid(ops.conv2d(ops.activation(x, slope=0.2), w["rgb"], bias=w["rb"]))

        yield Case(name, network, inputs, weights)
        yield Case(name + "-picture", picture, inputs, weights)


def _transformer_cases() -> Iterator[Case]:
    """Return cases of depthwise convolutions, of norms of pixels and of groups, and of factorisations."""
    shapes = ((16, 1, 1, 1), (20, 3, 5, 3), (48, 23, 12, 1), (64, 9, 40, 1), (33, 2, 31, 3))
    kernels = ((1, 7), (7, 1), (1, 21), (11, 1), (5, 5), (3, 3))
    for index, (width, height, side, batch) in enumerate(shapes):
        for down, across in kernels[index % 2 :: 2]:
            name = f"depthwise-{width}-{down}x{across}-{height}x{side}-n{batch}"
            rng, inputs, weights = _base(name, width, height, side, batch)
            weights |= {"d": _normal(rng, width, 1, down, across) / np.float32(down * across) ** 0.5}
            weights |= {"b": _normal(rng, width), "s": _normal(rng, width)}
            weights |= {"w": _kernel(rng, width, width, 1)}

            def depthwise(ops: Any, x: Any, w: Any) -> Any:
                """Use a kernel before a GELU and added to a map; fuse a factor into a convolution."""
                x = ops.gelu(_features(ops, x, w))
                y = ops.gelu(ops.depthwise(x, w["d"], w["b"]))
                y = ops.add(y, ops.depthwise(y, w["d"], w["b"]))
                y = ops.multiply(ops.conv2d(y, w["w"]), x)
                return ops.add(x, ops.layer_scale(ops.conv2d(y, w["w"], bias=w["b"]), w["s"]))

            yield Case(name, depthwise, inputs, weights)
        name = f"norms-{width}-{height}x{side}-n{batch}"
        rng, inputs, weights = _base(name, width, height, side, batch)
        weights |= {"g": _normal(rng, width), "b": _normal(rng, width), "w": _kernel(rng, width, width, 1)}

        def norms(ops: Any, x: Any, w: Any, groups: int = width // 4 if width % 4 == 0 else 3) -> Any:
            x = ops.layer_norm(_features(ops, x, w), w["g"], w["b"])
            x = ops.group_norm(ops.conv2d(x, w["w"], bias=w["b"]), w["g"], w["b"], groups, relu=True)
            return ops.add(x, ops.group_norm(x, w["b"], w["g"], 1))

        yield Case(name, norms, inputs, weights)
    for width, rank, height, side, batch in (
        (16, 16, 5, 7, 1),
        (40, 5, 9, 3, 3),
        (24, 64, 12, 14, 1),
        (33, 20, 1, 1, 1),
    ):
        name = f"nmf-{width}-r{rank}-{height}x{side}-n{batch}"
        rng, inputs, weights = _base(name, width, height, side, batch)
        weights |= {"b": np.abs(_normal(rng, width)), "w": _kernel(rng, width, width, 1)}

        def nmf(ops: Any, x: Any, w: Any, rank: int = rank) -> Any:
            y = ops.conv2d(_features(ops, x, w), w["w"], bias=w["b"], relu=True)
            return ops.conv2d(ops.nmf(y, rank=rank, seed=3), w["w"])

        yield Case(name, nmf, inputs, weights)


def _attention_cases() -> Iterator[Case]:
    """Return cases of attention within parts: some in one picture only, some of one pixel, some alone."""
    for channels, height, width, batch, count in ((16, 1, 1, 1, 1), (24, 9, 7, 3, 4), (40, 20, 23, 1, 11)):
        name = f"attention-{channels}-{height}x{width}-n{batch}-p{count}"
        rng, inputs, weights = _base(name, channels, height, width, batch)
        for which in ("labels", "labels_of_keys"):
            inputs[which] = rng.integers(0, count + 1, (batch, height, width)).astype(np.uint8)
        if count > 1:  # a part that the keys lack, and one that only they have
            inputs["labels"][inputs["labels"] == 2] = 1
            inputs["labels_of_keys"][inputs["labels_of_keys"] == 1] = 2
        # Most places show the same part in both pictures, as faces do.
        same = rng.random((batch, height, width)) < 0.7
        inputs["labels_of_keys"][same] = inputs["labels"][same]
        weights |= {"keys": _kernel(rng, channels, channels, 3), "t": np.array(9.0, np.float32)}

        def network(ops: Any, x: Any, w: Any) -> Any:
            own = _features(ops, x, w)
            keys = ops.conv2d(own, w["keys"])
            colours = ops.from_uint8(x["pixels"], 0, 1)
            return ops.part_attention(own, keys, x["labels"], x["labels_of_keys"], colours, w["t"])

        yield Case(name, network, inputs, weights)


def _conditioned_cases() -> Iterator[Case]:
    """Return cases of GCFSR's layers: padded equalised convolutions, codes in a vector, the mix."""
    for channels, side, batch in ((16, 1, 1), (24, 7, 3), (64, 16, 1)):
        name = f"conditioned-{channels}-{side}-n{batch}"
        rng, inputs, weights = _base(name, channels, side, side, batch)
        inputs["share"] = _normal(rng, batch, 1, 1)
        weights |= {"e": _normal(rng, channels, channels, 3, 3), "s": _normal(rng, channels, channels, 3, 3)}
        weights |= {"m": _normal(rng, channels, channels, 3, 3), "mw": _normal(rng, channels, DIM)}
        weights |= {"mb": np.ones(channels, np.float32), "gain": _normal(rng, 1)}
        weights |= {f"w{i}": _normal(rng, channels, 1) for i in (1, 2)}
        weights |= {"l": _normal(rng, 3 * DIM, channels), "lb": _normal(rng, 3 * DIM)}
        weights |= {n: _normal(rng, channels) for n in ("eb", "sb", "b1", "b2", "b")}

        def network(ops: Any, x: Any, w: Any, side: int = side) -> Any:
            mean = ops.global_mean(_features(ops, x, w))
            codes = ops.split_codes(ops.flat_linear(mean, w["l"], w["lb"]), 3)
            features = ops.equal_conv(_features(ops, x, w), w["e"], w["eb"], pad=1)
            shift = ops.equal_conv(features, w["s"], w["sb"], pad=1, activated=False)
            y = ops.regional_conv(
                features,
                w["m"],
                ops.modulation(codes, 2, w["mw"], w["mb"]),
                noise=ops.fixed_noise(w["gain"], 1, side),
                noise_gain=w["gain"],
            )
            return ops.condition(y, shift, x["share"], w["w1"], w["b1"], w["w2"], w["b2"], w["b"])

        yield Case(name, network, inputs, weights)


def _quarter_cases() -> Iterator[Case]:
    """Return cases of a picture reduced to a quarter, and of heads over the mean of a map."""
    for height, width, batch in ((1, 1, 1), (18, 7, 3), (32, 45, 1)):
        rng, inputs, weights = _base(f"quarter{height}", 16, height, width, batch)
        weights |= {"a": _normal(rng, 7, 16), "ab": _normal(rng, 7), "b": _normal(rng, 3, 16)}
        weights["bb"] = _normal(rng, 3)

        def quarter(ops: Any, x: Any, w: Any) -> Any:
            return ops.conv2d(ops.gaussian_quarter(ops.from_uint8(x["pixels"], 0, 1)), w["in"])

        def heads(ops: Any, x: Any, w: Any) -> Any:
            x = ops.global_mean(_features(ops, x, w))
            return ops.linear(x, [w["a"], w["b"]], [w["ab"], w["bb"]])

        for network in (quarter, heads):
            yield Case(f"{network.__name__}-{height}x{width}-n{batch}", network, inputs, weights)


CASES = [
    *_conv_cases(),
    *_stem_cases(),
    *_residual_cases(),
    *_norm_cases(),
    *_unit_cases(),
    *_regional_cases(),
    *_chain_cases(),
    *_last_cases(),
    *_mirrored_cases(),
    *_dense_cases(),
    *_style_cases(),
    *_volume_cases(),
    *_motion_cases(),
    *_spade_cases(),
    *_attention_cases(),
    *_conditioned_cases(),
    *_quarter_cases(),
    *_transformer_cases(),
    *_other_cases(),
]
