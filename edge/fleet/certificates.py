"""Keys, requests and certificates: what they hold, and what must be in order before one is signed."""

from __future__ import annotations

import datetime
import ipaddress
import re
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge.domain.errors import ConfigurationError, SecretError
from edge.kit.files import write_durably

NAME_CHARACTERS_MAX: Final = 64  # of a common name, says X.520
FILE_BYTES_MAX: Final = 1 << 20
RSA_BITS_MIN: Final = 2048
LATE: Final = datetime.timedelta(hours=1)  # a device whose clock is behind may use its certificate at once
LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST: Final = re.compile(rf"(?=.{{1,253}}$)(\*\.)?({LABEL}\.)*{LABEL}")

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


def make_request(name: str, *, key_file: Path, request_file: Path) -> bytes:
    """Make a private key, and the request for a certificate that goes with it.

    Args:
        name: Common name, and user name at the broker.
        key_file: Written, for its owner only; never overwritten.
        request_file: Written: what the authority is given. It holds no secret.

    Returns:
        The request, PEM.

    Raises:
        SecretError: The key is there already, or cannot be written.
        ConfigurationError: The name cannot be that of a certificate.
    """
    subject = subject_of(name)
    if key_file.exists():
        raise SecretError(f"{key_file}: is there already; a key is never overwritten")
    private = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    written = request.public_bytes(Encoding.PEM)
    try:
        write_durably(key_file, private_pem(private), mode=0o600)
        write_durably(request_file, written)
    except OSError as error:
        raise SecretError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return written


def new_certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: PublicKey,
    now: datetime.datetime,
    *,
    days: int,
) -> x509.CertificateBuilder:
    """Begin a certificate: for whom, by whom, which key, and until when."""
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - LATE).not_valid_after(now + datetime.timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def key_asked_for(request: bytes, name: str) -> PublicKey:
    """Return the key of a request, looked at closely: it comes from a machine that is not ours.

    Args:
        request: PEM.
        name: That it must give.

    Raises:
        ConfigurationError: It is none, is of somebody else, or its key is too weak.
    """
    try:
        asked = x509.load_pem_x509_csr(request[:FILE_BYTES_MAX])
        is_own = asked.is_signature_valid
        seen, public = name_of(asked.subject), asked.public_key()
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{name}: is no request for a certificate in PEM: {error}") from error
    if not is_own:
        raise ConfigurationError(f"{name}: the request is not signed by the key that it holds")
    if seen != name:
        raise ConfigurationError(f"{name}: the request is for {seen!r}; wanted it for {name!r}")
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= RSA_BITS_MIN:
        return public
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in ("secp256r1", "secp384r1"):
        return public
    raise ConfigurationError(
        f"{name}: wanted a key on P-256 or P-384, Ed25519, or RSA of {RSA_BITS_MIN} bits"
    )


def subject_of(name: str) -> x509.Name:
    """Return a name as certificates have it.

    Raises:
        ConfigurationError: It is too long, or no text.
    """
    if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        wanted = f"wanted 1 to {NAME_CHARACTERS_MAX} printable characters, with the site and a slash"
        raise ConfigurationError(f"{name!r}: cannot be the name of a certificate; {wanted}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def name_of(subject: x509.Name) -> str:
    """Return the common name, "" where there is none or more than one."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def host_of(host: str) -> x509.GeneralName:
    """Return a name or an address of a broker as certificates have it.

    Raises:
        ConfigurationError: It is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not HOST.fullmatch(host):
            raise ConfigurationError(f"{host!r}: is no name of a host and no address") from None
        return x509.DNSName(host)


def usage(*, signs: bool) -> x509.KeyUsage:
    """Return what a key may be used for: to sign certificates, or to prove who one is."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def private_pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, without a password."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_in(file: Path) -> x509.Certificate:
    """Read a certificate.

    Raises:
        SecretError: There is none.
    """
    try:
        return x509.load_pem_x509_certificate(read_file(file, "a certificate"))
    except ValueError as error:
        raise SecretError(f"{file}: is no certificate in PEM") from error


def read_file(file: Path, what: str) -> bytes:
    """Read a file that should hold `what`, and is not large.

    Raises:
        SecretError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX)
    except OSError as error:
        raise SecretError(f"{file}: {error.strerror}; wanted {what}") from error
