"""API keys: which requests may come in."""

from __future__ import annotations

import hashlib
import hmac
import os

from e4s_engine.errors import ArgumentError
from e4s_engine.photo.files import read_bounded

SHORTEST = 16  # characters of a key
_MOST_BYTES = 1 << 20
_SCHEME = "bearer "


class Keys:
    """Keys that are accepted; without any every request is."""

    def __init__(self, keys: list[str]) -> None:
        # Hashes have one length, so that a comparison tells nothing about a key's.
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Keys:
        """Read a file with a key per line; empty lines and those that begin with # are left out.

        Raises ArgumentError for a file without keys, or with short ones.
        """
        try:
            lines = read_bounded(path, _MOST_BYTES).decode().splitlines()
        except (OSError, ValueError) as error:
            raise ArgumentError(f"keys: {path} cannot be read ({error})") from error
        keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not keys or any(len(key) < SHORTEST or not key.isascii() for key in keys):
            raise ArgumentError(
                f"keys: {path} must hold keys of at least {SHORTEST} ASCII characters, one a line; "
                "`openssl rand -hex 32` makes one"
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def allow(self, authorization: str) -> bool:
        """Return whether a header `Authorization: Bearer KEY` has a key, in a time that tells nothing."""
        if not self._digests:
            return True
        digest = _digest(authorization[len(_SCHEME) :].strip())
        same = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them, in any case
        return authorization.lower().startswith(_SCHEME) and any(same)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
