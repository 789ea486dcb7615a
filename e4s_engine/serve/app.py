"""The application: endpoints over one engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from e4s_engine import __version__
from e4s_engine.engine import Engine
from e4s_engine.errors import DeviceLostError, E4SError
from e4s_engine.photo import images
from e4s_engine.serve import logs, metrics, refusals, schema
from e4s_engine.serve.bodies import JSON, Bodies, Fields, gone
from e4s_engine.serve.calls import CALLS, Answer, Call
from e4s_engine.serve.exchanges import Exchange, Exchanges
from e4s_engine.serve.keys import Keys
from e4s_engine.serve.limits import Limits
from e4s_engine.serve.line import Line
from e4s_engine.serve.refusals import RequestError
from e4s_engine.weights import facefile

PREFIX = "/v1/"
_MOST_ERRORS = 5  # that one answer lists


class Service:
    """The engine behind HTTP. app: the ASGI application."""

    def __init__(self, engine: Engine, limits: Limits, keys: Keys) -> None:
        self.engine, self.limits = engine, limits
        self.line, self.bodies, self.metrics = Line(limits), Bodies(limits), metrics.Metrics()
        self.lost = False  # whether the GPU failed for good
        self.app = FastAPI(
            title="e4s_engine",
            version=__version__,
            description="Fine-grained face swapping by region.",
            docs_url=None,  # their pages load scripts from elsewhere
            redoc_url=None,
        )
        for call in CALLS:
            self.app.add_api_route(
                PREFIX + call.name,
                self._endpoint(call),
                methods=["POST"],
                summary=call.summary,
                operation_id=call.name,
                response_class=Response,
                openapi_extra=schema.operation(call),
            )
        for path, endpoint in (
            ("/health", self._health),
            ("/ready", self._ready),
            ("/metrics", self._metrics),
        ):
            self.app.add_api_route(path, endpoint, methods=["GET"], response_class=Response)
        self.app.add_exception_handler(HTTPException, _plain)
        self.paths = {route.path for route in self.app.routes if hasattr(route, "path")}
        self.app.add_middleware(
            Exchanges,
            keys=keys,
            metrics=self.metrics,
            endpoint_of=lambda path: path if path in self.paths else "other",
        )
        if keys:
            _declare_keys(self.app)

    def close(self) -> None:
        """Wait for the work that runs, and release the engine."""
        self.line.close()
        self.engine.close()

    def _endpoint(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self.line.check()  # before the body takes memory
            exchange = Exchange.of(request.scope)
            with self.bodies.claim() as claim:
                content = await self.bodies.read(request, claim)
                accept = request.headers.get("accept", "")
                wants_json = JSON in accept or not call.media
                work = partial(self._work, call, content, wants_json, exchange, perf_counter())
                del content  # the work alone holds it
                try:
                    answer = await self.line.do(work, gone(request))
                except E4SError as error:
                    raise self._refusal(error, exchange) from error
            return Response(answer.content, media_type=answer.media_type)

        return endpoint

    def _work(
        self, call: Call, content: bytes | Fields, wants_json: bool, exchange: Exchange, read: float
    ) -> Answer:
        """Do a request, on a thread."""
        exchange.waited = perf_counter() - read
        body = _checked(call, content)
        for name, data in call.pictures_of(body):
            self._check_size(data, name)
        return call.run(self.engine, body, wants_json)

    def _check_size(self, data: bytes, name: str) -> None:
        """Raise a refusal for a picture of too many pixels, before it is decoded."""
        if facefile.is_saved(data):
            return
        width, height, _ = images.header(data, name)
        if width * height > self.limits.most_pixels:
            most = f"{self.limits.megapixels:g} million are accepted"
            raise RequestError(413, "TooLarge", f"{name}: {width} x {height} pixels, at most {most}")

    def _refusal(self, error: E4SError, exchange: Exchange) -> RequestError:
        refusal = refusals.of_engine(error, self.line.retry)
        if refusal.status >= 500:
            fields = {"request": exchange.number}
            logs.logger.error("the engine failed", exc_info=error, extra={"fields": fields})
        self.lost = self.lost or isinstance(error, DeviceLostError)
        return refusal

    async def _health(self) -> Response:
        """Return whether the process works; 503: restart it."""
        return JSONResponse({"status": "lost" if self.lost else "ok"}, 503 if self.lost else 200)

    async def _ready(self) -> Response:
        """Return whether requests should be sent here now."""
        return await self._health()

    async def _metrics(self) -> Response:
        """Return numbers for Prometheus."""
        gauges = {
            "e4s_waiting": ("Requests that wait for the engine.", self.line.waiting),
            "e4s_running": ("Requests that the engine works on.", self.line.running),
            "e4s_held_bytes": ("Bytes of the bodies that are held.", self.bodies.used),
        }
        return Response(self.metrics.text(gauges), headers={"Content-Type": metrics.MEDIA_TYPE})


def _checked(call: Call, content: bytes | Fields) -> Any:
    """Return a request's fields, checked. Raises a refusal."""
    try:
        if isinstance(content, bytes):
            return call.body.model_validate_json(content, strict=True)
        return call.body.model_validate(content)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            raise RequestError(400, "BadRequest", f"the body is no JSON ({errors[0]['msg']})") from None
        told = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in errors[:_MOST_ERRORS]]
        raise RequestError(422, "ArgumentError", "; ".join(told)) from None


async def _plain(request: Request, error: Exception) -> Response:
    """Return unknown paths and methods in the form of every refusal."""
    assert isinstance(error, HTTPException)
    body = {"error": {"kind": "HTTP", "message": str(error.detail)}}
    return JSONResponse(body, error.status_code, error.headers)


def _declare_keys(app: FastAPI) -> None:
    """Say in the schema that requests need a key."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"}
        }
        document["security"] = [{"key": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
