"""The privacy gate: pixels leave only while the endoscope is known to be inside, at a site that validated it.

Everything counts as outside until shown otherwise: at the start, on trouble of the model or the camera, on a
late or doubtful answer, and when nothing was assessed for a while. The gate opens slowly and shuts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edge.domain.ports import Clock

Side = Literal["outside", "inside"]
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When the endoscope counts as inside.

    Attributes:
        enter_score_min: Each score on the way in must reach this, 0 to 1.
        stay_score_min: Below this it is outside at once, 0 to 1; at most `enter_score_min`.
        enter_ms: Scores must stay high for so long, from the capture of the first frame to that of the last.
        enter_frames_min: ... in at least so many frames, 2 or more.
        gap_max_ms: Longest time between two frames that were assessed, and from the last one to now.
        age_max_ms: An answer about a frame older than this is no answer.
    """

    enter_score_min: float
    stay_score_min: float
    enter_ms: float
    enter_frames_min: int
    gap_max_ms: float
    age_max_ms: float

    def __post_init__(self) -> None:
        assert 0 < self.stay_score_min <= self.enter_score_min <= 1, "staying is not harder than entering"
        assert self.enter_frames_min >= 2, "one frame shows no duration"
        assert min(self.enter_ms, self.gap_max_ms, self.age_max_ms) > 0, "times are above 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalValidation:
    """What the site declared in its own configuration, after it looked at its own report.

    Attributes:
        bundle_sha256: Digest of the bundle that was validated, 64 hex digits.
        validated_by: Who answers for it, as the site writes it.
        validated_on: Day, ISO 8601.
        report_sha256: Of the report's file, 64 hex digits.
    """

    bundle_sha256: str
    validated_by: str
    validated_on: str
    report_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Where the endoscope is taken to be, and whether pixels may leave.

    Attributes:
        side: `inside` only while the scores say so; it says nothing about validation.
        is_open: Pixels may leave.
        reason: Why not, in words; "" while it is open.
    """

    side: Side
    is_open: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is known.

    Attributes:
        reason: Why it is outside; "" while it is inside.
        bundle_sha256: Who gave the last score, or "".
        rising_ns: Capture of the first of the high scores that go on, or None.
        rising_frames: How many they are.
        entered_ns: Capture of the frame that opened, or None while outside.
        assessed_ns: Capture of the last frame that was answered for, or None.
        known_ns: The same, but never later than the answer: from here on silence is measured.
    """

    reason: str
    bundle_sha256: str = ""
    rising_ns: int | None = None
    rising_frames: int = 0
    entered_ns: int | None = None
    assessed_ns: int | None = None
    known_ns: int = 0


class Gate:
    """The gate of one camera. One thread tells it what was seen; any thread may ask it.

    Args:
        rules: When the endoscope counts as inside.
        validation: What the site declared, or None: then nothing ever leaves.
        clock: Ours; frames are labelled by its monotonic time.
    """

    def __init__(self, rules: GateRules, *, validation: LocalValidation | None, clock: Clock) -> None:
        self._rules = rules
        self._validation = validation
        self._clock = clock
        self._state = _State(reason="no frame was assessed yet")

    def look(self, score: float, *, bundle_sha256: str, captured_at_ns: int) -> Passage:
        """Take in the score of one frame.

        Args:
            score: How sure the model is of `inside`, 0 to 1.
            bundle_sha256: Digest of the bundle that gave it.
            captured_at_ns: When the frame was captured, on our monotonic clock.

        Returns:
            Whether this very frame may leave.
        """
        self._state = self._after(score, bundle_sha256, captured_at_ns)
        return self.passage(captured_at_ns=captured_at_ns)

    def shut(self, reason: str) -> Passage:
        """Count as outside from now on: no model, no answer in time, a picture that is frozen or black.

        Args:
            reason: In words an operator understands; never a patient.
        """
        self._state = _State(reason=reason, assessed_ns=self._state.assessed_ns)
        return self.passage()

    def passage(self, *, captured_at_ns: int | None = None) -> Passage:
        """Say whether pixels may leave now.

        Args:
            captured_at_ns: Of the frame whose pixels are meant. It must lie between the frame that opened
                the gate and the last one that was assessed: what nobody has judged does not leave. None asks
                about the gate in general and must not be used to let a picture out.
        """
        state = self._state
        if state.entered_ns is None or state.assessed_ns is None:
            return Passage(side="outside", is_open=False, reason=state.reason)
        silent_ms = (self._clock.monotonic_ns() - state.known_ns) / NS_PER_MS
        if silent_ms > self._rules.gap_max_ms:
            reason = (
                f"no frame was assessed for {silent_ms:.0f} ms, at most {self._rules.gap_max_ms:g} may pass"
            )
            return Passage(side="outside", is_open=False, reason=reason)
        reason = self._undeclared(state.bundle_sha256)
        if not reason and captured_at_ns is not None:
            is_judged = state.entered_ns <= captured_at_ns <= state.assessed_ns
            reason = "" if is_judged else "this frame lies outside of the time that was assessed as inside"
        return Passage(side="inside", is_open=not reason, reason=reason)

    def _after(self, score: float, bundle_sha256: str, captured_at_ns: int) -> _State:
        """The state after one score; what is not plainly inside is outside."""
        state, rules, now_ns = self._state, self._rules, self._clock.monotonic_ns()
        refusal = self._refusal(score, captured_at_ns, now_ns)
        if refusal:
            newest_ns = max(captured_at_ns, state.assessed_ns or captured_at_ns)
            return _State(reason=refusal, assessed_ns=newest_ns)
        seen = _State(
            reason="",
            bundle_sha256=bundle_sha256,
            assessed_ns=captured_at_ns,
            known_ns=min(captured_at_ns, now_ns),
        )
        goes_on = self._goes_on(bundle_sha256, captured_at_ns)
        if state.entered_ns is not None and goes_on and score >= rules.stay_score_min:
            return replace(seen, entered_ns=state.entered_ns)
        if score < rules.enter_score_min:
            low = f"the score of `inside` is {score:.2f}, wanted {rules.enter_score_min:g}"
            return replace(seen, reason=low)
        rises = goes_on and state.rising_ns is not None
        rising_ns = state.rising_ns if rises and state.rising_ns is not None else captured_at_ns
        frames = state.rising_frames + 1 if rises else 1
        high_ms = (captured_at_ns - rising_ns) / NS_PER_MS
        if high_ms >= rules.enter_ms and frames >= rules.enter_frames_min:
            return replace(seen, entered_ns=captured_at_ns)
        wait = (
            f"inside for {high_ms:.0f} ms and {frames} frames, wanted {rules.enter_ms:g} ms and "
            f"{rules.enter_frames_min}"
        )
        return replace(seen, reason=wait, rising_ns=rising_ns, rising_frames=frames)

    def _refusal(self, score: float, captured_at_ns: int, now_ns: int) -> str:
        """Why an answer is none, or ""."""
        before_ns, age_max_ms = self._state.assessed_ns, self._rules.age_max_ms
        age_ms = (now_ns - captured_at_ns) / NS_PER_MS
        if before_ns is not None and captured_at_ns <= before_ns:
            return "a frame came twice or out of order"
        if not -age_max_ms <= age_ms <= age_max_ms:
            return f"the answer is about a frame {age_ms:.0f} ms old, at most {age_max_ms:g} ms count"
        if not 0 <= score <= 1:
            return f"the score is {score:g}, wanted 0 to 1"
        return ""

    def _goes_on(self, bundle_sha256: str, captured_at_ns: int) -> bool:
        """Whether a frame follows the last one closely, judged by the same bundle."""
        state = self._state
        if state.assessed_ns is None or state.bundle_sha256 != bundle_sha256:
            return False
        return captured_at_ns - state.assessed_ns <= self._rules.gap_max_ms * NS_PER_MS

    def _undeclared(self, bundle_sha256: str) -> str:
        """Why the site's declaration does not cover this bundle, or ""."""
        if self._validation is None:
            return "the site has not declared `local_validation`"
        wanted = self._validation.bundle_sha256
        if wanted != bundle_sha256:
            return f"the site validated bundle {wanted[:12]}, in use is {bundle_sha256[:12]}"
        return ""
