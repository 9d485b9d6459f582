"""Roll-outs over a real broker to devices with the real state machine; `edge fleet rollout` as typed."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.bundles.signature import TrustRoot, make_key, public_key_of
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.history import History
from edge.fleet.operator.inventory import DeviceView
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_content import standing
from edge.fleet.operator.rollout_desk import SignedDesk
from edge.fleet.operator.rollout_orders import Order
from edge.fleet.operator.rollout_plan import parse_file, parse_ring, plan
from edge.fleet.operator.rollout_runner import Runner
from edge.fleet.operator.rollout_state import Phase, Step, Terms
from edge.fleet.operator.rollout_store import RolloutStore, rollout_of
from edge.fleet.signing import KeyRing, Signer
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from edge.kit.moments import told
from edge.kit.mqtt import Message, MqttSession
from edge.simulate.fleet import SimulatedFleet
from edge.simulate.fleet_hardware import Traits
from edge.simulate.fleet_member import Person
from edge.simulate.mqtt_line import Broker
from tests.peers.broker import Mosquitto, broker  # noqa: F401  # a fixture
from tests.peers.listener import Listener
from tests.waiting import until

COUNT = 5
ROOMS = 4
QUICK = Traits(stage_s=0.02, apply_s=0.05, probe_s=0.02)
BROUGHT = {"log_level": "DEBUG"}
FIRST = {
    "schema": "edge.desired/1",
    "device": "box-0",
    "version": 1,
    "base": 0,
    "apply": {"confirm_s": 1},
    "rollout": {"id": "r-1", "ring": 0},
    "bundles": {},
}
FILE = {"select": {"sites": ["sim"]}, "config": BROUGHT, "apply": {"confirm_s": 1}}


class Scene:
    """A broker, a key that all believe, devices, and the settings of operators."""

    def __init__(self, mosquitto: Mosquitto, folder: Path) -> None:
        self.mosquitto = mosquitto
        self.folder = folder
        public = make_key(folder / "fleet.key", folder / "fleet.pub")
        self.signer = Signer("fleet", folder / "fleet.key")
        self.keys = KeyRing([TrustRoot("fleet", public_key_of(public))])
        self.traits: dict[str, Traits] = {}
        self.people = [
            Person(root="edge/v1", site="sim", device=f"box-{n}", room=f"room {n % ROOMS}", groups=())
            for n in range(COUNT)
        ]
        self.settings = folder / "fleet.yaml"
        broker_at = {"host": "127.0.0.1", "port": mosquitto.port, "tls": False}
        signing = {"key": "fleet", "private_file": "fleet.key"}
        self.settings.write_text(
            yaml.safe_dump({"broker": broker_at, "signing": signing, "operator": "anna"})
        )
        self.file = folder / "rollout.yaml"
        self.file.write_text(yaml.safe_dump(FILE))

    def fleet(self) -> SimulatedFleet:
        return SimulatedFleet(
            self.people,
            broker=lambda _: Broker(host="127.0.0.1", port=self.mosquitto.port),
            keys=self.keys,
            traits=lambda person: self.traits.get(person.device, QUICK),
            clock=SystemClock(),
            will_delay_s=0,
        )

    def session(self) -> MqttSession:
        clock = SystemClock()
        return MqttSession(
            host="127.0.0.1",
            port=self.mosquitto.port,
            client_id=f"operator-{secrets.token_hex(4)}",
            clock=clock,
            session_expiry_s=0,
            backoff=Backoff(min_s=0.1, max_s=0.5),
        )

    @contextmanager
    def desk(self, state: str = "state") -> Iterator[tuple[SignedDesk, RolloutStore]]:
        """Sit down at the broker, with the files of one machine."""
        clock = SystemClock()
        with ExitStack() as rooms:
            desk = rooms.enter_context(
                MqttDesk(self.session, root="edge/v1", clock=clock, signer=self.signer)
            )
            history = rooms.enter_context(
                History(self.folder / state, signer=self.signer, by="anna", clock=clock)
            )
            store = rooms.enter_context(RolloutStore(self.folder / state))
            yield SignedDesk(desk, signer=self.signer, keys=self.keys, history=history), store

    def begun(self, desk: SignedDesk, store: RolloutStore, *, rings: tuple[str, ...], **terms: Any) -> Runner:
        """Plan a roll-out at a desk, and take it."""
        until(lambda: reported(desk) == COUNT, within_s=10, what="all have reported")
        made = plan(
            "r-1",
            by="anna",
            file=parse_file(FILE, origin="file"),
            rings=[parse_ring(ring) for ring in rings],
            terms=Terms(**{"rings": (), "soak_s": 0.2, "deadline_s": 60.0, **terms}),
            views=desk.devices(),
            now_ms=desk.now_ns() // 1_000_000,
        )
        runner = Runner(desk, store, made.rollout, holder="anna")
        runner.take()
        return runner

    def command(self, *words: str, state: str = "state") -> subprocess.Popen[str]:
        """Begin `edge fleet rollout`."""
        typed = [sys.executable, "-m", "edge", "fleet", "rollout", *words]
        places = ["--fleet", str(self.settings), "--state", str(self.folder / state)]
        return subprocess.Popen(
            [*typed, *places], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def reported(desk: SignedDesk) -> int:
    return sum(view.reported is not None and view.presence == "online" for view in desk.devices().values())


def after_a_turn(runner: Runner) -> Runner:
    runner.turn()
    return runner


def silent(_: Runner) -> None:
    """Show nothing."""


def configs(desk: SignedDesk) -> list[Mapping[str, Any]]:
    return [(view.desired or {}).get("config", {}) for view in desk.devices().values()]


def overlaps(listener: Listener, rooms: Mapping[str, str]) -> list[str]:
    """Return whenever a device began to be applied while another one of its room was."""
    changing: dict[str, set[str]] = {}
    found = []
    for heard in listener.heard:
        device, state = heard.topic.split("/")[3], heard.document["status"]
        there = changing.setdefault(rooms[device], set())
        there.discard(device)
        if state in ("applying", "probing"):
            found += [f"{device} beside {other}" for other in there]
            there.add(device)
    return found


@pytest.fixture
def scene(broker: Mosquitto, tmp_path: Path) -> Scene:  # noqa: F811
    return Scene(broker, tmp_path)


def test_all_get_it_and_never_two_of_a_room_at_once_and_it_goes_back(scene: Scene) -> None:
    with (
        Listener(scene.mosquitto.port, "edge/v1/sim/+/config/event") as listener,
        scene.fleet(),
        scene.desk() as (desk, store),
    ):
        runner = scene.begun(desk, store, rings=("canary=1", "100%"))
        over = runner.run(silent)
        assert (over.phase, over.counts()) == (Phase.DONE, {Step.OK: COUNT})
        assert configs(desk) == [BROUGHT] * COUNT
        runner.order(Order.ABORT, by="anna")
        assert runner.run(silent).phase is Phase.ABORTED
        assert configs(desk) == [{}] * COUNT
        assert [view.version for view in desk.devices().values()] == [2] * COUNT
        assert rollout_of("r-1", desk.rollouts()).counts() == {Step.OK: COUNT}
    assert len(listener.heard) > 10 * COUNT
    assert overlaps(listener, {person.device: person.room for person in scene.people}) == []


def test_a_dry_run_asks_every_device_and_changes_none(scene: Scene) -> None:
    with scene.fleet() as fleet, scene.desk() as (desk, store):
        over = scene.begun(desk, store, rings=("all=100%",), is_trial=True).run(silent)
        assert (over.phase, over.counts()) == (Phase.DONE, {Step.OK: COUNT})
        assert configs(desk) == [{}] * COUNT
        assert {str(state): count for state, count in fleet.tally().ends.items()} == {
            "rejected": COUNT,
            "committed": COUNT,
        }


def test_nothing_is_built_upon_what_a_stranger_left_at_the_broker(scene: Scene) -> None:
    make_key(scene.folder / "evil.key", scene.folder / "evil.pub")
    left = {"schema": "edge.desired/1", "device": "box-0", "version": 1, "base": 0, "config": {"drain_s": 7}}
    signed = Signer("evil", scene.folder / "evil.key").sign({**left, "issued": told(SystemClock().utc_ns())})
    with scene.fleet(), scene.desk() as (desk, store), scene.session() as stranger:
        assert stranger.wait_connected(10)
        payload = json.dumps(signed).encode()
        stranger.publish(
            Message(topic="edge/v1/sim/box-0/config/desired", payload=payload, retain=True), timeout_s=10
        )
        until(lambda: desk.devices()["sim/box-0"].desired, within_s=10, what="it is there")
        begun = scene.begun(desk, store, rings=("100%",)).rollout
        why = standing(desk.devices()["sim/box-0"]).why
    assert "sim/box-0" not in begun.members
    assert len(begun.members) == COUNT - 1
    assert "is by the key 'evil', which you do not know" in why


def test_a_version_that_fails_its_probes_stops_at_the_canary_which_goes_back_by_itself(scene: Scene) -> None:
    scene.traits = {person.device: Traits(is_failing=True, apply_s=0, probe_s=0) for person in scene.people}
    with scene.fleet(), scene.desk() as (desk, store):
        held = scene.begun(desk, store, rings=("canary=1", "100%")).run(silent)
        assert (held.phase, held.counts()) == (Phase.HELD, {Step.FAILED: 1, Step.DUE: COUNT - 1})
        (failed,) = (member for member in held.members.values() if member.step is Step.FAILED)
        assert failed.code == "probe"


def test_a_device_that_lies_is_found_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.fleet.operator.rollout_watch.DIGEST_MS", 1000)
    scene.traits = {person.device: Traits(is_lying=True, apply_s=0, probe_s=0) for person in scene.people}
    with scene.fleet(), scene.desk() as (desk, store):
        held = scene.begun(desk, store, rings=("canary=1", "100%")).run(silent)
        (failed,) = (member for member in held.members.values() if member.step is Step.FAILED)
    assert failed.code == "digest"


def test_who_is_pulled_off_its_line_in_the_middle_is_waited_for(scene: Scene) -> None:
    with scene.fleet() as fleet, scene.desk() as (desk, store):
        gone = [person.device for person in scene.people[:2]]
        runner = scene.begun(desk, store, rings=("100%",))
        runner.turn()
        fleet.keep_away(gone)
        until(lambda: reported(desk) == COUNT - 2, within_s=10, what="two are away")
        until(
            lambda: after_a_turn(runner).rollout.counts()[Step.OK] >= COUNT - 2,
            within_s=30,
            what="the others",
        )
        assert not runner.rollout.failures()
        fleet.let_back()
        assert runner.run(silent).counts() == {Step.OK: COUNT}


def test_a_broker_that_begins_anew_and_has_forgotten_everything_costs_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.fleet.operator.rollout.AGAIN_MS", 500)
    with scene.fleet(), scene.desk() as (desk, store):
        runner = scene.begun(desk, store, rings=("canary=1", "100%"), soak_s=1.0)
        until(lambda: after_a_turn(runner).rollout.counts()[Step.SOAKING], within_s=20, what="a canary")
        scene.mosquitto.kill()
        (scene.mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
        until(lambda: after_a_turn(runner).trouble, within_s=20, what="nobody can be reached")
        scene.mosquitto.start()
        assert runner.run(silent).counts() == {Step.OK: COUNT}
        until(
            lambda: (after_a_turn(runner), configs(desk))[1] == [BROUGHT] * COUNT,
            within_s=20,
            what="all is there again",
        )


def test_two_roll_outs_at_once_lose_nothing_and_say_who_was_first(scene: Scene) -> None:
    other_change = parse_file({**FILE, "config": {"drain_s": 3.0}}, origin="file").change
    with scene.fleet(), scene.desk() as (desk, store), scene.desk("other") as (other_desk, other_store):
        first = scene.begun(desk, store, rings=("100%",))
        second = scene.begun(other_desk, other_store, rings=("100%",))
        second.rollout = dataclasses.replace(second.rollout, id="r-2", change=other_change)
        both = (first, second)
        until(
            lambda: [is_over(after_a_turn(each)) for each in both] == [True, True],
            within_s=40,
            what="both are over",
        )
        for name, view in desk.devices().items():
            had = [each.rollout.members[name].step for each in both]
            assert {Step.OK} <= set(had) <= {Step.OK, Step.LEFT}
            assert view.desired is not None
            assert view.reported is not None
            assert view.reported["applied_version"] == view.desired["version"]
            kept = [BROUGHT.items() <= view.desired["config"].items(), "drain_s" in view.desired["config"]]
            assert all(kept[n] for n, step in enumerate(had) if step is Step.OK)


def test_of_two_who_write_in_the_same_moment_the_first_one_stands(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.fleet.operator.rollout_desk._why_not", lambda *_: "")  # neither sees the other
    name = "sim/box-0"
    with scene.fleet(), scene.desk() as (first, _), scene.desk("other") as (second, _):
        until(lambda: reported(first) == COUNT, within_s=10, what="all have reported")
        theirs = {"config": {"drain_s": 3.0}}
        mine = {**FIRST, "issued": told(first.now_ns()), "config": BROUGHT}
        first.repeat({name: mine})
        second.repeat({name: {**mine, **theirs}})
        until(
            lambda: (settled(second, first)[name].desired or theirs)["config"] == BROUGHT,
            within_s=10,
            what="the first one's document is there again",
        )
        until(lambda: (first.devices()[name].reported or {})["applied_version"] == 1, within_s=10)
        assert first.devices()[name].desired == second.devices()[name].desired


def test_of_two_who_write_in_the_same_moment_the_one_stands_that_the_device_took(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.fleet.operator.rollout_desk._why_not", lambda *_: "")  # neither sees the other
    name = "sim/box-0"
    with scene.desk() as (first, _), scene.desk("other") as (second, _):
        mine = {**FIRST, "issued": told(first.now_ns()), "config": BROUGHT}
        first.repeat({name: mine})
        second.repeat({name: {**mine, "config": {"drain_s": 3.0}}})
        taken = second.devices()[name].desired
        assert taken is not None
        said = {"desired_version": 1, "desired_digest": digest_of_signed(taken)}
        with MqttDesk(scene.session, root="edge/v1", clock=SystemClock()) as device:
            device.leave(f"{name}/config/reported", said)
        until(lambda: first.devices()[name].reported == second.devices()[name].reported == said, within_s=5)
        settled(second, first)  # the first one at the broker is not put back
        assert settled(first, second)[name].desired == settled(second, first)[name].desired == taken


def settled(*desks: SignedDesk) -> Mapping[str, DeviceView]:
    """Return what the first one sees, after everybody has looked who was first."""
    for desk in desks:
        desk.settle()
    return desks[0].devices()


def is_over(runner: Runner) -> bool:
    counts = runner.rollout.counts()
    return not (counts[Step.DUE] or counts[Step.SENT] or counts[Step.SOAKING])


def test_killed_in_the_middle_it_is_resumed_on_another_machine(scene: Scene) -> None:
    quickly = ("--ring", "canary=1", "--ring", "100%", "--soak", "1s", "--yes")
    with scene.fleet(), scene.desk() as (desk, _):
        until(lambda: reported(desk) == COUNT, within_s=10, what="all have reported")
        with scene.command(str(scene.file), *quickly) as killed:
            until(lambda: BROUGHT in configs(desk), within_s=20, what="the canary is written to")
            killed.send_signal(signal.SIGKILL)
        (rollout_id,) = (name for name in desk.rollouts() if "." not in name)
        with scene.command("show", rollout_id, state="elsewhere") as shown:
            assert "canary" in shown.communicate(timeout=30)[0]
        assert shown.returncode == 3
        desk.publish_rollout(f"{rollout_id}.h", None)  # what a person would wait for
        with scene.command("pause", rollout_id, state="elsewhere") as paused:
            assert "pause by anna; nobody runs it" in paused.communicate(timeout=30)[0]
        assert paused.returncode == 0
        with scene.command("resume", rollout_id, state="elsewhere") as resumed:
            said = resumed.communicate(timeout=60)[0]
        assert (resumed.returncode, re.findall(r"done; .*", said)[-1:]) == (
            0,
            [f"done; ring 100% is open; {COUNT} ok"],
        )
        assert [view.version for view in desk.devices().values()] == [1] * COUNT
        with scene.command("abort", rollout_id) as aborted:  # where it was begun
            aborted.communicate(timeout=60)
        assert aborted.returncode == 1
        assert configs(desk) == [{}] * COUNT
        with scene.command("forget", rollout_id) as gone:
            assert "pieces are gone from the broker" in gone.communicate(timeout=30)[0]
        until(lambda: desk.rollouts() == {}, within_s=5)
