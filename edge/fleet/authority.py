"""An authority for a small site, in a folder: signs the certificates of its devices, and takes them back.

<folder>/ca.key          its private key, for its owner only: whoever has it can be any device
<folder>/ca.crt          what brokers and devices believe
<folder>/crl.pem         which certificates are believed no longer; there from the first day on
<folder>/issued/         every certificate it has signed, by its number
<folder>/revoked.json    numbers of those that were taken back, and when
<folder>/whom            whom it vouches for, devices or people, from the first one on
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge.domain.errors import ConfigurationError, SecretError
from edge.fleet.certificates import (
    LATE,
    certificate_in,
    host_of,
    key_asked_for,
    name_of,
    new_certificate,
    private_pem,
    read_file,
    subject_of,
    usage,
)
from edge.kit.files import write_durably

AUTHORITY_DAYS: Final = 3650

Now = Callable[[], datetime.datetime]


class Use(StrEnum):
    """What a certificate is for."""

    CLIENT = "client"
    BROKER = "broker"


class Whom(StrEnum):
    """Whom an authority vouches for: a broker has a door for each, and believes one authority at each."""

    DEVICES = "devices"
    PEOPLE = "people"  # and all others who are no devices


class Authority:
    """An authority in a folder, for a site that has no other; a constructor stores.

    Args:
        folder: Its own, on a machine of the operator; never on a device or a broker.
        now: The time, UTC.
    """

    def __init__(self, folder: Path, *, now: Now) -> None:
        self.folder = folder
        self.certificate_file = folder / "ca.crt"
        self.revoked_file = folder / "crl.pem"
        self._key_file = folder / "ca.key"
        self._now = now

    @property
    def is_there(self) -> bool:
        """Whether it was made."""
        return self._key_file.exists() or self.certificate_file.exists()

    def check(self) -> None:
        """Go on where it can sign.

        Raises:
            SecretError: It is not there, others may read its key, or it is damaged.
        """
        self._opened()

    def make(self, name: str) -> None:
        """Make it: its key, its certificate, and an empty list of those taken back.

        Raises:
            SecretError: There is one, or it cannot be written.
        """
        if self.is_there:
            raise SecretError(f"{self.folder}: holds an authority already; it is never overwritten")
        private = ec.generate_private_key(ec.SECP256R1())
        subject, now = subject_of(name), self._now()
        builder = new_certificate(subject, subject, private.public_key(), now, days=AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage(signs=True), critical=True)
        certificate = builder.sign(private, hashes.SHA256())
        try:
            (self.folder / "issued").mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            write_durably(self._key_file, private_pem(private), mode=0o600)
            write_durably(self.certificate_file, certificate.public_bytes(Encoding.PEM))
            self._write_revoked({}, private, certificate)
        except OSError as error:
            raise SecretError(f"{error.filename}: cannot be written: {error.strerror}") from error

    def keep_for(self, whom: Whom) -> None:
        """Go on where it vouches for nobody else, and write down that it is for these.

        Raises:
            ConfigurationError: It vouches for the others: the broker would let none of these in.
            SecretError: It cannot be read or written.
        """
        self.check()
        file = self.folder / "whom"
        known = self._whom(file)
        if known not in ("", whom):
            raise ConfigurationError(f"{self.folder}: vouches for {known}; wanted the authority for {whom}")
        if file.exists():
            return
        try:
            write_durably(file, f"{whom}\n".encode())
        except OSError as error:
            raise SecretError(f"{file}: cannot be written: {error.strerror}") from error

    def sign(
        self, request: bytes, *, name: str, use: Use = Use.CLIENT, hosts: Sequence[str] = (), days: int
    ) -> bytes:
        """Sign a request; nothing of it counts but its key, and that whoever made it has that key.

        Args:
            request: PEM.
            name: That the request must give, and the certificate will.
            use: What the certificate is for.
            hosts: Names and addresses of a broker.
            days: For how long it is believed.

        Returns:
            The certificate, PEM.

        Raises:
            ConfigurationError: The request is none, is of somebody else, or its key is too weak.
            SecretError: The authority cannot be read or written.
        """
        key, certificate = self._opened()
        public = key_asked_for(request, name)
        builder = new_certificate(subject_of(name), certificate.subject, public, self._now(), days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(usage(signs=False), critical=True)
        oid = ExtendedKeyUsageOID.SERVER_AUTH if use is Use.BROKER else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if hosts:
            named = x509.SubjectAlternativeName([host_of(one) for one in hosts])
            builder = builder.add_extension(named, critical=False)
        signed = builder.sign(key, hashes.SHA256())
        written = signed.public_bytes(Encoding.PEM)
        try:
            write_durably(self.folder / "issued" / f"{signed.serial_number:040x}.crt", written)
        except OSError as error:
            raise SecretError(f"{error.filename}: cannot be written: {error.strerror}") from error
        return written

    def revoke(self, name: str) -> int:
        """Take back every certificate of a name; returns how many were not taken back before.

        Raises:
            ConfigurationError: It never signed one for that name.
            SecretError: The authority cannot be read or written.
        """
        key, certificate = self._opened()
        numbers = [one.serial_number for one in self.issued() if name_of(one.subject) == name]
        if not numbers:
            raise ConfigurationError(f"{self.folder}: has signed no certificate for {name}")
        revoked = self._revoked()
        fresh = {number: self._now() for number in numbers if number not in revoked}
        try:
            self._write_revoked({**revoked, **fresh}, key, certificate)
        except OSError as error:
            raise SecretError(f"{error.filename}: cannot be written: {error.strerror}") from error
        return len(fresh)

    def issued(self) -> list[x509.Certificate]:
        """Return every certificate it has signed.

        Raises:
            SecretError: One cannot be read.
        """
        files = sorted((self.folder / "issued").glob("*.crt"))
        return [certificate_in(file) for file in files]

    def _opened(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Read the authority.

        Raises:
            SecretError: It is not there, others may read its key, or it is damaged.
        """
        content = read_file(self._key_file, "the key of an authority")
        mode = self._key_file.stat().st_mode
        if mode & 0o077:
            raise SecretError(f"{self._key_file}: others may read it (mode {mode & 0o777:o}); wanted 600")
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SecretError(f"{self._key_file}: is no private key in PEM without a password") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SecretError(
                f"{self._key_file}: is no key on an elliptic curve; `edge fleet enrol` makes one"
            )
        return key, certificate_in(self.certificate_file)

    def _whom(self, file: Path) -> str:
        """Return whom it vouches for, "" where that is open; an older one shows it by whom it has signed."""
        if file.exists():
            return read_file(file, "whom an authority vouches for").decode(errors="replace").strip()
        clients = [name_of(one.subject) for one in self.issued() if not _is_of_broker(one)]
        if not clients:
            return ""
        return Whom.DEVICES if "/" in clients[0] else Whom.PEOPLE

    def _revoked(self) -> dict[int, datetime.datetime]:
        file = self.folder / "revoked.json"
        if not file.exists():
            return {}
        try:
            read = json.loads(read_file(file, "what was taken back"))
            return {int(number, 16): datetime.datetime.fromisoformat(at) for number, at in read.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise SecretError(
                f"{file}: is damaged: {error}; without it a stolen key would be believed"
            ) from error

    def _write_revoked(
        self,
        revoked: dict[int, datetime.datetime],
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
    ) -> None:
        """Write the list; it is believed as long as the authority: one that is overdue would keep out all."""
        rows = {f"{number:040x}": at.isoformat() for number, at in revoked.items()}
        builder = x509.CertificateRevocationListBuilder().issuer_name(certificate.subject)
        builder = builder.last_update(self._now() - LATE).next_update(certificate.not_valid_after_utc)
        builder = builder.add_extension(x509.CRLNumber(int(self._now().timestamp())), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)  # two authorities may be called alike
        for number, at in revoked.items():
            one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(at).build()
            builder = builder.add_revoked_certificate(one)
        written = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        write_durably(self.folder / "revoked.json", json.dumps(rows).encode())
        write_durably(self.revoked_file, written)


def _is_of_broker(certificate: x509.Certificate) -> bool:
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return ExtendedKeyUsageOID.SERVER_AUTH in uses
