"""The server: a socket, signals, and an orderly end."""

from __future__ import annotations

import signal
import socket
import threading

import uvicorn

from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.serve import logs
from e4s_engine.serve.app import Service
from e4s_engine.serve.keys import Keys
from e4s_engine.serve.limits import Limits

LOCAL = ("127.0.0.1", "::1", "localhost")
_BACKLOG, _LAST_PORT = 128, 65_535
_GRACE = 5  # seconds beyond a request's own time that an orderly end waits


def check_host(host: str, keys: Keys, without_keys: bool) -> None:
    """Raise ArgumentError for an address that others reach, unless keys keep them out or they are wanted."""
    if host not in LOCAL and not keys and not without_keys:
        raise ArgumentError(
            f"host: {host} can be reached from elsewhere, and anybody could send requests; give --keys FILE, "
            "or --without-keys if something before the service checks who calls"
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. port: 0 takes any free one. Raises ArgumentError or BackendError."""
    if not 0 <= port <= _LAST_PORT:
        raise ArgumentError(f"port: expected a number from 0 to {_LAST_PORT}, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise BackendError(f"port: cannot listen on {host}, port {port} ({error}); choose another") from error


def run(engine: Engine, limits: Limits, keys: Keys, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT: then no further connection is taken, requests in hand are answered."""
    service = Service(engine, limits, keys)
    server = uvicorn.Server(config(service))
    if threading.current_thread() is threading.main_thread():
        # The server raises the signal once more after its orderly end, which would kill the process here.
        signal.signal(signal.SIGTERM, lambda *_: None)
    host, port = listening.getsockname()[:2]
    logs.event("listening", address=host, port=port, backend=engine.backend, device=engine.device)
    try:
        server.run(sockets=[listening])
    finally:
        service.close()
        logs.event("stopped")


def config(service: Service) -> uvicorn.Config:
    """Return the server's configuration."""
    return uvicorn.Config(
        service.app,
        http="h11",  # the same on every machine, whatever is installed
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # with addresses; the service writes its own lines
        server_header=False,
        timeout_graceful_shutdown=round(service.limits.seconds) + _GRACE,
    )
