"""The error of requests that the server itself refuses; what the engine refuses are its own errors."""

from __future__ import annotations


class NotServedError(Exception):
    """A request that is not served.

    status: HTTP status. about: what in the request it is about, as the engine's messages begin.
    """

    def __init__(self, status: int, message: str, about: str = "") -> None:
        super().__init__(f"{about}: {message}" if about else message)
        self.status, self.about = status, about
