"""The page's server on an address of this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

from e4s_engine.errors import ArgumentError, BackendError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

PORT = 7860


def check() -> None:
    """Raise BackendError unless the extra's packages are installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise BackendError(
            f"ui: the page needs starlette and uvicorn ({error}); pip install 'e4s_engine[ui]'"
        ) from error


def opened(host: str, port: int) -> socket.socket:
    """Return a listening socket. port: 0 is any free one. Raises ArgumentError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name != "nt":  # there it would let two servers share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(64)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise ArgumentError(
            f"host: cannot listen on {host} port {port} ({error}); choose another with --host and --port"
        ) from error
    return listening


def is_local(listening: socket.socket) -> bool:
    """Return whether only this machine reaches a socket."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def address(listening: socket.socket, host: str) -> str:
    """Return the URL to open in a browser."""
    place, port = listening.getsockname()[:2]
    if ipaddress.ip_address(place.partition("%")[0]).is_unspecified:
        place = socket.gethostname()
    elif not is_local(listening):
        place = host
    return f"http://{f'[{place}]' if ':' in place else place}:{port}/"


def server(engine: Engine, host: str = "127.0.0.1", notice: str = "", **more: Any) -> Any:
    """Return a `uvicorn.Server` of the page, to be run on a socket. more: arguments of `app.app`."""
    check()
    import uvicorn

    from e4s_engine.ui.app import app

    # Nothing is logged of requests: they are other people's pictures.
    config = uvicorn.Config(
        app(engine, names=(host, socket.gethostname()), notice=notice, **more),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=64,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
