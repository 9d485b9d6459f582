"""One bad item never stops a stage: it is set aside with its reason, counted, and the stage goes on.

This is the one file in which `except Exception` is legal. A broken invariant (AssertionError) is not
caught: it ends the process, and systemd starts it again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from edge.domain.errors import DeliveryError, EdgeError, RefusedError
from edge.domain.health import StageHealth
from edge.domain.ports import Clock
from edge.kit.log import Log


class Stage:
    """The books of one stage, safe to use from several threads."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._log = Log(name)
        self._lock = threading.Lock()
        self._taken = self._out = self._set_aside = 0
        self._dropped: Counter[str] = Counter()
        self._entered_ns: list[int] = []
        self._last_move_ns = clock.monotonic_ns()
        self._note = ""

    def work(
        self,
        item: str,
        step: Callable[[], str | None],
        *,
        set_aside: Callable[[str], None],
        later: Callable[[str], None] | None = None,
    ) -> bool:
        """Do one item's work; where it raises, set the item aside instead.

        Args:
            item: Names the item in the log; a hash, never a patient.
            step: The work; returns None when it is done, or why it set the item aside itself.
            set_aside: Puts the item where one can look at it, given the reason.
            later: Puts the item back to be tried again, given the reason, where the far side has not taken it
                and has not refused it for good; left out: it is set aside.

        Returns:
            Whether the work was done.

        Raises:
            AssertionError: An invariant is broken.
        """
        entered = self._enter()
        try:
            reason = step()
        except AssertionError:
            raise
        except EdgeError as trouble:
            reason = str(trouble)
            if later is not None and _is_worth_repeating(trouble):
                later(reason)
                self._give_back(entered)
                return False
            self._log.warning("set aside", item=item, because=reason)
            set_aside(reason)
        except Exception as surprise:
            reason = f"unexpected {type(surprise).__name__}: {surprise}"
            self._log.error("set aside", item=item, because=reason)
            set_aside(reason)
        self._leave(entered, done=reason is None)
        return reason is None

    def dropped(self, reason: str) -> None:
        """Count an item that was given up on purpose; never a study, never a finding."""
        with self._lock:
            self._taken += 1
            self._dropped[reason] += 1

    def note(self, text: str) -> None:
        """Say what a person must know; "" takes it back."""
        with self._lock:
            self._note = text

    def health(self) -> StageHealth:
        """Return the books as they stand."""
        with self._lock:
            now = self._clock.monotonic_ns()
            return StageHealth(
                name=self.name,
                taken=self._taken,
                out=self._out,
                set_aside=self._set_aside,
                dropped=dict(self._dropped),
                held=len(self._entered_ns),
                oldest_ms=(now - self._entered_ns[0]) / 1e6 if self._entered_ns else 0.0,
                last_move_ns=self._last_move_ns,
                note=self._note,
            )

    def _enter(self) -> int:
        with self._lock:
            now = self._clock.monotonic_ns()
            self._taken += 1
            self._entered_ns.append(now)
            self._last_move_ns = now
            return now

    def _leave(self, entered: int, *, done: bool) -> None:
        with self._lock:
            self._entered_ns.remove(entered)
            self._last_move_ns = self._clock.monotonic_ns()
            if done:
                self._out += 1
            else:
                self._set_aside += 1

    def _give_back(self, entered: int) -> None:
        """Take an item out of the books: it is where it was before."""
        with self._lock:
            self._entered_ns.remove(entered)
            self._taken -= 1


def _is_worth_repeating(trouble: EdgeError) -> bool:
    return isinstance(trouble, DeliveryError) and not isinstance(trouble, RefusedError)


def contain(step: Callable[[], None]) -> str:
    """Do a step whose trouble must not end its thread.

    Returns:
        Why it failed, or "".

    Raises:
        AssertionError: An invariant is broken.
    """
    try:
        step()
    except AssertionError:
        raise
    except EdgeError as trouble:
        return str(trouble) or type(trouble).__name__
    except Exception as surprise:
        return f"unexpected {type(surprise).__name__}: {surprise}"
    return ""
