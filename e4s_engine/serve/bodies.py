"""Bodies of requests: read within limits of size, time and memory, as JSON or as a form."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from e4s_engine.serve.limits import Limits
from e4s_engine.serve.refusals import GONE, RequestError

JSON, FORM = "application/json", "multipart/form-data"
_MOST_PARTS = 64

Fields = dict[str, Any]  # of a form: str or bytes, or a list of them for a name that comes several times


class _InMemory(MultiPartParser):
    """Parser of forms that writes no temporary files: they would hold the pictures of people."""

    spool_max_size = 0  # never


@dataclasses.dataclass
class Claim:
    """Bytes that one request holds."""

    used: int = 0


class Bodies:
    """Reader of bodies. used: bytes that all requests hold."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.used = 0

    @contextmanager
    def claim(self) -> Iterator[Claim]:
        """Hold what a request reads until it has ended."""
        claim = Claim()
        try:
            yield claim
        finally:
            self.used -= claim.used

    async def read(self, request: Request, claim: Claim) -> bytes | Fields:
        """Return a body: bytes of JSON, or the fields of a form. Raises a refusal."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, FORM):
            raise RequestError(415, "UnsupportedMediaType", f"expected {JSON} or {FORM}")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.most_bytes:
            raise self._too_large()
        chunks = self._chunks(request, claim)
        try:
            reading = _form(request, chunks) if kind == FORM else _whole(chunks)
            return await asyncio.wait_for(reading, self._limits.upload_seconds)
        except TimeoutError as error:
            message = f"the body did not arrive within {self._limits.upload_seconds:g} s"
            raise RequestError(408, "Timeout", message) from error
        except ClientDisconnect as error:
            raise RequestError(GONE, "Gone", "the client left") from error
        except MultiPartException as error:
            message = f"the body is no form that can be read ({error.message})"
            raise RequestError(400, "BadRequest", message) from error

    async def _chunks(self, request: Request, claim: Claim) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            claim.used += len(chunk)
            self.used += len(chunk)
            if claim.used > self._limits.most_bytes:
                raise self._too_large()
            if self.used > self._limits.budget:
                raise RequestError(503, "Busy", "the requests that are being read take too much memory", 1)
            yield chunk

    def _too_large(self) -> RequestError:
        return RequestError(413, "TooLarge", f"a request has at most {self._limits.megabytes:g} MiB")


async def _whole(chunks: AsyncGenerator[bytes, None]) -> bytes | Fields:
    return b"".join([chunk async for chunk in chunks])


async def _form(request: Request, chunks: AsyncGenerator[bytes, None]) -> bytes | Fields:
    parser = _InMemory(request.headers, chunks, max_files=_MOST_PARTS, max_fields=_MOST_PARTS)
    fields: Fields = {}
    form = await parser.parse()
    try:
        for name, value in form.multi_items():
            content: Any = await value.read() if isinstance(value, UploadFile) else value
            if content == "":
                continue  # what a page sends for an input that nobody filled in
            if name in fields:
                before = fields[name]
                content = [*(before if isinstance(before, list) else [before]), content]
            fields[name] = content
    finally:
        await form.close()
    return fields


async def gone(request: Request) -> None:
    """End when the client of a request whose body was read has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
