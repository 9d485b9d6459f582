"""What the next document is made from: never what nobody known has signed, never what came to nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from edge.fleet.operator.basis import Basis, basis_of
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.inventory import DeviceView
from tests.builders.fleet import desired, key_ring

NAME = "anna/or-3"
GROUP = "anna/group/theatres"


def signed(version: int, **given: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(desired(version, **given))
    return document


@dataclass(frozen=True)
class Past:
    """The history of one operator's machine."""

    seen: Sequence[Mapping[str, Any]]
    version: int

    def documents(self, name: str, version: int) -> Sequence[Mapping[str, Any]]:
        return [one for one in self.seen if one["version"] == version]

    def committed(self, name: str) -> int:
        return self.version


def evil(version: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(desired(version).replace(b"fleet-2026", b"evil"))
    return document


def basis(
    held: Mapping[str, Any] | None,
    *reports: Mapping[str, Any],
    seen: Sequence[Mapping[str, Any]] = (),
    name: str = NAME,
    committed: int = 0,
) -> Basis:
    views = {
        f"anna/or-{number}": DeviceView(site="anna", device=f"or-{number}", reported=report)
        for number, report in enumerate(reports, start=3)
    }
    return basis_of(name, held, views, Past(seen, committed), key_ring())


def ended(version: int, status: str, code: str, *, applied: int = 5, **others: Any) -> dict[str, Any]:
    return {
        "version": version,
        "status": status,
        "code": code,
        "message": "why",
        "applied_version": applied,
        "desired_version": applied,
        **others,
    }


def test_what_the_broker_holds_is_built_upon_while_nothing_speaks_against_it() -> None:
    held = signed(6)
    assert basis(None) == Basis(document=None)
    for report in ({}, ended(5, "committed", "ok"), ended(6, "committed", "ok", applied=6)):
        assert basis(held, report) == Basis(document=held)
    of_two = ended(6, "rejected", "conflict", applied=6, desired_digest=digest_of_signed(held))
    assert basis(held, of_two) == Basis(document=held), "it was taken, and another one refused"


def test_what_an_unknown_key_has_signed_is_not_built_upon() -> None:
    five = signed(5)
    found = basis(evil(12), ended(12, "rejected", "bad_signature"), seen=[five, evil(12)])
    assert found.document == five
    assert "version 12 at the broker is by the key 'evil', which you do not know" in found.remark
    assert not found.is_held
    assert basis(evil(12), ended(12, "rejected", "bad_signature")).is_missing, "version 5 was never seen here"
    assert basis(evil(12), ended(12, "rejected", "bad_signature"), seen=[evil(5)]).is_missing
    assert basis(evil(12)).is_missing, "nobody has said what is at work"
    assert basis(evil(12), ended(12, "rejected", "bad_signature", applied=0)).document is None


def test_of_a_group_neither() -> None:
    layer = signed(4, scope="group/theatres")
    found = basis(
        json.loads(desired(5, scope="group/theatres").replace(b"fleet-2026", b"evil")),
        {"groups": {"theatres": ended(5, "rejected", "bad_signature", applied=4)}},
        seen=[layer],
        name=GROUP,
    )
    assert (found.document, found.is_held) == (layer, False)


def test_a_document_of_another_device_or_site_is_not_built_upon() -> None:
    assert "anna/or-9" in basis(signed(6, device="or-9"), ended(5, "committed", "ok")).remark
    assert "bert/or-3" in basis(signed(6, site="bert"), ended(5, "committed", "ok")).remark
    altered = {**signed(6), "config": {}}
    assert "cannot be believed" in basis(altered, ended(5, "committed", "ok")).remark


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("rejected", "ok", "version 6 was only validated"),
        ("rejected", "local_lock", "version 6 was rejected: local_lock: why"),
        ("rolled_back", "probe", "version 6 was rolled back: probe: why"),
    ],
)
def test_what_came_to_nothing_is_not_built_upon(status: str, code: str, said: str) -> None:
    found = basis(signed(6), ended(6, status, code), seen=[signed(5), signed(6)])
    assert (found.document, found.is_held) == (signed(5), False)
    assert said in found.remark
    assert basis(signed(6), ended(6, status, code)).is_missing
    assert basis(signed(6), ended(6, status, code, applied=0)) == Basis(
        document=None, remark=f"{said}; it is not built upon"
    )


def test_a_dry_run_that_nobody_has_looked_at_yet_is_not_built_upon() -> None:
    found = basis(signed(6, apply={"mode": "validate"}), ended(5, "committed", "ok"), seen=[signed(5)])
    assert found.document == signed(5)


def test_of_two_of_one_version_the_one_that_was_taken_is_built_upon() -> None:
    ours, theirs = signed(5), signed(5, config={"log_level": "ERROR"})
    report = ended(6, "rejected", "schema", desired_digest=digest_of_signed(theirs))
    assert basis(signed(6), report, seen=[ours, theirs]).document == theirs
    assert basis(signed(6), ended(6, "rejected", "schema"), seen=[ours, theirs]).is_missing
    taken = ended(5, "committed", "ok", desired_digest=digest_of_signed(theirs))
    assert basis(ours, taken, seen=[ours, theirs]).document == theirs


def test_a_layer_is_built_upon_while_one_of_its_devices_has_it() -> None:
    layer = signed(4, scope="group/theatres")
    bad, good = ended(4, "rejected", "schema", applied=3), ended(4, "committed", "ok", applied=4)
    both = [{"groups": {"theatres": bad}}, {"groups": {"theatres": good}}]
    assert basis(layer, *both, name=GROUP) == Basis(document=layer)


def test_what_a_device_has_not_said_yet_the_history_knows() -> None:
    """It has committed version 1, and its report of a second ago does not name it."""
    one, stale = signed(1), ended(0, "", "", applied=0)
    found = basis(evil(2), stale, seen=[one], committed=1)
    assert (found.document, found.is_missing) == (one, False)
    assert "it is not built upon, version 1 is" in found.remark
    six = signed(6)
    assert basis(evil(7), ended(5, "committed", "ok"), seen=[signed(5), six], committed=6).document == six
    assert basis(evil(2), stale, seen=[evil(1)], committed=1).is_missing, "a stranger's is never built upon"


def test_what_a_device_has_said_counts_more_than_the_history() -> None:
    seen = ended(12, "rejected", "bad_signature")
    assert basis(evil(12), seen, seen=[signed(5), signed(9)], committed=9).document == signed(5)
    nothing = basis(
        evil(12), ended(12, "rejected", "bad_signature", applied=0), seen=[signed(9)], committed=9
    )
    assert (nothing.document, nothing.is_missing) == (None, False)


def test_nothing_is_built_upon_nothing_while_nobody_knows_what_is_at_work() -> None:
    assert basis(evil(2), ended(0, "", "", applied=0)).is_missing
    assert not basis(evil(1), ended(0, "", "", applied=0)).is_missing, "there was nothing before it"
