"""What the service says about itself: OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from e4s_engine.serve.bodies import FORM, JSON
from e4s_engine.serve.calls import Call
from e4s_engine.serve.fields import MARK
from e4s_engine.serve.refusals import MEANINGS

Schema = dict[str, Any]
JSON_ONLY = "also"  # a form has no lists of objects
_BYTES = {"type": "string", "format": "binary"}
_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAEklEQVR42mNgGAWjYBSMAuwAAAQgAAF8we+4AAAAAElFTkSuQmCC"
)
_EXAMPLES: dict[str, Any] = {
    "source": _PICTURE, "target": _PICTURE, "image": _PICTURE, "reference": _PICTURE, "images": [_PICTURE],
    "file": _PICTURE, "regions": ["eyes", "nose"], "format": "png",
}  # fmt: skip
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message"],
            "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def operation(call: Call) -> Schema:
    """Return what FastAPI cannot know of an endpoint that reads its body itself."""
    json_schema = whole(call.body)
    fields = json_schema["properties"]
    example = {name: value for name, value in _EXAMPLES.items() if name in fields}
    content = {
        JSON: {"schema": json_schema, "example": example},
        FORM: {"schema": _form(json_schema)},
    }
    return {"requestBody": {"required": True, "content": content}, "responses": responses(call)}


def responses(call: Call) -> Schema:
    """Return the answers of an endpoint, by status."""
    done: Schema = {JSON: {"schema": {"type": "object"}, "example": call.answer}}
    done |= {media: {"schema": _BYTES} for media in call.media}
    described = "JSON if `Accept` names application/json, else the file itself." if call.media else "JSON."
    return {"200": {"description": described, "content": done}} | {
        str(status): refusal(status) for status in MEANINGS
    }


def refusal(status: int) -> Schema:
    """Return the answer of a refusal."""
    answer: Schema = {"description": MEANINGS[status], "content": {JSON: {"schema": ERROR}}}
    if status == 503:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return answer


def whole(model: type[BaseModel]) -> Schema:
    """Return a model's schema with the models in it at their places, to stand in a larger document."""
    schema = model.model_json_schema()
    inner = schema.pop("$defs", {})
    placed: Schema = _placed(schema, inner)
    return placed


def _placed(schema: Any, inner: Schema) -> Any:
    if isinstance(schema, list):
        return [_placed(item, inner) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _placed(inner[schema["$ref"].rpartition("/")[2]], inner)
    return {name: _placed(value, inner) for name, value in schema.items()}


def _form(schema: Schema) -> Schema:
    """Return the schema of a form: files in the place of base64, and nothing in that of null."""
    fields = {name: _filed(value) for name, value in schema["properties"].items() if name != JSON_ONLY}
    return schema | {"properties": {name: _present(value) for name, value in fields.items()}}


def _present(schema: Schema) -> Schema:
    """Return the schema of a value that is there: without null. Points are JSON text."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
        kept = {"default": schema["default"]} if schema.get("default") is not None else {}
        schema = rest | kept | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
    if schema.get("items", {}).get("type") == "array":
        return {"type": "string", "contentMediaType": JSON, "description": schema["description"]}
    return schema


def _filed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_filed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if MARK in schema:
        return {name: value for name, value in schema.items() if name != MARK} | _BYTES
    return {name: _filed(value) for name, value in schema.items()}
