"""The operator's desk at a broker with TLS and access lists: what it was given is all it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from edge.domain.errors import RefusedError
from edge.fleet import access
from edge.fleet.operator.edit import drafted
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.orders import Order, ask, ticket
from edge.fleet.signing import Signer
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message, MqttSession
from tests.builders.fleet_documents import new_key
from tests.peers.fleet_site import FleetSite

ROOT = "edge/v1"
CONTENT: dict[str, dict[str, object]] = {"config": {}, "bundles": {}}


def desk(site: FleetSite, name: str, signer: Signer, *sites: str, more: tuple[str, ...] = ()) -> MqttDesk:
    session = partial(site.session, name)
    return MqttDesk(session, root=ROOT, clock=SystemClock(), signer=signer, sites=sites, more=more)


@contextmanager
def answering(session: MqttSession, prefix: str) -> Iterator[MqttSession]:
    """Connect a device that answers questions."""

    def answer(message: Message) -> None:
        said = json.dumps({"answer": {"well": True}}).encode()
        known = message.correlation_data
        session.post(Message(topic=message.response_topic, payload=said, correlation_data=known))

    session.subscribe(f"{prefix}/rpc/#", answer)
    with session:
        assert session.wait_connected(5), session.trouble
        yield session


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_an_operator_sees_all_that_is_theirs_and_writes_it(tmp_path: Path, is_dynamic: bool) -> None:
    signer, _ = new_key(tmp_path)
    draft = drafted("anna/or-1", CONTENT, base=0, now_ns=SystemClock().utc_ns())
    selftest, status = ticket("selftest"), ticket("status")
    with FleetSite(tmp_path / "site", is_dynamic=is_dynamic) as site:
        site.admit(
            access.of_operator(ROOT, "alice"),
            access.of_operator(ROOT, "bob", ["bert"]),
            access.of_device(ROOT, "anna/or-1"),
            access.of_device(ROOT, "bert/or-1"),
        )
        with answering(site.session("anna/or-1"), f"{ROOT}/anna/or-1") as device:
            device.publish(Message(topic=f"{ROOT}/anna/or-1/status", payload=b"{}", retain=True), timeout_s=5)
            with site.client("bert/or-1") as other:
                other.say(f"{ROOT}/bert/or-1/info", retain=True, payload=b'{"room": "x"}')
            with desk(site, "alice", signer, more=(*selftest.filters, *status.filters)) as alice:
                assert (sorted(alice.devices()), alice.trouble) == (["anna/or-1", "bert/or-1"], "")
                assert alice.publish("anna/or-1", draft) == alice.devices()["anna/or-1"].desired
                alice.publish_rollout("r-1", {"state": "running"})
                order = Order(alice, "anna/or-1", selftest)
                order.give({}, life_s=60)
                order.clear()
                assert ask(alice, "anna/or-1", status, timeout_s=5) == {"well": True}
        with desk(site, "bob", signer, "bert") as bob:
            assert (list(bob.devices()), list(bob.rollouts()), bob.trouble) == (["bert/or-1"], ["r-1"], "")
            bob.publish("bert/or-1", draft)
            with pytest.raises(RefusedError, match="not authorised"):
                bob.publish("anna/or-1", draft)
        with desk(site, "bob", signer) as bob:  # who forgot that he is confined
            assert list(bob.devices()) == {False: ["bert/or-1"], True: []}[is_dynamic]
            assert bob.trouble.startswith({False: "", True: "the broker does not tell: "}[is_dynamic])
