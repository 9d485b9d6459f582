"""`edge fleet set`: a person edits what a device shall be; checked, shown, signed, published, followed."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from edge.cli.fleet_desk import Place, opened, written_down
from edge.cli.fleet_follow import CONFLICT, follow
from edge.cli.fleet_names import one_of
from edge.cli.fleet_pipelines import known_pipelines, strange_pipelines
from edge.cli.fleet_text import assigned, difference_lines, from_yaml, problems_of, to_yaml
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError, DocumentRefusedError
from edge.fleet.operator.condition import condition
from edge.fleet.operator.edit import content_of, differences, drafted, is_group, signer_of
from edge.fleet.operator.inventory import Document, document_number, document_text
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.writing import Writing

FILE_BYTES_MAX: Final = 1 << 20
_MARK: Final = "# ! "


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator typed.

    Attributes:
        file: Holds the content, `-` for stdin; None: it is edited, or single values are set.
        assignments: Single values, PATH=VALUE.
        is_dry: It is only to be said whether it could be applied.
        is_new: The device or group need not be known yet.
        is_certain: Nobody is asked.
        wait_s: To follow what becomes of it.
    """

    file: Path | None
    assignments: Sequence[str]
    is_dry: bool
    is_new: bool
    is_certain: bool
    wait_s: float


def run(where: Place, given: str, asked: Asked) -> int:
    """Write one document.

    Returns:
        0 it is at work; 1 it came to nothing; 3 that is not known yet; 4 somebody else was first.

    Raises:
        ConfigurationError: What was written cannot be used.
        EdgeError: The broker, the key or the history cannot be used.
    """
    console = Console(highlight=False)
    signer, keys = where.signing()
    more = ("+/config/event",)
    with opened(where, more=more) as desk, written_down(where, signer) as history:
        name = one_of(desk, given, is_new=asked.is_new)
        writing = Writing(desk, history, keys, name)
        edit = _Edit(console, desk, where, writing, name)
        content = edit.content(asked)
        if content is None:
            return 0
        try:
            standing = writing.publish({**content, **_dry(content)} if asked.is_dry else content)
        except DocumentRefusedError as refused:
            if refused.code != "conflict":
                raise
            return edit.conflict(str(refused), content)
        number = document_number(writing.document, "version")
        console.print(f"published version {number} for {name}, made from {writing.base}", markup=False)
        code = follow(console, desk, writing, standing, wait_s=asked.wait_s)
        if code == CONFLICT:
            return edit.conflict("somebody else was first", content)
        edit.forget()
        return code


class _Edit:
    """What a person does to one document, in an editor or from a file."""

    def __init__(self, console: Console, desk: MqttDesk, where: Place, writing: Writing, name: str) -> None:
        self._console = console
        self._desk = desk
        self._writing = writing
        self._name = name
        self._kept = _unused(where.state / "edits", f"{name}.v{writing.base + 1}")
        self._before = content_of(name, writing.basis.document, now_ns=desk.now_ns())

    def content(self, asked: Asked) -> dict[str, Any] | None:
        """Return what is to be published; None where nothing is.

        Raises:
            ConfigurationError: What was written cannot be used.
        """
        if self._writing.basis.remark:
            self._console.print(Text(printable(self._writing.basis.remark), style="yellow"), soft_wrap=True)
        if asked.file is not None:
            content = from_yaml(read_text(asked.file), name=str(asked.file))
        elif asked.assignments:
            self._refuse_without_start()
            content = assigned(self._before, asked.assignments)
        else:
            self._refuse_without_start()
            edited = self._edited()
            if edited is None:
                return None
            content = edited
        content = self._whole(content)
        wrong = self._wrong(content)
        self._tell_wrong(wrong)
        if wrong:
            raise ConfigurationError("nothing was published")
        return content if self._is_wanted(content, asked) else None

    def conflict(self, why: str, content: Mapping[str, Any]) -> int:
        """Say what the other one changed, and keep what was written here."""
        self._keep(to_yaml(content))
        self._console.print(Text(f"conflict: {printable(why)}", style="bold red"))
        rival = self._writing.rival
        if rival is not None:
            theirs = content_of(self._name, rival.document, now_ns=self._desk.now_ns())
            self._console.print(f"against what you began with, {rival.told} has", markup=False)
            self._print(self._before, theirs)
        self._console.print(f"what you wrote is kept in {self._kept}", markup=False, soft_wrap=True)
        self._console.print(
            f"look at it again: edge fleet diff {self._name} --file {self._kept}", soft_wrap=True
        )
        return CONFLICT

    def forget(self) -> None:
        """What was written is at the broker."""
        self._kept.unlink(missing_ok=True)

    # ── the editor ────────────────────────────────────────────────────────────────────────────────────────

    def _edited(self) -> dict[str, Any] | None:
        """Let a person edit until it can be used or they give up.

        Raises:
            ConfigurationError: There is no editor, or what was written is wrong and nobody can be asked.
        """
        text = self._header() + to_yaml(self._before)
        while True:
            self._keep(text)
            _open_editor(self._kept)
            text = read_text(self._kept)
            wrong: list[str] = []
            content: dict[str, Any] = {}
            try:
                content = self._whole(from_yaml(text, name=self._kept.name))
                wrong = self._wrong(content)
            except ConfigurationError as trouble:
                wrong = [str(trouble)]
            if not wrong:
                if _is_empty(text) or not differences(self._before, content):
                    self._console.print("nothing was changed, nothing is published")
                    self.forget()
                    return None
                return content
            self._tell_wrong(wrong)
            if not sys.stdin.isatty() or not Confirm.ask("edit it again?", default=True):
                raise ConfigurationError(f"nothing was published; what you wrote is kept in {self._kept}")
            text = _marked(text, wrong)

    def _header(self) -> str:
        start, view = self._writing.basis.document, self._desk.devices().get(self._name)
        lines = [f"{self._name}: version {self._writing.base + 1}"]
        if view is not None:
            how = condition(view, now_ns=self._desk.now_ns())
            room = f", room {view.room}" if view.room else ""
            lines = [f"{lines[0]}; it is {how.presence.text}{room}, at work is {how.version}"]
            lines += [": ".join(part for part in (one.text, one.detail) if part) for one in how.remarks]
        if start is not None:
            issued, key = document_text(start, "issued"), signer_of(start)
            lines.append(
                f"made from version {document_number(start, 'version')} of {issued} by the key {key}"
            )
        lines += [
            "config holds what differs from the device's own YAML; sources and pipelines by name; null takes",
            "a named pipeline away. Nothing is published where nothing changes.",
        ]
        return "".join(f"# {printable(line)}\n" for line in lines)

    # ── what it comes to ──────────────────────────────────────────────────────────────────────────────────

    def _refuse_without_start(self) -> None:
        """An edit must not begin with an old document: what came after it would be lost.

        Raises:
            ConfigurationError: The newest document is not at the broker, or is nobody's that we know.
        """
        basis = self._writing.basis
        if basis.is_missing:
            raise ConfigurationError(f"{self._name}: {basis.remark}; wanted the whole content with --file")
        if not basis.is_held:
            return
        held = document_number(self._writing.start, "version")
        if held != self._writing.base:
            what = f"the broker holds version {held}" if held else "the broker holds no document"
            raise ConfigurationError(
                f"{self._name}: {what}, and the device has accepted {self._writing.base}; "
                f"wanted the whole content with --file (edge fleet get {self._name} --version "
                f"{self._writing.base} has it, where this machine has seen it)"
            )

    def _whole(self, content: Mapping[str, Any]) -> dict[str, Any]:
        priority = {"priority": 0} if is_group(self._name) else {}
        return {"config": {}, "bundles": {}, **priority, **content}

    def _wrong(self, content: Mapping[str, Any]) -> list[str]:
        wrong = [*problems_of(content), *strange_pipelines(content, self._pipelines(), name=self._name)]
        try:
            drafted(self._name, content, base=self._writing.base, now_ns=self._desk.now_ns())
        except DocumentRefusedError as refused:
            wrong.append(str(refused))
        return wrong

    def _pipelines(self) -> frozenset[str]:
        there, groups = self._writing.concerned().values(), self._desk.groups()
        layers = [groups.get(f"{view.site}/group/{group}") for view in there for group in view.groups]
        return known_pipelines(there, [*layers, self._before])

    def _tell_wrong(self, wrong: Sequence[str]) -> None:
        for each in wrong:
            self._console.print(Text(printable(each), style="red"), soft_wrap=True)

    def _is_wanted(self, content: Mapping[str, Any], asked: Asked) -> bool:
        """Show what changes, and ask."""
        basis = self._writing.basis
        is_there = basis.is_held and basis.document is not None
        if not differences(self._before, content) and is_there and not asked.is_dry:
            self._console.print("nothing would change, nothing is published")
            return False
        self._print(self._before, content)
        if asked.is_certain or not sys.stdin.isatty():
            return True
        what = "validate" if asked.is_dry else "publish"
        return Confirm.ask(f"{what} it as version {self._writing.base + 1} for {self._name}?", default=True)

    def _print(self, before: Document, after: Document) -> None:
        for style, line in difference_lines(differences(before, after)):
            self._console.print(Text(line, style=style), soft_wrap=True)

    def _keep(self, text: str) -> None:
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            self._kept.write_text(text)
        except OSError as trouble:
            raise ConfigurationError(
                f"{self._kept}: {trouble.strerror}; wanted to keep an edit there"
            ) from trouble


def _unused(folder: Path, stem: str) -> Path:
    """Return a file that is not there yet: what somebody was told is kept is not written over."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    candidates = (folder / f"{plain}{f'.{number}' if number else ''}.yaml" for number in itertools.count())
    return next(path for path in candidates if not path.exists())


def _open_editor(path: Path) -> None:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        ended = subprocess.run([*words, str(path)], check=False)
    except OSError as trouble:
        raise ConfigurationError(
            f"{words[0]}: {trouble.strerror}; wanted an editor in EDITOR, or --file, or PATH=VALUE"
        ) from trouble
    if ended.returncode != 0:
        raise ConfigurationError(f"{words[0]} ended with {ended.returncode}; nothing was published")


def read_text(path: Path) -> str:
    """Return what a person wrote into a file, `-` for stdin.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        if str(path) == "-":
            return sys.stdin.read(FILE_BYTES_MAX)
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode()
    except OSError as trouble:
        raise ConfigurationError(f"{path}: {trouble.strerror}; wanted the content of a document") from trouble
    except UnicodeDecodeError as trouble:
        raise ConfigurationError(f"{path}: is no text; wanted YAML or JSON") from trouble


def _marked(text: str, wrong: Sequence[str]) -> str:
    """Return a text with what is wrong with it above it."""
    rest = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_MARK))
    return "".join(f"{_MARK}{printable(each)}\n" for each in wrong) + rest


def _is_empty(text: str) -> bool:
    return not any(line.strip() and not line.startswith("#") for line in text.splitlines())


def _dry(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"apply": {**content.get("apply", {}), "mode": "validate"}}
