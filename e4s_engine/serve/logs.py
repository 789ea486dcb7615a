"""Log lines of the service: JSON, one object a line, without pictures, names or addresses."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

logger = logging.getLogger("e4s_engine.serve")
_LEVEL = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}


class Lines(logging.Formatter):
    """Format of a record: time, level, logger, event, and the fields of `extra={"fields": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": _LEVEL.get(record.levelname, record.levelname),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            # Where it failed, not what the message says: it may quote what a request held.
            line["exception"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)


def begin(level: int) -> None:
    """Write every log record and every warning of the process as such lines on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)


def event(name: str, **fields: Any) -> None:
    """Log that something happened."""
    logger.info(name, extra={"fields": fields})
