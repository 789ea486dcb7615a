"""Registry of networks, one line each. A new network adds its line here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from e4s_engine.errors import WeightsError
from e4s_engine.networks.bisenet.network import BISENET
from e4s_engine.networks.facevid2vid.network import FACEVID2VID
from e4s_engine.networks.gpen.network import GPEN
from e4s_engine.networks.inpaint.network import INPAINT
from e4s_engine.networks.network import Network, Shape, Shapes
from e4s_engine.networks.parsenet.network import PARSENET
from e4s_engine.networks.recolor.network import RECOLOR
from e4s_engine.networks.retinaface.network import RETINAFACE
from e4s_engine.networks.rgi.network import RGI
from e4s_engine.networks.rrdbnet.network import REALESRGAN, RRDBNET
from e4s_engine.networks.segnext.network import SEGNEXT

NETWORKS: dict[str, Network] = {
    RGI.kind: RGI,
    BISENET.kind: BISENET,
    RETINAFACE.kind: RETINAFACE,
    PARSENET.kind: PARSENET,
    RRDBNET.kind: RRDBNET,
    GPEN.kind: GPEN,
    FACEVID2VID.kind: FACEVID2VID,
    REALESRGAN.kind: REALESRGAN,
    SEGNEXT.kind: SEGNEXT,
    RECOLOR.kind: RECOLOR,
    INPAINT.kind: INPAINT,
}


def get(kind: str) -> Network:
    """Return a network by its kind. Raises WeightsError for a kind that the registry does not have."""
    if kind not in NETWORKS:
        raise WeightsError(f"weights: unknown kind of model {kind!r}, expected one of {', '.join(NETWORKS)}")
    return NETWORKS[kind]


def of(config: Any) -> Network:
    """Return the network that a config belongs to."""
    return next(network for network in NETWORKS.values() if type(config) is network.config)


def kind_of(config: Any) -> str:
    """Return the kind of the network that a config belongs to."""
    return of(config).kind


def tensors(config: Any) -> dict[str, Shape]:
    """Return every tensor that a network of this config reads, key -> shape."""
    return of(config).tensors(config)


def to_json(config: Any) -> str:
    """Return the config as JSON, for the header of a weight file."""
    return json.dumps(dataclasses.asdict(config), sort_keys=True)


def from_json(kind: str, text: str) -> Any:
    """Return the config that a weight file's header holds. Raises WeightsError if it is not one."""
    network = get(kind)
    try:
        fields: dict[str, Any] = json.loads(text)
        return network.config(**{name: _frozen(value) for name, value in fields.items()})
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"weights: the header holds no valid {kind} config ({error}); convert the file again"
        ) from error


def recognise(shapes: Shapes) -> Any:
    """Return the config of an official state dict, by its shapes. Raises WeightsError for any other."""
    for network in NETWORKS.values():
        if network.recognise(shapes):
            return network.infer(shapes)
    raise WeightsError("weights: no network has tensors of these names")


def titles() -> str:
    """Return the titles of all networks for an error message: "A nor B"."""
    return " nor ".join(network.title for network in NETWORKS.values())


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
