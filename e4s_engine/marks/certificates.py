"""Certificates that sign manifests: a caller's, or one made on this machine, which proves no identity."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from e4s_engine.errors import ArgumentError

CERTIFICATE, KEY = "E4S_C2PA_CERT", "E4S_C2PA_KEY"
INSTALL = "pip install 'e4s_engine[c2pa]'"
LOCAL = "e4s_engine, made on this machine, identity not verified"
_YEARS = 10
_CHAIN, _KEY = "certificate.pem", "key.pem"


class Loaded(NamedTuple):
    """What signs. chain, key: PEM. algorithm: C2PA's name. local: whether it was made on this machine."""

    chain: bytes
    key: bytes
    algorithm: str
    local: bool


@dataclasses.dataclass(frozen=True)
class Signer:
    """A certificate that signs C2PA manifests.

    certificate: PEM file of the certificate and those that issued it, leaf first. key: PEM file of its
    private key, without a password.
    """

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]

    def load(self) -> Loaded:
        """Read and check both files. Raises ArgumentError."""
        chain, key = _read(self.certificate, "certificate"), _read(self.key, "key")
        return Loaded(chain, key, _checked(chain, key), LOCAL.encode() in _der(chain))


def chosen(sign: bool | Signer | None) -> Signer | None:
    """Return what an argument `sign` asks for; None: no signature. Raises ArgumentError.

    sign: None: the certificate that the environment names, if it does; True: that one, or else one made on
    this machine.
    """
    if sign is False or isinstance(sign, Signer):
        return sign or None
    if sign not in (None, True):
        raise ArgumentError(f"sign: expected True, False or a Signer, got {sign!r:.60}")
    named = [os.environ.get(name, "") for name in (CERTIFICATE, KEY)]
    if all(named):
        return Signer(*named)
    if any(named):
        raise ArgumentError(f"sign: {CERTIFICATE} and {KEY} go together; set both or none")
    return local() if sign else None


def local() -> Signer:
    """Return the certificate of this machine, made at its first use. It proves nothing about who signs."""
    folder = folder_of_user() / "c2pa"
    if not folder.is_dir():
        chain, key = make()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(dir=folder.parent))  # readable by its owner alone
            (fresh / _CHAIN).write_bytes(chain)
            (fresh / _KEY).write_bytes(key)
            with contextlib.suppress(OSError):  # another process was faster
                fresh.rename(folder)
            shutil.rmtree(fresh, ignore_errors=True)
        except OSError as error:
            raise ArgumentError(f"sign: cannot keep a certificate in {folder}: {error.strerror}") from error
    return Signer(folder / _CHAIN, folder / _KEY)


def anchors(file: str | os.PathLike[str]) -> str:
    """Return the text of a PEM file of certificates to trust. Raises ArgumentError for anything else."""
    try:
        text = Path(file).read_text("ascii")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it is no PEM file of certificates"
        raise ArgumentError(f"trust: cannot read {file}: {reason}") from error
    try:
        _cryptography("x509", "trust").load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise ArgumentError(
            f"trust: {file} is no PEM file of certificates; convert the root certificate to PEM"
        ) from error
    return text


def folder_of_user() -> Path:
    """Return the folder of this package's settings for this user."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "e4s_engine"


def make(days: int = 365 * _YEARS, age: int = 1) -> tuple[bytes, bytes]:
    """Return a certificate with its issuer, and its key, as PEM. age: days since it became valid."""
    x509 = _cryptography("x509")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [
        x509.Name(
            [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, LOCAL),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            ]
        )
        for name in ("issuer", "signer")
    ]
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=age)
    chain = b""
    for name, key, is_root in ((names[1], leaf, False), (names[0], root, True)):
        built = _extended(
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=days)),
            is_root,
            key,
            root,
        )
        chain += built.public_bytes(serialization.Encoding.PEM)
    private = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return chain, private


def _extended(builder: Any, is_root: bool, key: Any, root: Any) -> Any:
    """Add the extensions that C2PA's profile asks for, and sign."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    use = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        builder.add_extension(x509.BasicConstraints(is_root, 0 if is_root else None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **use), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    )
    if not is_root:
        purpose = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, True)
    return builder.sign(root, hashes.SHA256())


def _read(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"sign: cannot read the {what} {path}: {reason}") from error


def _der(chain: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(_cryptography("x509").load_pem_x509_certificates(chain)[0].public_bytes(Encoding.DER))


def _checked(chain: bytes, key: bytes) -> str:
    """Return C2PA's name of the algorithm. Raises ArgumentError for what cannot sign."""
    x509 = _cryptography("x509")
    from cryptography.hazmat.primitives import serialization

    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise ArgumentError(
            "sign: the certificate is no PEM file of certificates; convert it to PEM"
        ) from error
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "sign: the key is no PEM file of a private key without a password; convert it to PKCS8 PEM"
        ) from error
    now = datetime.datetime.now(datetime.UTC)
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not start <= now <= end:
        raise ArgumentError(
            f"sign: the certificate is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, not today; renew it"
        )
    if private.public_key() != leaf.public_key():
        raise ArgumentError(
            "sign: the key does not belong to the certificate, which must be the file's first"
        )
    return _algorithm(private)


def _algorithm(private: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey):
        name = {256: "es256", 384: "es384", 521: "es512"}.get(private.curve.key_size)
        if name is not None:
            return name
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    raise ArgumentError(
        "sign: C2PA signs with keys on P-256, P-384, P-521, Ed25519 or RSA of 2048 bits or more"
    )


def _cryptography(name: str, argument: str = "sign") -> Any:
    """Import a module of `cryptography`. Raises ArgumentError where the extra is missing."""
    import importlib

    try:
        return importlib.import_module(f"cryptography.{name}")
    except ImportError as error:
        raise ArgumentError(f"{argument}: needs the extra c2pa; install it (`{INSTALL}`)") from error
