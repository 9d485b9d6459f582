"""Devices and groups as operators name them: in full, or in part where that is enough."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from edge.domain.errors import ConfigurationError
from edge.fleet.access import GROUP, check_name, split
from edge.fleet.operator.mqtt_desk import MqttDesk

_LISTED: Final = 8
_View = TypeVar("_View")


def one_of(desk: MqttDesk, given: str, *, is_new: bool = False) -> str:
    """Return the name of the one device or group that is meant.

    Args:
        desk: At the broker.
        given: `<site>/<device>`, `<site>/group/<group>`, or what comes last of it where only one has it.
        is_new: It need not be known yet.

    Raises:
        ConfigurationError: None is meant, or several are.
    """
    known = {*desk.devices(), *desk.groups(), *_named_groups(desk)}
    if given in known:
        return given
    ending = sorted(name for name in known if name.endswith(f"/{given}"))
    if len(ending) == 1:
        return ending[0]
    if len(ending) > 1:
        raise ConfigurationError(f"{given}: there are {_listed(ending)}; wanted one of them")
    if is_new:
        return _checked(given)
    hint = ", or --new where it is yet to come" if given.count("/") in (1, 2) else ""
    raise ConfigurationError(f"{given}: nobody of that name is known{_close(given, known)}{hint}")


def chosen(views: Mapping[str, _View], patterns: Sequence[str]) -> dict[str, _View]:
    """Return those whose name, or its end, matches one of the patterns; all where there is none."""
    if not patterns:
        return dict(views)
    return {name: view for name, view in views.items() if any(matches(name, pattern) for pattern in patterns)}


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant: `st-anna/*`, `or-3`, `*/or-*`."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def _checked(name: str) -> str:
    """Return the name of a device or a group that nobody has heard of.

    Raises:
        ConfigurationError: None can be called so.
    """
    site, _, below = name.partition("/")
    if below.startswith(f"{GROUP}/"):
        check_name(below.removeprefix(f"{GROUP}/"), "a group")
        split(f"{site}/device")
    else:
        split(name)
    return name


def _named_groups(desk: MqttDesk) -> set[str]:
    return {f"{view.site}/group/{group}" for view in desk.devices().values() for group in view.groups}


def _close(given: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(given, known, n=3, cutoff=0.5)
    return (
        f"; did you mean {' or '.join(close)}?" if close else f"; {_listed(sorted(known)) or 'there is none'}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
