"""The address of an RTSP stream, taken apart, and how it is named where people read it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.domain.errors import ConfigurationError

_PORT = 554


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stream is.

    Attributes:
        url: As it is asked for; a query may hold a secret.
        host: Name or number of the server.
        port: Of its control connection.
    """

    url: str
    host: str
    port: int

    @property
    def public(self) -> str:
        """The address without its query, for messages."""
        return self.url.partition("?")[0]

    @classmethod
    def of(cls, url: str) -> Address:
        """Take an address apart.

        Raises:
            ConfigurationError: It is none of ours; the message does not repeat what may be a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORT
        except ValueError:
            raise ConfigurationError(
                "an address that cannot be read, wanted rtsp://host[:port]/path"
            ) from None
        if parts.scheme.lower() == "rtsps":
            raise ConfigurationError(
                f"rtsps://{parts.hostname}: RTSP over TLS is not supported, wanted rtsp://"
            )
        if parts.scheme.lower() != "rtsp" or not parts.hostname:
            raise ConfigurationError(
                f"an address that begins {parts.scheme!r}, wanted rtsp://host[:port]/path"
            )
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                f"rtsp://{parts.hostname}: it holds a user name; wanted `username` and `password`"
            )
        if any(character <= " " for character in url):
            raise ConfigurationError(
                f"rtsp://{parts.hostname}: the address holds a space or a control character"
            )
        return cls(url, parts.hostname, port)
