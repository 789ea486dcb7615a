"""What stands before every request: who may ask, how much a body may hold, what browsers may do with answers.

A page on another site must not reach a server on this machine through its visitor's browser. Its requests
carry its own name in Host (DNS rebinding) or in Origin (CSRF); neither is served.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio

from e4s_engine.ui.refusals import NotServedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_SAFE = ("GET", "HEAD")


def host_is_ours(host: str, names: Iterable[str]) -> bool:
    """Return whether a Host header names this server: by localhost, by an address, or by one of its names.

    An address cannot be another site's, whose pages come under the name that the browser asked for.
    """
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") <= 1:
        name = name.partition(":")[0]
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Gate:
    """ASGI middleware that refuses what comes from other sites and adds the headers of HEADERS.

    names: names under which the server is reached, beside localhost and addresses.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app, self._names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSockets here: the server closes them

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        wrong = self._wrong(scope)
        if not wrong:
            await self._app(scope, receive, headed)
            return
        from starlette.responses import PlainTextResponse

        await PlainTextResponse(wrong, 403)(scope, receive, headed)

    def _wrong(self, scope: Scope) -> str:
        """Return why a request is refused, or ""."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not host_is_ours(host, self._names):
            return f"this server is not {host:.100}; start it with --host {host.partition(':')[0]:.100}"
        if scope["method"] in _SAFE:
            return ""
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return "requests from other sites are not served"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "requests from other sites are not served"
        return ""


async def body(request: Request, most: int, seconds: float) -> bytes:
    """Return a request's body. Raises NotServedError for more than `most` bytes before it takes memory."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
        raise _too_large(most)
    data = bytearray()
    with anyio.move_on_after(seconds) as scope:
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise _too_large(most)
    if scope.cancelled_caught:
        raise NotServedError(408, f"the upload took longer than {seconds:.0f} seconds; try again", "photo")
    return bytes(data)


def _too_large(most: int) -> NotServedError:
    return NotServedError(413, f"the file is larger than {most >> 20} MB; reduce the photo first", "photo")
