"""Answers to requests that are not done: status, headers and a body of one form."""

from __future__ import annotations

from starlette.responses import JSONResponse

from e4s_engine.errors import (
    ArgumentError,
    ClosedError,
    DeviceMemoryError,
    E4SError,
    RefusedError,
)

# What every refusal means, for the schema.
MEANINGS = {
    400: "The body is no JSON object or no multipart form.",
    401: "No key, or a wrong one (`Authorization: Bearer KEY`).",
    403: "The guard of this service refused it (`--guard`).",
    408: "The body came too slowly.",
    413: "The request, or a picture in it, is too large.",
    415: "The body is neither application/json nor multipart/form-data.",
    422: "A value cannot be used; the message names it.",
    500: "The service failed; its log has the request's number.",
    503: "Too many requests wait; try again after Retry-After seconds.",
    504: "The answer took too long.",
}
GONE = 499  # the client left; nobody reads this answer, but logs and metrics count it


class RequestError(Exception):
    """Request that is not done. status: of HTTP; kind: name of the error; retry: seconds to wait, if any."""

    def __init__(self, status: int, kind: str, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retry = status, kind, message, retry

    def response(self) -> JSONResponse:
        """Return the answer."""
        headers = {} if self.retry is None else {"Retry-After": str(self.retry)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (401, 408, 413, 503):
            headers["Connection"] = "close"  # the rest of the body may still be on its way
        body = {"error": {"kind": self.kind, "message": self.message}}
        return JSONResponse(body, self.status, headers)


def of_engine(error: E4SError, retry: int) -> RequestError:
    """Return the refusal for an error of the engine."""
    kind = type(error).__name__
    if isinstance(error, ArgumentError):
        return RequestError(422, kind, str(error))
    if isinstance(error, RefusedError):
        return RequestError(403, kind, str(error))
    if isinstance(error, DeviceMemoryError | ClosedError):
        return RequestError(503, kind, str(error), retry)
    return RequestError(500, kind, "the engine failed; the log of the service says how")
