"""Who may say and read what, at a real mosquitto with TLS: its access list, and its dynamic security."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from edge.domain.errors import ConfigurationError
from edge.fleet.access import (
    READ_BY_DEVICE,
    READ_BY_OPERATOR,
    READ_BY_RECEIVER,
    SAID_BY_DEVICE,
    SAID_BY_OPERATOR,
    of_administrator,
    of_bridge,
    of_device,
    of_operator,
    of_receiver,
    of_theatre,
)
from edge.fleet.authority import Authority
from edge.fleet.certificates import make_request
from edge.fleet.enrol import add_to_acl, enrol, replace_file, take_from_acl
from edge.fleet.mosquitto import bridge_settings, dynamic_security_without
from edge.kit.mqtt import MqttSession
from tests.peers.fleet_site import ROOT, FleetSite, cannot_connect, now
from tests.waiting import until

SUCCESS, NOBODY, NOT_AUTHORISED = 0x00, 0x10, 0x87
OURS, THEIRS = f"{ROOT}/st-anna/or-3", f"{ROOT}/st-anna/or-4"
FENCE = "fence"
GROUPS = ("group/+/config/desired", "fleet/#")
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
TOPICS_PAGE = PAGE.with_name("topics.md")
CLIENTS = {
    "st-anna/or-3": of_device(ROOT, "st-anna/or-3", ["imaging"]),
    "st-anna/or-4": of_device(ROOT, "st-anna/or-4"),
    "north/or-3": of_device(ROOT, "north/or-3"),
    "alice": of_operator(ROOT, "alice"),
    "bob": of_operator(ROOT, "bob", ["north"]),
    "receiver": of_receiver(ROOT, "receiver"),
    "panel": of_theatre(ROOT, "panel", ["st-anna/or-3"]),
    "root": of_administrator(ROOT, "root"),
}
BELOW = (
    "status",
    "info",
    "health",
    "config/desired",
    "config/reported",
    "config/event",
    "source/door/state",
    "model/brain-mr/state",
    "alert/error/x",
    "finding/brain-mr",
    "cmd/selftest/1",
    "rpc/status",
    "reply/alice/1",
    "case",
    "else",
)
TOPICS = (
    *(f"{prefix}/{below}" for prefix in (OURS, THEIRS, f"{ROOT}/north/or-3") for below in BELOW),
    f"{ROOT}/st-anna/group/imaging/config/desired",
    f"{ROOT}/st-anna/group/others/config/desired",
    f"{ROOT}/north/group/imaging/config/desired",
    f"{ROOT}/fleet/rollout/r1",
    "other/root",
)


@pytest.fixture(scope="module", params=[False, True], ids=["access list", "dynamic security"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetSite]:
    """A site with every kind of client."""
    with FleetSite(tmp_path_factory.mktemp("site"), is_dynamic=request.param) as made:
        made.admit(*CLIENTS.values())
        yield made


def matches(filters: tuple[str, ...], topic: str) -> bool:
    return any(topic_matches_sub(one, topic) for one in filters)


@pytest.mark.parametrize("name", CLIENTS)
def test_everybody_says_what_they_may_and_nothing_else(site: FleetSite, name: str) -> None:
    with site.client(name) as client:
        said = {topic for topic in TOPICS if client.say(topic) != NOT_AUTHORISED}
    assert said == {topic for topic in TOPICS if matches(CLIENTS[name].writes, topic)}


@pytest.mark.parametrize("name", CLIENTS)
def test_everybody_hears_what_they_may_and_nothing_else(site: FleetSite, name: str) -> None:
    """Whatever they ask for: all, each topic by itself."""
    asked = ("#", "+/+/+/+/#", *TOPICS, *CLIENTS[name].reads)
    with site.client(name, *asked) as client, site.client("tester") as tester:
        for topic in TOPICS:
            tester.say(topic)
        may = {topic for topic in TOPICS if matches(CLIENTS[name].reads, topic)}
        until(lambda: may <= set(client.heard), within_s=5, what=f"{may} of {client.heard}")
        tester.say(FENCE)
    assert {topic for topic in client.heard if not topic.startswith("$SYS/")} == may


@pytest.mark.parametrize(
    ("client", "says", "reads"),
    [
        ("device", SAID_BY_DEVICE, (*READ_BY_DEVICE, "group/<its groups>/config/desired")),
        ("operator", (*SAID_BY_OPERATOR, *GROUPS), (*READ_BY_OPERATOR, *GROUPS)),
        ("receiver", (), READ_BY_RECEIVER),
        ("theatre system", ("case",), ()),
    ],
)
def test_the_page_says_what_everybody_may(client: str, says: tuple[str, ...], reads: tuple[str, ...]) -> None:
    rows = re.findall(rf"^\| {client} \| (.*) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [tuple(re.findall(r"`([^`]+)`", cell)) for cell in rows[0]] == [says, reads]


def test_every_topic_of_the_contract_is_in_the_list_of_a_device() -> None:
    """What the page of topics says that a device says or hears is what its access list lets it."""
    told = re.findall(
        r"^\| `([^`]+)` \| (yes|no|until cleared|the fleet|a theatre system, a button) \|",
        TOPICS_PAGE.read_text(),
        re.MULTILINE,
    )
    filled = [(re.sub(r"<[a-z -]+>", "x", topic).removeprefix("x/"), who) for topic, who in told]
    device = CLIENTS["st-anna/or-3"]
    said = [topic for topic, who in filled if who in ("yes", "no", "until cleared")]
    heard = [
        topic for topic, who in filled if who not in ("yes", "no", "until cleared") and "group" not in topic
    ]
    assert len(said) > 10
    assert len(heard) >= 4
    assert [topic for topic in said if not matches(device.writes, f"{OURS}/{topic}")] == []
    assert [topic for topic in heard if not matches(device.reads, f"{OURS}/{topic}")] == []


def test_devices_have_just_what_the_contract_gives_them() -> None:
    device = CLIENTS["st-anna/or-3"]
    assert all(topic.startswith(f"{OURS}/") for topic in device.writes)
    assert not matches(device.writes, f"{OURS}/config/desired")
    assert not matches(device.writes, f"{OURS}/case")
    assert set(device.reads) == {
        f"{OURS}/config/desired",
        f"{OURS}/cmd/#",
        f"{OURS}/rpc/#",
        f"{OURS}/case",
        f"{ROOT}/st-anna/group/imaging/config/desired",
    }


def test_an_operator_neither_speaks_for_a_device_nor_reads_findings() -> None:
    operator = CLIENTS["alice"]
    assert not any(
        matches(operator.writes, f"{OURS}/{below}") for below in ("status", "finding/a", "alert/error/a")
    )
    assert not matches(operator.reads, f"{OURS}/finding/brain-mr")


def test_shared_receivers_divide_the_findings(site: FleetSite) -> None:
    finding = f"$share/archive/{ROOT}/+/+/finding/#"
    with (
        site.client("receiver", finding, client_id="one") as one,
        site.client("receiver", finding, client_id="two") as two,
    ):
        with site.client("st-anna/or-3") as device:
            codes = {device.say(f"{OURS}/finding/brain-mr") for _ in range(6)}
        until(lambda: len(one.heard) + len(two.heard) >= 6, within_s=5)
    assert codes == {SUCCESS}
    assert len(one.heard) == len(two.heard) == 3


def test_a_denied_publish_does_not_end_the_line(site: FleetSite) -> None:
    """It would with `max_queued_messages 0` in mosquitto 2.0.11; our settings have a large number."""
    assert "max_queued_messages 1000000" in (site.broker.folder / "mosquitto.conf").read_text()
    with site.client("st-anna/or-3") as device:
        codes = [device.say(f"{THEIRS}/status") for _ in range(3)]
        assert codes == [NOT_AUTHORISED] * 3
        assert device.session.connected


# ── who may come in at all ────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_of_somebody_else_is_no_way_in(site: FleetSite, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "ca", now=now)
    stranger.make("devices")  # called like ours
    key, request = tmp_path / "or-3.key", tmp_path / "or-3.csr"
    certificate = stranger.sign(
        make_request("st-anna/or-3", key_file=key, request_file=request), name="st-anna/or-3", days=1
    )
    (tmp_path / "or-3.crt").write_bytes(certificate)
    replace_file(site.devices.certificate_file, tmp_path / "ca.crt")
    assert cannot_connect(site.session("st-anna/or-3", files=tmp_path))


def test_without_a_certificate_there_is_no_way_in(site: FleetSite) -> None:
    port, ca_file = site.broker.port, site.broker.folder / "devices-ca.crt"
    asked = [
        "mosquitto_pub",
        "-h",
        "localhost",
        "-p",
        str(port),
        "--cafile",
        str(ca_file),
        "-t",
        "a",
        "-m",
        "b",
    ]
    assert subprocess.run(asked, check=False, capture_output=True, timeout=20).returncode != 0


def test_a_device_does_not_come_in_where_people_do(site: FleetSite) -> None:
    assert cannot_connect(site.session("st-anna/or-3", port=site.broker.port + 1))
    assert cannot_connect(site.session("alice", port=site.broker.port))


def test_a_device_cannot_take_the_session_of_another(site: FleetSite) -> None:
    """mosquitto gives it its own client id, whatever it asks for."""
    with site.client("st-anna/or-4", client_id="or-4") as victim:
        with site.client("st-anna/or-3", client_id="st-anna/or-4") as thief:
            assert victim.say(f"{THEIRS}/status") in (SUCCESS, NOBODY)
            assert thief.say(f"{THEIRS}/status") == NOT_AUTHORISED
        assert victim.session.connected
    assert "as st-anna/or-3 (p5" in site.broker.log


# ── a stolen device ───────────────────────────────────────────────────────────────────────────────────────


def test_a_stolen_device_is_kept_out_and_mute(tmp_path: Path) -> None:
    stolen, other = of_device(ROOT, "st-anna/or-3"), of_device(ROOT, "st-anna/or-4")
    with FleetSite(tmp_path) as site:
        site.admit(stolen, other)
        with site.client("st-anna/or-3", f"{OURS}/config/desired") as thief, site.client("tester") as tester:
            assert site.devices.revoke("st-anna/or-3") == 1
            replace_file(site.devices.revoked_file, site.broker.folder / "devices-crl.pem")
            take_from_acl(site.broker.folder / "acl", "st-anna/or-3")
            site.read_again()
            assert thief.say(f"{OURS}/status") == NOT_AUTHORISED  # a line that is open stays so, and mute
            tester.say(f"{OURS}/config/desired")
            assert thief.heard == []
        assert cannot_connect(site.session("st-anna/or-3"))
        with site.client("st-anna/or-4") as client:
            assert client.say(f"{THEIRS}/status") != NOT_AUTHORISED
    assert "certificate verify failed" in site.broker.log


def test_an_authority_may_take_the_place_of_another_while_devices_go_on(tmp_path: Path) -> None:
    """As the runbook says: both are believed for a time, each with its list of those taken back."""
    old, new = of_device(ROOT, "st-anna/or-3"), of_device(ROOT, "st-anna/or-4")
    with FleetSite(tmp_path) as site:
        site.admit(old)
        second = Authority(tmp_path / "devices-2", now=now)
        second.make("devices")  # called like the first
        enrol(new, folder=site.files_of(new.name), authority=second)
        add_to_acl(site.broker.folder / "acl", new)
        both = ((site.devices, second), (second,))
        for authorities in both:
            for what, file in (("ca.crt", "devices-ca.crt"), ("crl.pem", "devices-crl.pem")):
                joined = b"".join((one.folder / what).read_bytes() for one in authorities)
                (site.broker.folder / file).write_bytes(joined)
            believed = site.files_of(new.name) / "ca.crt"
            believed.write_bytes(
                second.certificate_file.read_bytes() + site.devices.certificate_file.read_bytes()
            )
            site.read_again()
            with site.client(new.name) as device:
                assert device.say(f"{THEIRS}/status") != NOT_AUTHORISED
            as_it_should = {2: _comes_in, 1: cannot_connect}[len(authorities)]
            assert as_it_should(site.session(old.name))
        second.revoke(new.name)
        (site.broker.folder / "devices-crl.pem").write_bytes(second.revoked_file.read_bytes())
        site.read_again()
        assert cannot_connect(site.session(new.name))


def _comes_in(session: MqttSession) -> bool:
    with session:
        return session.wait_connected(5)


def test_an_administrator_clears_what_a_device_that_is_gone_has_left(tmp_path: Path) -> None:
    """As the runbook has it typed."""
    with FleetSite(tmp_path) as site:
        site.admit(CLIENTS["st-anna/or-3"], CLIENTS["root"])
        with site.client("st-anna/or-3") as device:
            for below in ("status", "info", "config/reported"):
                device.say(f"{OURS}/{below}", retain=True)
        files = site.files_of("root")
        named = (("--cafile", "ca.crt"), ("--cert", "root.crt"), ("--key", "root.key"))
        ours = [word for option, file in named for word in (option, str(files / file))]
        typed = [
            "mosquitto_sub",
            "-h",
            "localhost",
            "-p",
            str(site.broker.port + 1),
            *ours,
            "-V",
            "5",
            "-q",
            "1",
        ]
        clearing = [*typed, "-W", "1", "--remove-retained", "-t", f"{OURS}/#"]
        subprocess.run(clearing, check=False, capture_output=True, timeout=20)
        with site.client("tester", f"{OURS}/#") as later:
            later.say(f"{OURS}/status")
            until(lambda: later.heard, within_s=5)
        assert later.heard == [f"{OURS}/status"]


def test_with_dynamic_security_a_client_must_be_deleted_to_be_gone(tmp_path: Path) -> None:
    """One that is disabled comes back with its certificate to a mosquitto 2.0.11, and goes on."""
    with FleetSite(tmp_path, is_dynamic=True) as site:
        site.admit(of_device(ROOT, "st-anna/or-3"))
        with site.client("st-anna/or-3") as device:
            site.tell({"commands": [{"command": "disableClient", "username": "st-anna/or-3"}]})
            until(lambda: not device.session.connected, within_s=5)
            assert device.session.wait_connected(5)
            assert device.say(f"{OURS}/status") == NOBODY
            answers = site.tell(dynamic_security_without("st-anna/or-3"))
            assert answers == [{"command": "deleteClient"}, {"command": "deleteRole"}]
            until(lambda: not device.session.connected, within_s=5)
            assert device.session.wait_connected(5)
            assert device.say(f"{OURS}/status") == NOT_AUTHORISED


# ── over a bridge ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_bridge_carries_what_the_fleet_needs_and_nothing_else(tmp_path: Path) -> None:
    bridge = of_bridge(ROOT, "bridge-anna", "st-anna")
    with FleetSite(tmp_path / "centre") as centre:
        centre.admit(bridge, CLIENTS["alice"])
        files = [
            str(tmp_path / "centre" / "clients" / "bridge-anna" / name)
            for name in ("ca.crt", "bridge-anna.crt", "bridge-anna.key")
        ]
        there = FleetSite(tmp_path / "there")
        address = f"localhost:{centre.broker.port + 1}"
        settings = there.broker.folder / "mosquitto.conf"
        settings.write_text(settings.read_text() + bridge_settings(bridge, address=address, files=files))
        with there:
            there.admit(CLIENTS["st-anna/or-3"], CLIENTS["panel"])
            until(lambda: "as bridge-anna (p5" in centre.broker.log, within_s=10)
            _check_both_ways(centre, there)


def _check_both_ways(centre: FleetSite, there: FleetSite) -> None:
    group = f"{ROOT}/st-anna/group/imaging/config/desired"
    inward = {*(f"{OURS}/{below}" for below in ("config/desired", "cmd/selftest/1", "rpc/status")), group}
    spoken = (
        "status",
        "config/reported",
        "finding/brain-mr",
        "cmd/selftest/1",
        "reply/alice/1",
        "alert/error/x",
    )
    outward = {f"{OURS}/{below}" for below in spoken}
    listens = (f"{OURS}/config/desired", f"{OURS}/cmd/+/+", f"{OURS}/rpc/+", group)
    with there.client("st-anna/or-3", *listens) as device:
        with centre.client("alice") as alice:
            for topic in sorted(inward):
                alice.say(topic, retain="rpc" not in topic)
        until(lambda: len(device.heard) >= len(inward), within_s=10, what=f"{device.heard}")
        assert sorted(device.heard) == sorted(inward)
        with centre.client("alice") as alice:
            alice.ask(f"{OURS}/rpc/status", f"{OURS}/reply/alice/1")
        until(lambda: device.questions, within_s=5, what="where the answer goes comes over the bridge")
        assert device.questions == [(f"{OURS}/reply/alice/1", b"7")]
        with there.client("panel") as panel, centre.client("tester", *outward, f"{OURS}/case") as tester:
            panel.say(f"{OURS}/case", retain=True)
            until(lambda: f"{OURS}/cmd/selftest/1" in tester.heard, within_s=5)  # as it was left here
            tester.heard.clear()
            for topic in sorted(outward):
                assert device.say(topic, retain=True) == SUCCESS
            until(lambda: len(tester.heard) >= len(outward), within_s=10, what=f"{tester.heard}")
            assert sorted(tester.heard) == sorted(outward)
    with centre.client("tester", f"{OURS}/status") as later:
        until(lambda: later.heard, within_s=5, what="what a device leaves at its site is left at the centre")


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["fleet/or-3", "st-anna/group", "or-3", "a/b/c", "a/+", "#/b", "", "a/", "/b", "a/b\n"]
)
def test_a_name_that_would_reach_further_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        of_device(ROOT, name)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: of_device("edge/+", "a/b"),
        lambda: of_device(ROOT, "a/b", ["+"]),
        lambda: of_operator(ROOT, "a/b"),
        lambda: of_operator(ROOT, "alice", ["#"]),
        lambda: of_receiver(ROOT, "r", ["fleet"]),
        lambda: of_theatre(ROOT, "panel", []),
        lambda: of_theatre(ROOT, "panel", ["or-3"]),
        lambda: of_bridge(ROOT, "bridge", "+"),
    ],
)
def test_nobody_is_given_more_by_a_wildcard_in_a_name(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ConfigurationError):
        wrong()
