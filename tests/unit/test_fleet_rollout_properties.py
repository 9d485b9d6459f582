"""What always holds, whatever happens to devices, to the broker and to who runs a roll-out."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase as Phase_
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.fleet.operator.rollout import decide, unpublished
from edge.fleet.operator.rollout_content import document
from edge.fleet.operator.rollout_orders import Order, followed, why_not
from edge.fleet.operator.rollout_state import Back, Phase, Rollout, Step
from edge.fleet.operator.rollout_store import pieces_of, rollout_of
from tests.builders.fleet_rollouts import begun, boxes, file
from tests.fakes.fleet_world import World

BOXES = 7
ROOMS = 3
NUMBERS = st.integers(0, BOXES - 1)


class RolloutMachine(RuleBasedStateMachine):
    """A roll-out over seven devices in three rooms, each with a content of its own."""

    @initialize(
        bad=st.sets(NUMBERS, max_size=3),
        stop=st.integers(1, 3),
        share=st.sampled_from([0.5, 0.98]),
        needs_approval=st.booleans(),
        is_trial=st.booleans(),
    )
    def begin(self, bad: set[int], stop: int, share: float, needs_approval: bool, is_trial: bool) -> None:
        self.world = World(*boxes(BOXES, rooms=ROOMS))
        for number, name in enumerate(self.world.boxes):
            self.world.edit(name, {"drain_s": float(number)})
        for _ in range(8):
            self.world.step()
        for number in bad:
            self.box(number).refuses = lambda config: "pipelines" in config
        self.rollout = begun(
            self.world,
            success_share=share,
            stop_errors=stop,
            needs_approval=needs_approval,
            is_trial=is_trial,
            soak_s=3.0,
            deadline_s=40.0,
            given=file(apply={"confirm_s": 1}),
        )
        self.kept: dict[str, Any] = {}
        self.keep(self.rollout, None)
        self.edits: dict[str, int] = {}
        self.asked_back = False
        self.away_since: dict[str, int] = {}

    def box(self, number: int) -> Any:
        return self.world.boxes[f"anna/or-{number}"]

    def keep(self, rollout: Rollout, before: Rollout | None) -> None:
        self.kept |= pieces_of(rollout, before)
        self.rollout = rollout

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────

    @rule(rounds=st.integers(1, 6))
    def goes_on(self, rounds: int) -> None:
        for _ in range(rounds):
            self.decide()
            self.publish()
            self.world.step()
            self.two_of_a_room_never_change_at_once()

    def decide(self) -> None:
        now_ms = self.world.now_ms
        after = decide(self.rollout, self.world.devices(), self.world.groups(), now_ms=now_ms)
        self.keep(after, self.rollout)

    def publish(self) -> None:
        names = unpublished(self.rollout, self.world.devices(), {}, now_ms=self.world.now_ms)
        self.world.repeat({name: document(self.rollout, name) for name in names})

    @rule()
    def the_plug_is_pulled_between_deciding_and_publishing(self) -> None:
        self.decide()
        self.world.step()
        self.rollout = rollout_of("r-1", self.kept)

    @rule()
    def somebody_resumes_elsewhere(self) -> None:
        self.rollout = rollout_of("r-1", self.kept)

    @rule(number=NUMBERS)
    def a_device_goes_away(self, number: int) -> None:
        self.box(number).presence = "offline"

    @rule(number=NUMBERS)
    def a_device_comes_back(self, number: int) -> None:
        self.box(number).presence = "online"

    @rule(number=NUMBERS, is_stuck=st.booleans())
    def a_device_waits_for_its_safe_point(self, number: int, is_stuck: bool) -> None:
        self.box(number).is_stuck = is_stuck

    @rule(number=NUMBERS, is_before_publishing=st.booleans())
    def somebody_else_edits(self, number: int, is_before_publishing: bool) -> None:
        name = self.box(number).name
        if is_before_publishing:
            self.decide()
        room = [box for box in self.world.boxes.values() if box.room == self.box(number).room]
        if any(self.is_busy(box) for box in room) or name in self.edits:
            return  # two of a room at once would be the doing of whoever edits
        self.edits[name] = self.world.edit(name, {"drain_s": 99.0})

    def is_busy(self, box: Any) -> bool:
        held = self.world.desired.get(box.name)
        return box.under_way is not None or (held is not None and held["version"] > box.floor)

    @rule()
    def the_broker_loses_what_it_kept(self) -> None:
        for name in [name for name in self.world.desired if name not in self.edits]:
            del self.world.desired[name]

    @rule(order=st.sampled_from(list(Order)))
    def somebody_says_something(self, order: Order) -> None:
        if not why_not(self.rollout, order):
            self.asked_back |= order is Order.ABORT
            after = followed(self.rollout, order, by="berta", now_ms=self.world.now_ms)
            self.keep(after, self.rollout)

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def two_of_a_room_never_change_at_once(self) -> None:
        changing = [box.room for box in self.world.boxes.values() if box.is_changing and self.is_real(box)]
        assert len(changing) == len(set(changing))

    def is_real(self, box: Any) -> bool:
        """Whether it becomes another one by this: taking back what it never had changes nothing."""
        return bool(box.under_way["config"] != box.config)

    @invariant()
    def no_edit_of_somebody_else_is_written_over(self) -> None:
        for name, version in self.edits.items():
            held = self.world.desired[name]
            assert held["version"] >= version
            assert held["version"] == version or held["config"]["drain_s"] == 99.0

    @invariant()
    def every_version_was_published_once(self) -> None:
        written: dict[str, list[int]] = {}
        for name, version in self.world.published:
            written.setdefault(name, []).append(version)
        for versions in written.values():
            assert versions == sorted(versions)

    @invariant()
    def a_trial_changes_nobody(self) -> None:
        if self.rollout.terms.is_trial:
            assert all("pipelines" not in box.config for box in self.world.boxes.values())

    @invariant()
    def who_is_away_has_not_failed_before_its_deadline(self) -> None:
        for name, member in self.rollout.members.items():
            if member.step is Step.FAILED and self.world.boxes[name].presence == "offline":
                is_told = member.code in ("probe", "schema") or "went back" in member.why
                assert is_told or self.world.now_ms - member.sent_ms >= 40_000

    @precondition(lambda self: self.rollout.phase is Phase.ABORTED)
    @invariant()
    def after_an_abort_nobody_is_asked_for_what_it_brought(self) -> None:
        for name, member in self.rollout.members.items():
            held = self.world.desired.get(name)
            if held is not None and member.back in (Back.SENT, Back.DONE):
                assert "pipelines" not in held["config"]

    # ── how it ends ───────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for box in self.world.boxes.values():
            box.presence, box.is_stuck = "online", False
        for _ in range(3 * BOXES + 3):
            self.ended()
            if self.rollout.phase.is_end:
                break
            order = Order.APPROVE if self.rollout.phase is Phase.AWAITING else Order.RESUME
            self.keep(followed(self.rollout, order, by="berta", now_ms=self.world.now_ms), self.rollout)
        assert self.rollout.phase.is_end, self.rollout
        for name, member in self.rollout.members.items():
            box = self.world.boxes[name]
            if name not in self.edits and self.rollout.phase is Phase.ABORTED and member.back is Back.DONE:
                assert box.config == {"drain_s": float(box.device[3:])}
            if name not in self.edits and self.rollout.phase is Phase.DONE and member.step is Step.OK:
                assert ("pipelines" in box.config) is not self.rollout.terms.is_trial

    def ended(self) -> None:
        for _ in range(200):
            self.decide()
            self.publish()
            self.world.step()
            self.two_of_a_room_never_change_at_once()
            if self.rollout.phase not in (Phase.RUNNING, Phase.RETURNING):
                return


TestRollout = RolloutMachine.TestCase
TestRollout.settings = settings(
    max_examples=25, stateful_step_count=25, phases=(Phase_.explicit, Phase_.generate)
)


@pytest.mark.proof
class TestRolloutAtLength(RolloutMachine.TestCase):  # type: ignore[misc,valid-type]  # made by hypothesis
    """The same, for longer."""

    settings = settings(max_examples=1000, stateful_step_count=50, phases=(Phase_.explicit, Phase_.generate))
