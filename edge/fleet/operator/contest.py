"""Of several who wrote the same version at once: whose document stands.

A broker keeps the last that was published, a device takes the first that it looks at, and refuses the others.
So the device's word decides: its report says which document it took. Where it is away and has said nothing,
the first one at the broker stands. Everybody's tool comes to the same answer, and leaves that document at the
broker, as it was signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.fleet.operator.edit import digest_of_signed, is_same, signer_of
from edge.fleet.operator.inventory import Document, document_number


class Standing(StrEnum):
    """How a document that was published stands."""

    HELD = "held"  # the broker holds it
    OPEN = "open"  # somebody wrote the same version, and the device has yet to say whose it took
    OVERWRITTEN = "overwritten"  # it stands, and the broker holds another
    SECOND = "second"  # somebody else's stands
    FOLLOWED = "followed"  # somebody has made the next version from it
    CLEARED = "cleared"  # somebody has taken it away from the broker


@dataclass(frozen=True, slots=True)
class Rival:
    """A document of somebody else.

    Attributes:
        document: As it came.
        is_believed: One of the keys we know has signed it.
    """

    document: Document
    is_believed: bool

    @property
    def told(self) -> str:
        """Whose it is, and which version."""
        number, key = document_number(self.document, "version"), signer_of(self.document)
        return (
            f"version {number} by the key {key or 'of nobody'}{'' if self.is_believed else ' (unknown here)'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known about a document that was published.

    Attributes:
        ours: That document.
        before: Documents of others that the broker had before it and we did not know of, in their order.
        after: Documents of others that came after it.
        held: What the broker holds now.
        taken_version: The version that the device has accepted, 0 where that is not known.
        taken_digest: Of that document, "" where that is not known.
        may_still_say: The device is there, and may say in a moment whose it took.
    """

    ours: Document
    before: Sequence[Rival]
    after: Sequence[Rival]
    held: Document | None
    taken_version: int
    taken_digest: str
    may_still_say: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """How it stands.

    Attributes:
        standing: Of our document.
        rival: Whose stands in its place, where that is known; else who wrote at the same time.
        put_back: What must be left at the broker once more, None where nothing must be.
    """

    standing: Standing
    rival: Rival | None = None
    put_back: Document | None = None


def decide(scene: Scene) -> Decision:
    """Say whose document stands, and what must be put back."""
    number = document_number(scene.ours, "version")
    rivals = [*scene.before, *scene.after]
    contenders = [one for one in rivals if document_number(one.document, "base") < number]
    last = rivals[-1] if rivals else None
    if not contenders:
        return Decision(_undisputed(scene, number), last)
    if scene.taken_digest and scene.taken_version >= number:
        ours, others = digest_of_signed(scene.ours), [digest_of_signed(one.document) for one in contenders]
        if scene.taken_digest == ours:
            return _ours(scene, number, last)
        if scene.taken_digest in others:
            return _theirs(scene, contenders[others.index(scene.taken_digest)])
        if scene.taken_version == number:
            return Decision(Standing.SECOND, last)
    elif scene.may_still_say:
        return Decision(Standing.OPEN, last)
    first = _first_at_broker(scene, number)
    return _ours(scene, number, last) if first is None else _theirs(scene, first)


def _undisputed(scene: Scene, number: int) -> Standing:
    if scene.held is None:
        return Standing.CLEARED
    if document_number(scene.held, "base") >= number:
        return Standing.FOLLOWED
    return Standing.HELD


def _first_at_broker(scene: Scene, number: int) -> Rival | None:
    """Return who was before us, of several the newest; None where nobody was who can be believed."""
    earlier = [
        one for one in scene.before if one.is_believed and document_number(one.document, "version") >= number
    ]
    return max(earlier, key=lambda one: document_number(one.document, "version"), default=None)


def _ours(scene: Scene, number: int, rival: Rival | None) -> Decision:
    if is_same(scene.held, scene.ours) or scene.held is None or document_number(scene.held, "base") >= number:
        return Decision(_undisputed(scene, number), rival)
    return Decision(Standing.OVERWRITTEN, rival, put_back=scene.ours)


def _theirs(scene: Scene, rival: Rival) -> Decision:
    is_ours_held = is_same(scene.held, scene.ours)
    return Decision(
        Standing.SECOND, rival, put_back=rival.document if is_ours_held and rival.is_believed else None
    )
