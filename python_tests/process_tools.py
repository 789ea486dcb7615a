"""Scripts in processes of their own, and what they need to fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

# Source of a function for scripts: the exit code of a forked child that exits with what `work` returns.
OUTCOME = """
import os, time
def outcome(work, seconds):
    child = os.fork()
    if child == 0:
        os._exit(work())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"
"""


def script(text: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python source with arguments and further environment variables, for at most 500 s."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(text), *map(str, arguments)]
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
