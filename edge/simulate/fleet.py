"""A fleet that is not there: thousands of devices in one thread, on a real broker, some of which fail."""

from __future__ import annotations

import asyncio
import random
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from edge.domain.errors import ConfigurationError
from edge.domain.ports import Clock
from edge.fleet.ledger import Transition
from edge.fleet.signing import KeyRing
from edge.fleet.words import State
from edge.kit.stage import contain
from edge.simulate.fleet_hardware import Traits
from edge.simulate.fleet_member import RETRY_S, Member, Person
from edge.simulate.mqtt_line import Broker

KEEP_ALIVE_S: Final = 60
COMING_MAX: Final = 64  # connections that are being made at once
STOP_S: Final = 30.0
FILES_BESIDE: Final = 256  # descriptors that a process needs for other things


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrest:
    """How devices come and go.

    Attributes:
        share: Of the devices are pulled off their line, again and again.
        away_s: So long they stay away.
        every_s: So often each of them goes.
    """

    share: float = 0.0
    away_s: float = 20.0
    every_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What has happened so far.

    Attributes:
        devices: How many there are.
        up: Connected now.
        ends: Of versions, by their last state.
        applied_ms: From `received` to `committed`, each that got there.
        went_back_ms: From the end of the time to confirm to `rolled_back`.
        troubles: Why connections ended, how often.
    """

    devices: int
    up: int
    ends: Mapping[State, int]
    applied_ms: Sequence[float]
    went_back_ms: Sequence[float]
    troubles: Mapping[str, int]


class SimulatedFleet:
    """Lives while its `with` lasts, in a thread of its own."""

    def __init__(
        self,
        people: Sequence[Person],
        *,
        broker: Callable[[Person], Broker],
        keys: KeyRing,
        traits: Callable[[Person], Traits],
        clock: Clock,
        unrest: Unrest | None = None,
        will_delay_s: int = 2,
        seed: int = 0,
    ) -> None:
        """Make the devices; none is connected yet.

        Args:
            people: Who they are; ids differ.
            broker: Returns whom a device speaks to, with its own certificate.
            keys: Whose documents they believe.
            traits: Returns how a device behaves.
            clock: Of the machine.
            unrest: How they come and go; None: they stay.
            will_delay_s: Seconds after which the broker tells of a broken line.
            seed: For who goes when.
        """
        self.members = {
            person.device: Member(
                person,
                broker=broker(person),
                keys=keys,
                traits=traits(person),
                clock=clock,
                keep_alive_s=KEEP_ALIVE_S,
                will_delay_s=will_delay_s,
                told=self._told,
            )
            for person in people
        }
        assert len(self.members) == len(people), "two devices have one id"
        self._unrest = unrest or Unrest()
        self._chance = random.Random(seed)  # noqa: S311  # for a simulation, not for secrets
        self._lock = threading.Lock()
        self._received_ns: dict[tuple[str, str, int], int] = {}
        self._ends: Counter[State] = Counter()
        self._applied_ms: list[float] = []
        self._went_back_ms: list[float] = []
        self._kept_away: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._is_ready = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="simulated-fleet")

    def __enter__(self) -> Self:
        """Begin to connect."""
        allow_files(len(self.members) + FILES_BESIDE)
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Have every device say goodbye.

        Raises:
            ConfigurationError: It ended before its time: there are more devices than open files allowed …
        """
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_S)
        if self._trouble:
            raise ConfigurationError(f"the simulated fleet ended: {self._trouble}")

    # ── from any thread ───────────────────────────────────────────────────────────────────────────────────

    def tally(self) -> Tally:
        """Return what has happened so far."""
        members = list(self.members.values())
        with self._lock:
            return Tally(
                devices=len(members),
                up=sum(member.is_up for member in members),
                ends=dict(self._ends),
                applied_ms=tuple(self._applied_ms),
                went_back_ms=tuple(self._went_back_ms),
                troubles=Counter(member.trouble for member in members if member.trouble),
            )

    def forget_times(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._ends.clear()
            self._applied_ms.clear()
            self._went_back_ms.clear()

    def keep_away(self, devices: Iterable[str]) -> None:
        """Pull devices off their line and let them stay away until `let_back`."""
        chosen = list(devices)

        def pull() -> None:
            self._kept_away.update(chosen)
            for device in chosen:
                self.members[device].break_off()

        self._soon(pull)

    def let_back(self) -> None:
        """Let all come back."""
        self._soon(self._kept_away.clear)

    def _soon(self, what: Callable[[], None]) -> None:
        assert self._loop is not None, "inside the with"
        self._loop.call_soon_threadsafe(what)

    # ── the thread of its own ─────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        self._trouble = contain(lambda: asyncio.run(self._live()))
        self._is_ready.set()

    async def _live(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._is_ready.set()
        tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._ping())]
        if self._unrest.share:
            tasks.append(asyncio.create_task(self._unsettle()))
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for member in self.members.values():
            member.stop()
        await asyncio.sleep(0.2)  # for what was said last to leave
        for task in done - {stopping}:
            task.result()

    async def _keep_up(self) -> None:
        """Connect whoever is not, and again after a while whom the broker did not take."""
        assert self._stopping is not None
        room = asyncio.Semaphore(COMING_MAX)

        async def come(member: Member) -> None:
            async with room:
                await member.come()

        while not self._stopping.is_set():
            away = [
                one for name, one in self.members.items() if not one.is_up and name not in self._kept_away
            ]
            await asyncio.gather(*(come(member) for member in away))
            await asyncio.sleep(RETRY_S / 4)

    async def _ping(self) -> None:
        """Show the broker that lines live, a part of them each second."""
        members = list(self.members.values())
        turns = KEEP_ALIVE_S // 2
        while True:
            for turn in range(turns):
                for member in members[turn::turns]:
                    member.ping()
                await asyncio.sleep(1.0)

    async def _unsettle(self) -> None:
        """Pull devices off their lines."""
        names = list(self.members)
        restless = self._chance.sample(names, round(self._unrest.share * len(names)))
        while restless:
            for name in restless:
                await asyncio.sleep(self._unrest.every_s / len(restless))
                self._kept_away.add(name)
                self.members[name].break_off()
                asyncio.get_running_loop().call_later(self._unrest.away_s, self._kept_away.discard, name)

    def _told(self, member: Member, transition: Transition) -> None:
        key = (member.person.device, transition.scope, transition.version)
        with self._lock:
            if transition.state is State.RECEIVED:
                self._received_ns.setdefault(key, transition.at_utc_ns)
            elif transition.state is State.PROBING:
                assert transition.deadline_utc_ns is not None, "no end"
                self._received_ns[*key[:2], -transition.version] = transition.deadline_utc_ns
            elif transition.state.is_end:
                self._ends[transition.state] += 1
                began_ns = self._received_ns.pop(key, None)
                confirm_ns = self._received_ns.pop((*key[:2], -transition.version), None)
                if transition.state is State.COMMITTED and began_ns is not None:
                    self._applied_ms.append((transition.at_utc_ns - began_ns) / 1e6)
                if transition.state is State.ROLLED_BACK and confirm_ns is not None:
                    self._went_back_ms.append(max(0.0, (transition.at_utc_ns - confirm_ns) / 1e6))


def allow_files(count: int) -> None:
    """Have the system allow this process so many open files, as far as it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
