"""What a device has, what a roll-out makes of it, and the document that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from edge.domain.errors import DocumentRefusedError
from edge.fleet.documents import DESIRED_SCHEMA, DOCUMENT_BYTES_MAX
from edge.fleet.layers import merge, parse_desired, parse_layer
from edge.fleet.operator.edit import digest_of_signed
from edge.fleet.operator.inventory import DeviceView, document_number, document_text
from edge.fleet.operator.rollout_report import State, is_refused, said
from edge.fleet.operator.rollout_state import Back, Change, Content, Member, Rollout
from edge.fleet.signing import canonical, digest_of
from edge.kit.moments import told
from edge.kit.trees import laid_over, steps_of, without

Document = Mapping[str, Any]

SIGNATURE_BYTES_MAX: Final = 512
_UNSIGNED: Final = {"alg": "ed25519", "key": "none", "value": ""}
_EMPTY: Final = Content(config={}, bundles={})


@dataclass(frozen=True, slots=True)
class Standing:
    """What one knows of a device before writing to it.

    Attributes:
        content: What its document says; None where nobody knows, and then nothing may be laid over it.
        why: Nobody knows, or what it is busy with.
        is_busy: A version is on its way to it, or in it.
    """

    content: Content | None
    why: str = ""
    is_busy: bool = False


def room_of(view: DeviceView) -> str:
    """Return `<site>/<room>`, "" where the device does not say where it stands."""
    return f"{view.site}/{view.room}" if view.room else ""


def standing(view: DeviceView) -> Standing:
    """Return what a device has, as far as the broker and the device agree on it."""
    if view.reported is None:
        return Standing(None, "has never reported: its fleet agent is off, or it never came here")
    if view.reported.get("frozen") is True:
        return Standing(None, "takes nothing: fleet.frozen is set on the device")
    desired_version = document_number(view.desired, "version")
    if view.stranger:
        return Standing(
            None, f"version {desired_version} at the broker {view.stranger}: it is not built upon"
        )
    taken_version = document_number(view.reported, "desired_version")
    if taken_version > desired_version:
        what = (
            f"the broker holds version {desired_version}" if view.desired else "the broker holds no document"
        )
        return Standing(None, f"took version {taken_version}, and {what}: set its document again first")
    if view.desired is None:
        return Standing(_EMPTY)
    content = content_of(view.desired)
    if content is None:
        return Standing(None, f"version {desired_version} at the broker is no document")
    mode = (view.desired.get("apply") or {}).get("mode")
    if mode == "validate":
        owner = rollout_of(view.desired) or "somebody"
        return Standing(
            None, f"version {desired_version} is only a trial by {owner}, which did not take it back"
        )
    fate = said(view.reported, desired_version)
    if fate.state in (State.NOTHING, State.UNDER_WAY):
        doing = fate.status or "not taken up"
        return Standing(content, f"version {desired_version} is on its way: {doing}", is_busy=True)
    is_another = is_refused(view.reported, desired_version) and not _is_what_was_taken(view)
    if fate.state is not State.COMMITTED or is_another:
        return Standing(
            None, f"version {desired_version} is not at work ({fate.told}): give it another document first"
        )
    return Standing(content)


def _is_what_was_taken(view: DeviceView) -> bool:
    """Whether the broker holds the very document that the device took; it may have refused a rival of it."""
    taken = document_text(view.reported, "desired_digest")
    return bool(taken) and view.desired is not None and taken == digest_of_signed(view.desired)


def content_of(document: Document) -> Content | None:
    """Return what a document says, None where it is none."""
    config, bundles = document.get("config", {}), document.get("bundles", {})
    if not isinstance(config, Mapping) or not isinstance(bundles, Mapping):
        return None
    return Content(config=config, bundles=bundles)


def rollout_of(document: Document | None) -> str:
    """Return the id of the roll-out a document belongs to, "" for none."""
    reference = document.get("rollout") if document is not None else None
    return str(reference.get("id", "")) if isinstance(reference, Mapping) else ""


def merged(before: Content, change: Change) -> Content:
    """Return what a change makes of a content; a bundle is one value, None takes it away."""
    bundles = {**before.bundles, **change.bundles}
    kept = without(before.config, [steps_of(path) for path in change.without])
    return Content(
        config=laid_over(kept, change.config),
        bundles={name: bundle for name, bundle in bundles.items() if bundle is not None},
    )


def digest_of_content(content: Content) -> str:
    """Return the `sha256:…` that names a content."""
    return digest_of(asdict(content))


def document(rollout: Rollout, name: str) -> dict[str, Any]:
    """Return the document that is written down for a device, the same every time, without a signature.

    Args:
        rollout: In which a version was written down for it.
        name: `<site>/<device>`.
    """
    member = rollout.members[name]
    return _document(rollout, name, member, rollout.contents[member.before])


def _document(rollout: Rollout, name: str, member: Member, before: Content) -> dict[str, Any]:
    is_back = member.back is not Back.NOTHING
    content = before if is_back else merged(before, rollout.change)
    apply: dict[str, Any] = dict(rollout.change.apply)
    if not is_back:
        apply["deadline"] = told(member.until_ms * 1_000_000)
        apply |= {"mode": "validate"} if rollout.terms.is_trial else {}
    return {
        "schema": DESIRED_SCHEMA,
        "device": name.partition("/")[2],
        "version": member.back_version if is_back else member.version,
        "base": member.back_base if is_back else member.base,
        "issued": told((member.back_ms if is_back else member.sent_ms) * 1_000_000),
        "apply": apply,
        "rollout": {"id": rollout.id, "ring": member.ring},
        "config": dict(content.config),
        "bundles": dict(content.bundles),
    }


def why_unfit(rollout: Rollout, name: str, member: Member, before: Content) -> str:
    """Return why the document of a device cannot be sent as it is, "" where it can."""
    written = _document(rollout, name, member, before)
    try:
        parse_desired({**written, "signature": _UNSIGNED}, device=written["device"])
        size_bytes = len(canonical(written)) + SIGNATURE_BYTES_MAX
    except DocumentRefusedError as refusal:
        return f"its document would be refused: {refusal}"
    if size_bytes > DOCUMENT_BYTES_MAX:
        return f"its document would have {size_bytes} bytes, {DOCUMENT_BYTES_MAX} are allowed"
    return ""


def expected_digest(rollout: Rollout, name: str, view: DeviceView, layers: Mapping[str, Document]) -> str:
    """Return the `config_digest` that a device must report once it has what was sent, "" where nobody knows.

    Args:
        rollout: In which a version was written down for it.
        name: `<site>/<device>`.
        view: Of the device.
        layers: Of all groups, by `<site>/group/<group>`.
    """
    named = [(group, layers.get(f"{view.site}/group/{group}")) for group in view.groups]
    try:
        own = parse_desired({**document(rollout, name), "signature": _UNSIGNED}, device=view.device)
        groups = [parse_layer(layer, group=group) for group, layer in named if layer is not None]
        return merge(groups, own).digest
    except DocumentRefusedError:
        return ""
