"""Who may say and read what at the broker: one short list for each kind of client.

A name with a slash is a device's, `<site>/<device>`, and nobody else's has one: no two can be mistaken. It is
the common name of the client's certificate and its user name at the broker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.domain.errors import ConfigurationError

FLEET: Final = "fleet"  # instead of a site: what operators leave for each other
GROUP: Final = "group"  # instead of a device: what concerns several
EVERY: Final = "+"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ROOT: Final = re.compile(r"[^/+#$\s][^+#\s]{0,126}[^/+#\s]")

# Below the prefix of a device.
SAID_BY_DEVICE: Final = (
    "status",
    "info",
    "health",
    "config/reported",
    "config/event",
    "source/+/state",
    "model/+/state",
    "alert/+/+",
    "finding/+",
    "cmd/+/+",
    "reply/#",
)
READ_BY_DEVICE: Final = ("config/desired", "cmd/#", "rpc/#", "case")
SAID_BY_OPERATOR: Final = ("config/desired", "cmd/+/+", "rpc/+")
READ_BY_OPERATOR: Final = (
    "status",
    "info",
    "health",
    "config/#",
    "source/+/state",
    "model/+/state",
    "alert/+/+",
    "cmd/#",
    "reply/#",
    "case",
)
READ_BY_RECEIVER: Final = ("finding/#", "status", "health", "source/+/state", "alert/+/+")


@dataclass(frozen=True, slots=True)
class Access:
    """What one client may do.

    Attributes:
        name: Its user name at the broker.
        writes: Filters of topics it may publish to.
        reads: Filters of topics it may receive.
        shares: Those of `reads` that it may share with others.
    """

    name: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    shares: tuple[str, ...] = ()


def of_device(root: str, name: str, groups: Sequence[str] = ()) -> Access:
    """Return what a device may do: speak below its own prefix, and read what is meant for it.

    Args:
        root: What every topic begins with.
        name: `<site>/<device>`.
        groups: Whose documents concern it.

    Raises:
        ConfigurationError: A name cannot be used.
    """
    site, device = split(name)
    prefix = f"{_root(root)}/{site}/{device}"
    layers = [f"{root}/{site}/{GROUP}/{check_name(group, 'a group')}/config/desired" for group in groups]
    return Access(name, _below(prefix, SAID_BY_DEVICE), (*_below(prefix, READ_BY_DEVICE), *layers))


def of_operator(root: str, name: str, sites: Sequence[str] = ()) -> Access:
    """Return what an operator's tools may do: everything but to speak for a device, or to read findings.

    Args:
        root: What every topic begins with.
        name: Of the operator.
        sites: To which it is confined; none: all there are.

    Raises:
        ConfigurationError: A name cannot be used.
    """
    places = _sites(root, sites)
    layers = [f"{place}/{GROUP}/{EVERY}/config/desired" for place in places]
    writes = [f"{place}/{EVERY}/{what}" for place in places for what in SAID_BY_OPERATOR]
    reads = [f"{place}/{EVERY}/{what}" for place in places for what in READ_BY_OPERATOR]
    fleet = f"{root}/{FLEET}/#"
    return Access(check_name(name, "an operator"), (*writes, *layers, fleet), (*reads, *layers, fleet))


def of_receiver(root: str, name: str, sites: Sequence[str] = ()) -> Access:
    """Return what a receiver of findings may do: read them, and whether devices are able to make any.

    Args:
        root: What every topic begins with.
        name: Of the receiver.
        sites: To which it is confined; none: all there are.

    Raises:
        ConfigurationError: A name cannot be used.
    """
    places = _sites(root, sites)
    reads = [f"{place}/{EVERY}/{what}" for place in places for what in READ_BY_RECEIVER]
    shares = tuple(topic for topic in reads if topic.endswith("/finding/#"))
    return Access(check_name(name, "a receiver"), (), tuple(reads), shares)


def of_administrator(root: str, name: str) -> Access:
    """Return what the administrator of a broker may do: everything below the root, and see how the broker is.

    For what nobody else may: to clear what a device that is gone has left there.

    Args:
        root: What every topic begins with.
        name: Of the administrator.

    Raises:
        ConfigurationError: A name cannot be used.
    """
    everything = f"{_root(root)}/#"
    return Access(check_name(name, "an administrator"), (everything,), (everything, "$SYS/#"))


def of_theatre(root: str, name: str, devices: Sequence[str]) -> Access:
    """Return what a theatre system or a button may do: say of devices whether a case runs.

    Args:
        root: What every topic begins with.
        name: Of the system.
        devices: `<site>/<device>` of each.

    Raises:
        ConfigurationError: A name cannot be used, or no device is named.
    """
    if not devices:
        raise ConfigurationError(f"{name}: speaks for no device; wanted at least one SITE/DEVICE")
    writes = [f"{_root(root)}/{'/'.join(split(device))}/case" for device in devices]
    return Access(check_name(name, "a theatre system"), tuple(writes), ())


def of_bridge(root: str, name: str, site: str) -> Access:
    """Return what the broker of a site may do at the centre: speak for its devices, and read for them.

    Args:
        root: What every topic begins with.
        name: Of the broker.
        site: For whose devices it speaks.

    Raises:
        ConfigurationError: A name cannot be used.
    """
    place = f"{_root(root)}/{_site(site)}"
    writes = _below(f"{place}/{EVERY}", SAID_BY_DEVICE)
    reads = _below(f"{place}/{EVERY}", tuple(one for one in READ_BY_DEVICE if one != "case"))
    return Access(check_name(name, "a bridge"), writes, (*reads, f"{place}/{GROUP}/{EVERY}/config/desired"))


def split(name: str) -> tuple[str, str]:
    """Return site and device of `<site>/<device>`.

    Raises:
        ConfigurationError: It is none, or a word that has another meaning in topics.
    """
    site, slash, device = name.partition("/")
    if not slash:
        raise ConfigurationError(f"{name!r}: is no device; wanted SITE/DEVICE")
    if check_name(device, "a device") == GROUP:
        raise ConfigurationError(f"{name!r}: no device may be called {GROUP!r}, topics of groups begin so")
    return _site(site), device


def check_name(name: str, what: str) -> str:
    """Return a name that may be part of a topic.

    Raises:
        ConfigurationError: It may not; the message says what it should have been the name of.
    """
    if not NAME.fullmatch(name):
        wanted = "wanted 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        raise ConfigurationError(f"{name!r}: is no name for {what}; {wanted}")
    return name


def _below(prefix: str, topics: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}/{topic}" for topic in topics)


def _sites(root: str, sites: Sequence[str]) -> list[str]:
    return [f"{_root(root)}/{_site(site)}" for site in sites] or [f"{_root(root)}/{EVERY}"]


def _root(root: str) -> str:
    if not ROOT.fullmatch(root):
        raise ConfigurationError(f"{root!r}: is no beginning of topics; wanted one such as edge/v1")
    return root


def _site(site: str) -> str:
    if check_name(site, "a site") == FLEET:
        raise ConfigurationError(f"no site may be called {FLEET!r}, topics of operators begin so")
    return site
