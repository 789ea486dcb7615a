"""Types of values in requests: pictures, labels, landmarks, options; in JSON and in the text of forms."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from e4s_engine.faces import choose
from e4s_engine.options import SwapOptions

MARK = "contentEncoding"  # in a schema: bytes, base64 in JSON and a file in a form
_LEFT_OUT = ("full_face",)  # of the options: answers hold no generated face


def _decoded(value: Any) -> Any:
    """Return bytes: those of a form's file, or base64 text decoded."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"expected base64 ({error})") from error


def _parsed(value: Any) -> Any:
    """Return the JSON of a form's text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("expected JSON, such as [[38.5, 40], ...]") from error


def _numbers(value: Any) -> Any:
    """Return numbers of faces of a form's text: "1", "0,2"."""
    if not isinstance(value, str) or value in choose.NAMES:
        return value
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError:
        return value
    return numbers[0] if len(numbers) == 1 else numbers


def _bytes(description: str) -> Any:
    schema = {"type": "string", MARK: "base64", "description": description}
    return Annotated[bytes, BeforeValidator(_decoded), WithJsonSchema(schema)]


Picture = _bytes("a picture file, at least 32 x 32 pixels")
Markable = _bytes("a picture file, or a video: MP4, MOV")
Person = _bytes("a picture file, or a saved face (`/v1/encode`)")
Labels = _bytes("a one-channel PNG of the aligned crop's regions, 0 to 11")
Points = Annotated[
    list[Annotated[list[float], Field(min_length=2, max_length=2)]],
    BeforeValidator(_parsed),
    Field(min_length=5, max_length=68, description="[x, y] in pixels of the photo, 68 (iBUG order) or 5"),
]
Names = Annotated[
    str | list[str | int],
    Field(description="names, presets or ids of regions: `eyes,nose` or a list", examples=["eyes,nose"]),
]
Number = Annotated[int, Field(ge=0)]
Which = Annotated[
    Literal["largest", "all", "left", "right"] | Number | Annotated[list[Number], Field(min_length=1)],
    BeforeValidator(_numbers),
]
OneFace = Annotated[Literal["largest", "left", "right"] | Number, BeforeValidator(_numbers)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Choice = Literal["auto"] | bool


class Body(BaseModel):
    """Base of all requests: a name that is no field is an error, as it would be dropped in silence."""

    model_config = ConfigDict(extra="forbid")


class Written(Body):
    """Requests for pictures."""

    format: Literal["png", "jpeg", "webp"] = Field("png", description="format of the answer's picture")
    quality: int | None = Field(None, ge=1, le=100, description="of JPEG and WebP")


def _option(field: dataclasses.Field[Any]) -> tuple[Any, Any]:
    """Return type and default of an option of a swap, as its declaration says."""
    kind: Any
    if field.name == "faces":
        kind = Which
    elif field.name == "recolor":
        kind = Share | Choice  # in this order: the text "1" of a form is a share
    elif isinstance(field.default, bool):
        kind = bool
    elif "choices" in field.metadata:
        kind = Literal[tuple(field.metadata["choices"])]
    elif field.default == "auto":
        kind = Choice
    else:
        kind = Share
    return kind, Field(field.default, description=field.metadata["meaning"])


def request(
    name: str,
    fields: dict[str, Any],
    *,
    base: type[Body] = Body,
    with_options: bool = False,
    without: tuple[str, ...] = (),
) -> type[BaseModel]:
    """Return the model of a request: its fields, those of `base`, and the options of a swap but `without`."""
    chosen = [f for f in dataclasses.fields(SwapOptions) if f.name not in (*without, *_LEFT_OUT)]
    given: dict[str, Any] = {field.name: _option(field) for field in chosen} if with_options else {}
    return create_model(name, __base__=base, **fields, **given)


def options(body: BaseModel) -> SwapOptions:
    """Return the options of a request. Raises ArgumentError."""
    names = [field.name for field in dataclasses.fields(SwapOptions) if hasattr(body, field.name)]
    return SwapOptions(**{name: getattr(body, name) for name in names})
