"""Recipes: everything that determines what a training run computes, as data.

A run is a function of its recipe and its data alone. `NAMED` holds the built-in recipes; `from_json` reads
one from a file, `changed` replaces single values (`--set name=value` on the command line).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from e4s_engine.errors import ArgumentError
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Duration and learning rates. `rate` is Adam's; `batch` counts pictures per step over all devices."""

    steps: int = 300_000
    batch: int = 16
    rate: float = 1e-4
    encoder_rate: float = 1.0  # factor on `rate` for the encoder, whose layers are not equalised
    muon: float = 0.0  # Muon's rate for weight matrices, relative to their initial scale; 0: Adam for all
    warmup: int = 0  # steps over which the rate rises from 0
    decay: str = "step"  # "step": times 0.1 at decay_from; "cosine": to 0 from decay_from to the end
    decay_from: int = 100_000
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0  # maximum gradient norm; 0: no clipping
    ema: float = 0.999  # decay of the EMA that is exported

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.rate <= 0 or self.warmup < 0 or self.muon < 0:
            raise ArgumentError(f"schedule: impossible: {self}")
        if self.decay not in ("step", "cosine") or not 0 <= self.ema < 1:
            raise ArgumentError(f"schedule: decay {self.decay!r} (step, cosine), ema {self.ema} (0 to 1)")


@dataclasses.dataclass(frozen=True)
class Pool:
    """Number of rendered items to draw from: `start`, plus `per_step` for each step, up to `count`.

    The pool grows with the step, not with the clock, so that rendering during training changes no result:
    a trainer that is ahead of the renderers waits.
    """

    start: int = 2048
    per_step: float = 0.0
    count: int = 2048


Growth = tuple[tuple[int, int], ...]


def side_at(growth: Growth, step: int, full: int) -> int:
    """Return the side of a step's pictures. growth: (first step, side) in order; (): always the full side.

    Training begins with small pictures (progressive growing, Karras et al. 2018): they teach most of what
    there is to learn, at a fraction of the cost.
    """
    return next((side for first, side in reversed(growth) if first <= step), full)


def grown_at(growth: Growth, step: int) -> int:
    """Return the first step with the side that a step's pictures have."""
    return next((first for first, _ in reversed(growth) if first <= step), 0)


def _check_growth(growth: Growth, full: int) -> None:
    firsts, sides = [first for first, _ in growth], [side for _, side in growth]
    known = all(8 <= side <= full and side & (side - 1) == 0 for side in sides)
    if growth and not (firsts[0] == 0 and firsts == sorted(firsts) and sides == sorted(sides) and known):
        raise ArgumentError(f"growth: expected rising (step, side) from step 0, sides 8 to {full}: {growth}")


@dataclasses.dataclass(frozen=True)
class RgiRecipe:
    """Training of an RGI model. Loss weights are the paper's for the terms it has."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    pool: Pool = dataclasses.field(default_factory=Pool)
    seed: int = 0
    flip: bool = True
    l2: float = 1.0
    perceptual: float = 0.8
    structure: float = 0.0  # weight of 1 - SSIM; not in the paper
    emphasis: float = 0.0  # exponent of 1 / (a region's share of the picture), its pixels' weight
    parsing: float = 0.1  # needs a parser
    adversarial: float = 0.01
    adversarial_from: int = 0  # the first step with a discriminator
    adversarial_every: int = 15  # the discriminator learns every so many steps
    r1: float = 0.0
    r1_every: int = 16  # discriminator steps per R1 penalty
    critic_channels: int = 512  # maximum number of the discriminator's channels
    critic_rate: float = 1e-4
    swap: float = 0.0  # weight of swaps against their exact answers (rendered pairs only); not in the paper
    freeze_convs: int = 0  # number of the generator's last convolutions to freeze (4 as published)
    freeze_to_rgbs: int = 0  # number of its last toRGB layers to freeze (3 as published)
    freeze_encoder: bool = False  # style vectors stay as they are: most convolutions have no gradients
    growth: Growth = ()  # sides of the generated pictures; the encoder sees pictures of twice the side

    def __post_init__(self) -> None:
        _check_growth(self.growth, self.model.size)
        full_from = self.growth[-1][0] if self.growth else 0
        if self.adversarial and self.adversarial_from < full_from:
            raise ArgumentError(f"adversarial_from: the discriminator needs the full size, from {full_from}")


@dataclasses.dataclass(frozen=True)
class ParserRecipe:
    """Training of a parser: cross entropy and soft Dice per region."""

    model: ParserConfig = dataclasses.field(default_factory=lambda: ParserConfig(classes=12, table="regions"))
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    pool: Pool = dataclasses.field(default_factory=Pool)
    seed: int = 0
    flip: bool = True
    dice: float = 1.0
    jitter: float = 0.2  # strength of random brightness, contrast and colour
    side: int = 512  # side of the network's input
    growth: Growth = ()

    def __post_init__(self) -> None:
        _check_growth(self.growth, self.side)
        if self.model.table != "regions":
            raise ArgumentError(f"model: parsers are trained on the regions, not on {self.model.table!r}")


Recipe = RgiRecipe | ParserRecipe

PAPER = RgiRecipe(freeze_convs=4, freeze_to_rgbs=3)

_SMALL = ModelConfig(
    size=256,
    channels=(192, 192, 192, 160, 112, 72, 40),
    latents=14,
    latent_dim=96,
    injected=14,  # every layer: a small generator cannot afford a layer that all regions share
    mlp_hidden=128,
    stem=32,
    # Only the finest tap sees eyes and lips (the others sample past them), so it is wide.
    stages=((48, 1), (128, 2), (160, 3), (224, 2)),
    relight=64,
)
DEMO = RgiRecipe(
    model=_SMALL,
    schedule=Schedule(
        steps=10_000,
        batch=24,
        rate=2e-3,
        encoder_rate=0.25,
        muon=4e-3,
        warmup=100,
        decay="cosine",
        decay_from=3000,
        betas=(0.9, 0.99),
        clip=5.0,
        ema=0.998,
    ),
    pool=Pool(start=1024, per_step=1.0, count=10_240),
    l2=4.0,
    perceptual=0.8,
    emphasis=0.3,
    parsing=0.05,
    adversarial=0.002,
    adversarial_from=7500,
    adversarial_every=2,
    r1=1.0,
    critic_channels=128,
    critic_rate=1e-3,
    swap=0.75,
)
# For two CPU cores and some hours: a narrower model, small pictures first, no discriminator.
DEMO_CPU = dataclasses.replace(
    DEMO,
    model=dataclasses.replace(
        _SMALL,
        channels=(192, 192, 192, 128, 80, 48, 24),
        stem=16,
        stages=((32, 1), (96, 2), (160, 3), (192, 2)),
    ),
    schedule=dataclasses.replace(DEMO.schedule, steps=2950, batch=8, decay_from=1200),
    pool=Pool(start=1024, per_step=1.0, count=2048),
    growth=((0, 32), (500, 64), (2000, 128), (2600, 256)),
    adversarial=0.0,
)
# Continue from the model of "demo-cpu" (`--init`), at the full size.
DEMO_CPU_MORE = dataclasses.replace(
    DEMO_CPU,
    schedule=dataclasses.replace(
        DEMO_CPU.schedule, steps=1000, rate=1.5e-3, muon=3e-3, warmup=50, decay_from=200, ema=0.99
    ),
    pool=Pool(start=2048, per_step=1.0, count=2048),
    growth=(),
    structure=0.25,
    seed=1,
)
PARSER_DEMO = ParserRecipe(
    model=ParserConfig(12, (32, 32, 64, 96, 128), context=64, fusion=128, table="regions"),
    schedule=Schedule(
        steps=5000, batch=32, rate=2e-3, warmup=100, decay="cosine", decay_from=500, clip=5.0, ema=0.995
    ),
    pool=Pool(start=1024, per_step=0.5, count=3072),
)
PARSER_DEMO_CPU = dataclasses.replace(
    PARSER_DEMO,
    schedule=dataclasses.replace(PARSER_DEMO.schedule, steps=3300, batch=8),
    pool=Pool(start=256, per_step=1.0, count=2048),
    growth=((0, 256), (2700, 512)),
)
# Continue from the parser of "parser-demo-cpu" (`--init`), at the full size.
PARSER_DEMO_CPU_MORE = dataclasses.replace(
    PARSER_DEMO_CPU,
    schedule=dataclasses.replace(
        PARSER_DEMO_CPU.schedule, steps=1000, rate=1e-3, muon=3e-3, warmup=30, decay_from=100, ema=0.99
    ),
    pool=Pool(start=2048, per_step=1.0, count=2048),
    growth=(),
    seed=1,
)

NAMED: dict[str, Recipe] = {
    "paper": PAPER,
    "demo": DEMO,
    "demo-cpu": DEMO_CPU,
    "demo-cpu-more": DEMO_CPU_MORE,
    "parser-demo": PARSER_DEMO,
    "parser-demo-cpu": PARSER_DEMO_CPU,
    "parser-demo-cpu-more": PARSER_DEMO_CPU_MORE,
}


def to_json(recipe: Recipe) -> str:
    """Return the recipe as JSON."""
    kind = registry.kind_of(recipe.model)
    return json.dumps({"kind": kind, **dataclasses.asdict(recipe)}, indent=1, sort_keys=True)


def from_json(text: str) -> Recipe:
    """Read a recipe that `to_json` wrote; missing values get their defaults. Raises ArgumentError."""
    try:
        fields: dict[str, Any] = json.loads(text)
        kind = fields.pop("kind")
        factory = RgiRecipe if kind == "rgi" else ParserRecipe
        parts: dict[str, Any] = {"schedule": Schedule, "pool": Pool, "model": registry.get(kind).config}
        for name, value in fields.items():
            if name in parts:
                fields[name] = parts[name](**{k: _tuples(v) for k, v in value.items()})
            else:
                fields[name] = _tuples(value)
        return factory(**fields)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ArgumentError(f"recipe: not a valid recipe ({error})") from error


def changed(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """Replace a recipe's values by "name=value" or "part.name=value" (JSON values). Raises ArgumentError.

    Changes are made together: values of a part that only fit each other can be changed one by one.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator:
            raise ArgumentError(f"--set: expected NAME=VALUE, got {change!r}")
        try:
            values[name] = _tuples(json.loads(text))
        except ValueError:
            values[name] = text
    return _replaced(recipe, values, "")


def _replaced(holder: Any, values: dict[str, Any], prefix: str) -> Any:
    """Replace fields of a dataclass by name, or by "name.name" those of its parts."""
    fields = dataclasses.fields(holder) if dataclasses.is_dataclass(holder) else ()
    known = {field.name: getattr(holder, field.name) for field in fields}
    replaced: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if first not in known:
            raise ArgumentError(f"--set: unknown {prefix + name!r}; known here are: {', '.join(known)}")
        if rest:
            parts.setdefault(first, {})[rest] = value
        else:
            replaced[name] = _of_type(known[name], value, prefix + name)
    for name, inner in parts.items():
        replaced[name] = _replaced(known[name], inner, f"{prefix}{name}.")
    return dataclasses.replace(holder, **replaced)


def _of_type(old: Any, value: Any, name: str) -> Any:
    """Return a value in the type of the one that it replaces. Raises ArgumentError."""
    if isinstance(old, float) and isinstance(value, int):
        value = float(value)
    if not isinstance(value, type(old)):
        raise ArgumentError(f"--set: {name} is {type(old).__name__}, got {value!r}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
