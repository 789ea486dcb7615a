"""The server behind the page: routes over an engine and its visitors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from e4s_engine import __version__, regions
from e4s_engine.errors import ArgumentError, E4SError
from e4s_engine.pipeline import loading
from e4s_engine.ui import gate, photos, swaps
from e4s_engine.ui.photos import VIEWS, Photo
from e4s_engine.ui.refusals import NotServedError
from e4s_engine.ui.visitors import Limits, Visitor, Visitors

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

logger = logging.getLogger("e4s_engine")

Value = TypeVar("Value")
Handler = Callable[[Request], Awaitable[Response]]

COOKIE = "e4s_visitor"
_MOST_JSON = 4 << 20  # bytes of a request with painted labels
_AT_ONCE = 2  # calls of the engine at one time; each uses all processors
_UPLOADS = 4  # files that are received at one time
_SWEEP = 30.0  # seconds
_SEEDS = 1_000_000  # number of people who can be rendered
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".tiff": "image/tiff"}
_DEMO = (
    "This is the small bundled model, which knows rendered faces only: photos of people become cartoons. "
    "Start with --weights for photos."
)


class Server:
    """Routes of the page. notice: shown until the visitor closes it. marks: see `app`."""

    def __init__(self, engine: Engine, limits: Limits, notice: str, marks: swaps.Marks) -> None:
        self.engine, self.limits, self.notice, self.marks = engine, limits, notice, marks
        self.visitors = Visitors(limits)
        self._workers: anyio.CapacityLimiter  # these two belong to the running loop
        self._uploads: anyio.Semaphore

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Forget visitors while the server runs, and everybody at its end."""
        self._workers = anyio.CapacityLimiter(_AT_ONCE)
        self._uploads = anyio.Semaphore(_UPLOADS)
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            self.visitors.clear()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.visitors.sweep()

    def routes(self) -> list[Route]:
        """Return the table of routes; the page's own files are read once."""
        api = {
            "/api/about": (self.about, "GET"),
            "/api/photos": (self.add, "POST"),
            "/api/rendered": (self.render, "POST"),
            "/api/photos/{photo}": (self.remove, "DELETE"),
            "/api/photos/{photo}/face": (self.pick, "POST"),
            "/api/photos/{photo}/drive": (self.drive, "POST"),
            "/api/photos/{photo}/labels": (self.labels, "GET"),
            "/api/photos/{photo}/{view}": (self.original, "GET"),
            "/api/swap": (self.swap, "POST"),
            "/api/labels": (self.composed, "POST"),
            "/api/download": (self.download, "POST"),
            "/api/sheet": (self.sheet, "POST"),
            "/api/forget": (self.forget, "POST"),
        }
        page = [Route(path, _fixed(data, kind)) for path, data, kind in _page()]
        return [*page, *(Route(path, answered(do), methods=[verb]) for path, (do, verb) in api.items())]

    async def about(self, _: Request) -> Response:
        """Tell the page what there is to choose from."""
        engine = self.engine
        return JSONResponse(
            {
                "version": __version__,
                "model": "a model in memory" if engine.weights is None else engine.weights.name,
                "size": engine.config.size,
                "device": engine.device,
                "reenacts": "facevid2vid" in engine.networks,
                "landmarks": engine.landmarks,
                "demo": _DEMO if engine.weights == loading.BUNDLED else "",
                "notice": self.notice,
                "regions": list(regions.NAMES),
                "colours": regions.PALETTE.tolist(),
                "presets": {
                    name: [regions.NAMES[i] for i in ids]
                    for name, ids in regions.PRESETS.items()
                    if name != "all"
                },
                "options": swaps.options_facts(engine),
                "formats": list(swaps.FORMATS),
                "label_size": regions.LABEL_SIZE,
                "unpainted": regions.UNPAINTED,
                "file_bytes": self.limits.file_bytes,
                "photos": self.limits.photos,
            }
        )

    async def add(self, request: Request) -> Response:
        """Take a photo or a saved Face, the file's bytes as the body; `as` names it in error messages."""
        argument = request.query_params.get("as", "photo")
        if argument not in ("source", "target", "photo"):
            raise NotServedError(422, "expected source, target or photo", "as")
        async with self._uploads:
            data = await gate.body(request, self.limits.file_bytes, self.limits.seconds)
        return await self._added(request, data, argument)

    async def render(self, request: Request) -> Response:
        """Take a photo that the server renders: {"seed": number of a person}."""
        seed = (await self._json(request)).get("seed")
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < _SEEDS:
            raise ArgumentError(f"seed: expected an integer from 0 to {_SEEDS - 1}, got {seed!r:.40}")
        data = await self._in_thread(lambda: photos.rendered(seed))
        return await self._added(request, data, "photo")

    async def _added(self, request: Request, data: bytes, argument: str) -> Response:
        """Keep a photo for its visitor, who may be new."""
        photo = await self._in_thread(lambda: photos.added(data, argument))
        if argument == "target":
            photo.as_target()
        cookie = request.cookies.get(COOKIE)
        visitor = self.visitors.known(cookie)
        if visitor is None:
            cookie, visitor = self.visitors.new()
        try:
            name = await self._turn(visitor, lambda: self._found(visitor, photo))
        except BaseException:
            if not visitor.photos:
                self.visitors.forget(cookie)
            raise
        response = JSONResponse({"id": name, **photo.facts()})
        response.set_cookie(COOKIE, str(cookie), httponly=True, samesite="strict")
        return response

    def _found(self, visitor: Visitor, photo: Photo) -> str:
        """Find a photo's faces and keep it for a visitor; return its name."""
        visitor.check_room(photo.width, photo.height)
        photo.find(self.engine)
        return visitor.add(photo)

    async def remove(self, request: Request) -> Response:
        """Drop a photo."""
        self._visitor(request).photos.pop(request.path_params["photo"], None)
        return Response(status_code=204)

    async def pick(self, request: Request) -> Response:
        """Pick another face of a photo: {"face": "largest" or a number, "align": "auto" or false}."""
        visitor, asked = self._visitor(request), await self._json(request)
        photo = visitor.photo(request.path_params["photo"])
        which, align = asked.get("face", "largest"), asked.get("align", "auto")
        await self._turn(visitor, lambda: photo.pick(self.engine, which, align))
        return JSONResponse({"id": request.path_params["photo"], **photo.facts()})

    async def drive(self, request: Request) -> Response:
        """Drive a source to a target's pose and expression: {"target": name of a photo, or null for not}."""
        visitor, asked = self._visitor(request), await self._json(request)
        photo = visitor.photo(request.path_params["photo"])
        target = None if asked.get("target") is None else visitor.photo(asked["target"], "target")
        await self._turn(visitor, lambda: photo.drive(self.engine, target))
        return JSONResponse({"id": request.path_params["photo"], **photo.facts()})

    async def labels(self, request: Request) -> Response:
        """Return the labels of the picked face as a PNG whose values are label numbers."""
        visitor = self._visitor(request)
        photo = visitor.photo(request.path_params["photo"])
        data = await self._turn(visitor, lambda: photos.labels_png(photo.encoded(photo.argument).labels))
        return Response(data, media_type="image/png")

    async def original(self, request: Request) -> Response:
        """Return a photo as a JPEG: the aligned crop of its face, or all of it."""
        visitor, view = self._visitor(request), _view(request.path_params["view"])
        photo = visitor.photo(request.path_params["photo"])
        data = await self._turn(visitor, lambda: photos.jpeg(photo.original(view)))
        return Response(data, media_type="image/jpeg")

    async def swap(self, request: Request) -> Response:
        """Swap; return the result as a JPEG for the screen. Server-Timing says how long what took."""
        visitor, asked = self._visitor(request), await self._json(request)
        wish, view = swaps.wish(asked, visitor), _view(asked.get("view", "face"))

        def work() -> tuple[bytes, float, float]:
            start = time.perf_counter()
            result = wish.swap(self.engine)
            swapped = time.perf_counter()
            data = swaps.shown(wish, result, view)
            return data, swapped - start, time.perf_counter() - swapped

        data, swap, shown = await self._turn(visitor, work)
        timing = f"swap;dur={1000 * swap:.1f}, view;dur={1000 * shown:.1f}"
        return Response(data, media_type="image/jpeg", headers={"server-timing": timing})

    async def composed(self, request: Request) -> Response:
        """Return the labels that a swap composes, as a PNG whose values are label numbers."""
        visitor, asked = self._visitor(request), await self._json(request)
        wish = swaps.wish(asked, visitor)
        data = await self._turn(visitor, lambda: photos.labels_png(wish.swap(self.engine).labels))
        return Response(data, media_type="image/png")

    async def download(self, request: Request) -> Response:
        """Return the result at the photo's full size as a file with its marks."""
        visitor, asked = self._visitor(request), await self._json(request)
        wish, suffix = swaps.wish(asked, visitor), asked.get("format", ".png")
        quality = asked.get("quality")
        data = await self._turn(
            visitor, lambda: swaps.saved(wish.swap(self.engine), suffix, quality, self.marks)
        )
        headers = {"content-disposition": f'attachment; filename="swapped{suffix}"'}
        return Response(data, media_type=_MEDIA[suffix], headers=headers)

    async def sheet(self, request: Request) -> Response:
        """Return the contact sheet of a swap."""
        visitor, asked = self._visitor(request), await self._json(request)
        wish = swaps.wish(asked, visitor)
        data = await self._turn(visitor, lambda: swaps.sheet_file(wish, wish.swap(self.engine), self.marks))
        headers = {"content-disposition": 'attachment; filename="sheet.png"'}
        return Response(data, media_type="image/png", headers=headers)

    async def forget(self, request: Request) -> Response:
        """Drop the visitor and their photos."""
        self.visitors.forget(request.cookies.get(COOKIE))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE)
        return response

    def _visitor(self, request: Request) -> Visitor:
        visitor = self.visitors.known(request.cookies.get(COOKIE))
        if visitor is None:
            raise NotServedError(404, "your photos are not here (any more); add them again", "photo")
        return visitor

    async def _json(self, request: Request) -> dict[str, Any]:
        """Return a body that is a JSON object. Its type is checked: forms of other sites cannot have it."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":
            raise NotServedError(415, f"expected application/json, got {kind:.40}", "content-type")
        data = await gate.body(request, _MOST_JSON, self.limits.seconds)
        try:
            asked = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ArgumentError(f"request: expected JSON ({error})") from error
        if not isinstance(asked, dict):
            raise ArgumentError(f"request: expected a JSON object, got {type(asked).__name__}")
        return asked

    async def _turn(self, visitor: Visitor, work: Callable[[], Value]) -> Value:
        """Do a visitor's work in a thread when it is their turn. Raises NotServedError if too much waits."""
        if visitor.waiting >= self.limits.waiting:
            raise NotServedError(429, "too many requests at one time; wait for the last ones")
        visitor.waiting += 1
        try:
            async with visitor.turn:
                return await self._in_thread(work)
        finally:
            visitor.waiting -= 1

    async def _in_thread(self, work: Callable[[], Value]) -> Value:
        return await anyio.to_thread.run_sync(work, limiter=self._workers)


def app(
    engine: Engine,
    *,
    limits: Limits | None = None,
    names: Iterable[str] = (),
    notice: str = "",
    marks: swaps.Marks | None = None,
) -> Starlette:
    """Return the page's server as an ASGI application.

    engine: engine that does the work. limits: what is taken and kept; None: the defaults. names: names by
    which the server is reached, beside localhost and addresses. notice: text that visitors see first.
    marks: arguments of `Result.save` about marks, for downloads; None: the defaults.
    """
    server = Server(engine, limits or Limits(), notice, marks or {})
    return Starlette(
        routes=server.routes(), middleware=[Middleware(gate.Gate, names=names)], lifespan=server.lifespan
    )


def answered(do: Handler) -> Handler:
    """Return a handler whose errors are JSON: {"error": message, "about": what it begins with}."""

    async def handler(request: Request) -> Response:
        try:
            return await do(request)
        except NotServedError as error:
            return JSONResponse({"error": str(error), "about": error.about}, error.status)
        except E4SError as error:
            about = str(error).partition(":")[0]
            return JSONResponse({"error": str(error), "about": about}, 422)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            logger.exception("ui: %s failed", request.scope["route"].path)
            message = "internal error; the server's log says more"
            return JSONResponse({"error": message, "about": ""}, 500)

    return handler


def _view(view: Any) -> photos.View:
    if view not in VIEWS:
        raise ArgumentError(f"view: expected one of {', '.join(VIEWS)}, got {view!r:.40}")
    return "face" if view == "face" else "photo"


def _page() -> list[tuple[str, bytes, str]]:
    """Return the page's files: path, bytes, media type."""
    listed = []
    for file in resources.files("e4s_engine.ui").joinpath("page").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            listed.append((path, file.read_bytes(), f"{_TYPES[suffix]}; charset=utf-8"))
    return listed


def _fixed(data: bytes, kind: str) -> Handler:
    async def answer(_: Request) -> Response:
        return Response(data, media_type=kind)

    return answer
