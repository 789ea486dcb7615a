"""Requests and their answers, watched: numbers, keys, log lines, counts, and unforeseen errors."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from e4s_engine.serve import logs
from e4s_engine.serve.keys import Keys
from e4s_engine.serve.metrics import Metrics
from e4s_engine.serve.refusals import GONE, RequestError

OPEN = ("/health", "/ready")  # without a key: those who restart and balance have none
_NUMBER = re.compile(r"[\w.-]{1,64}")
MOST_OPEN = 1000  # requests that are open at a time, most of them read or refused; each takes some 0.1 MB
_LINGER_SECONDS, _LINGER_BYTES = 5.0, 256 << 20


@dataclasses.dataclass
class Exchange:
    """A request and its answer. ended: whether the whole body was received, or the client has left."""

    scope: Scope
    inner_receive: Receive
    inner_send: Send
    number: str
    start: float
    received: int = 0
    sent: int = 0
    status: int = 0
    ended: bool = False
    waited: float = 0.0

    @classmethod
    def of(cls, scope: Scope) -> Exchange:
        """Return the exchange that a scope belongs to."""
        exchange: Exchange = scope["e4s_engine.exchange"]
        return exchange

    async def receive(self) -> Message:
        """Receive like the server's function, and count."""
        message = await self.inner_receive()
        self.received += len(message.get("body", b""))
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send like the server's function, and count."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.number
        self.sent += len(message.get("body", b""))
        await self.inner_send(message)

    async def refuse(self, refusal: RequestError, linger: bool = True) -> None:
        """Send a refusal. linger: read the rest of the body before, for a while, and drop it.

        A connection that is closed while its client still sends is reset, and the answer is lost. Clients
        that wait for "100 Continue" have not begun.
        """
        late = refusal.status == 408  # it had its time
        if linger and not (self.ended or late or Headers(scope=self.scope).get("expect")):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drop(), _LINGER_SECONDS)
        await refusal.response()(self.scope, self.receive, self.send)

    async def _drop(self) -> None:
        headers = Headers(scope=self.scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return  # there is no body
        most = self.received + _LINGER_BYTES
        while not self.ended and self.received < most:
            await self.receive()


class Exchanges:
    """Middleware around the whole service."""

    def __init__(self, app: ASGIApp, keys: Keys, metrics: Metrics, endpoint_of: Callable[[str], str]) -> None:
        """endpoint_of: name of a path in logs and metrics, which are bounded so."""
        self._app, self._keys, self._metrics, self._endpoint_of = app, keys, metrics, endpoint_of
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        wanted = headers.get("x-request-id", "")
        number = wanted if _NUMBER.fullmatch(wanted) else secrets.token_hex(8)
        exchange = Exchange(scope, receive, send, number, perf_counter())
        scope["e4s_engine.exchange"] = exchange
        self._open += 1
        try:
            if self._open > MOST_OPEN:
                message = f"{MOST_OPEN} requests are open already; try again"
                await exchange.refuse(RequestError(503, "Busy", message, 1), linger=False)
            else:
                await self._answer(exchange, headers)
        finally:
            self._open -= 1
            self._tell(exchange)

    async def _answer(self, exchange: Exchange, headers: Headers) -> None:
        path = exchange.scope["path"]
        if path not in OPEN and not self._keys.allow(headers.get("authorization", "")):
            await exchange.refuse(
                RequestError(401, "Unauthorized", "this needs a key: Authorization: Bearer KEY")
            )
            return
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except RequestError as refusal:
            if refusal.status == GONE:
                exchange.status = GONE
                return
            await exchange.refuse(refusal)
        except Exception:
            fields = {"request": exchange.number}
            logs.logger.error("unforeseen error", exc_info=True, extra={"fields": fields})
            if not exchange.status:
                message = f"the service failed; its log says how, at request {exchange.number}"
                await RequestError(500, "InternalError", message).response()(
                    exchange.scope, exchange.receive, exchange.send
                )

    def _tell(self, exchange: Exchange) -> None:
        seconds = perf_counter() - exchange.start
        endpoint = self._endpoint_of(exchange.scope["path"])
        status = exchange.status or GONE  # cancelled, as the connection broke
        self._metrics.count(endpoint, status, seconds, exchange.received, exchange.sent)
        logs.event(
            "request",
            request=exchange.number,
            method=exchange.scope["method"],
            endpoint=endpoint,
            status=status,
            seconds=round(seconds, 4),
            waited=round(exchange.waited, 4),
            received=exchange.received,
            sent=exchange.sent,
        )
