"""The service against its own schema, by schemathesis; skipped where that is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("schemathesis")
from serve_tools import running


def test_requests_by_the_schema_are_answered_by_it(engine):
    """Well-formed requests may be refused (422): a picture of noise has no face."""
    with running(engine) as (client, _):
        flags = ["--phases", "fuzzing", "--max-examples", "5", "--exclude-checks", "positive_data_acceptance"]
        url = f"http://127.0.0.1:{client.port}/openapi.json"
        command = [sys.executable, "-m", "schemathesis.cli", "run", url, *flags, "--generation-deterministic"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout
