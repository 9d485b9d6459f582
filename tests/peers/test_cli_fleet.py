"""`edge fleet` as an operator types it, with a device and its agent at a real broker."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from typer.testing import CliRunner, Result

from edge.bundles.signature import make_key
from edge.cli import fleet_watch
from edge.cli.app import app
from edge.cli.fleet_desk import place
from edge.cli.fleet_ls import picture, rows
from edge.domain.errors import ConfigurationError, DeliveryError, DocumentRefusedError, EdgeError, SecretError
from edge.fleet.operator.mqtt_desk import MqttDesk
from tests.builders.fleet import desired
from tests.peers.broker import Mosquitto, broker
from tests.peers.fleet_box import box
from tests.peers.fleet_operator import NAME, operator, paper, seat
from tests.waiting import until

__all__ = ["broker"]
pytestmark = pytest.mark.usefixtures("log_as_found")
CONFIG = {"log_level": {"value": "DEBUG", "origin": "device", "restart": "hot"}}


@pytest.fixture
def fleet(broker: Mosquitto, tmp_path: Path) -> Callable[..., Result]:
    """Run `edge fleet …` as an operator of this broker; 80 columns where nothing else is said."""
    file = operator(broker.port, tmp_path / "jane")

    def run(*words: str, columns: int = 80, **given: str) -> Result:
        environment = {"EDGE_FLEET": str(file), "COLUMNS": str(columns), **given}
        return CliRunner().invoke(app, ["fleet", *words], env=environment)

    with paper(broker.port, present=[NAME]):  # so that the last message of all is there when a desk opens
        run("ls")
    return run


def test_ls_shows_who_needs_a_person_and_says_so_to_programs(
    broker: Mosquitto, fleet: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cli.fleet_ls.PIPED_WIDTH", 80)
    with paper(broker.port, present=["anna/or-1", "anna/or-2"]) as devices:
        devices.say("anna/or-2/status", {"state": "offline", "session": 1, "at": "2026-11-22T14:00:00Z"})
        devices.say("anna/or-1/config/reported", {"applied_version": 3, "desired_version": 3})
        devices.say("anna/or-1/config/desired", {"version": 3})
        shown = fleet("ls")
        assert shown.exit_code == 1
        assert max(map(len, shown.stdout.splitlines())) <= 80
        assert "· anna/or-1 online" in shown.stdout
        assert "✗ anna/or-2 offline" in shown.stdout
        assert "3 devices: 2 online, 1 offline" in shown.stdout
        assert fleet("ls", "or-1").exit_code == 0
        assert "or-1" not in fleet("ls", "anna/*", "--trouble").stdout
        told = [json.loads(line) for line in fleet("ls", "--json", "anna/*").stdout.splitlines()]
        assert [(one["device"], one["level"], one["applied_version"]) for one in told] == [
            ("anna/or-1", "well", 3),
            ("anna/or-2", "act", None),
        ]
    assert "nobody: no device is called so" in str(fleet("ls", "nobody").exception)


def test_the_live_table_has_a_line_for_each_device_and_counts_the_rest(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with paper(broker.port, present=[f"anna/or-{number}" for number in range(9)]) as devices:
        devices.say(
            "anna/or-4/alert/error/a-very-long-name-of-an-alert", {"severity": "error", "text": "x" * 200}
        )
        with seat(broker.port, tmp_path) as at:
            shown = rows(at.desk, ())
            console = Console(width=80)
            with console.capture() as caught:
                console.print(picture(shown[:5], width=80, of=shown))
    lines = caught.get().splitlines()
    assert len(lines) == 1 + 5 + 3
    assert "9 devices: 9 online" in lines[-2]


def test_show_tells_everything_and_a_wrong_name_is_answered_with_a_right_one(
    broker: Mosquitto, fleet: Callable[..., Result]
) -> None:
    with paper(broker.port) as device:
        device.presence(NAME, room="theatre 3")
        device.say(f"{NAME}/alert/error/outbox-set-aside", {"severity": "error", "text": "\x1b[2J3 findings"})
        device.say(
            f"{NAME}/source/scanners/state", {"source": "scanners", "state": "offline", "why": "no port"}
        )
        shown = fleet("show", "or-3")
        assert (shown.exit_code, "\x1b" in shown.stdout) == (1, False)
        for word in (
            "theatre 3",
            "outbox-set-aside",
            "3 findings",
            "scanners offline: no port",
            "edge 0.1.0",
        ):
            assert word in shown.stdout
        assert json.loads(fleet("show", "or-3", "--json").stdout)["sources"]["scanners"]["state"] == "offline"
        wrong = fleet("show", "site/or-33")
        assert isinstance(wrong.exception, ConfigurationError)
        assert "did you mean site/or-3?" in str(wrong.exception)


def test_set_from_values_an_editor_and_a_file_and_what_it_comes_to(
    broker: Mosquitto, tmp_path: Path, fleet: Callable[..., Result]
) -> None:
    content, editor = tmp_path / "content.yaml", tmp_path / "editor"
    content.write_text("config: {log_level: ERROR}\n")
    editor.write_text('#!/bin/sh\nsed -i "s/log_level: .*/log_level: INFO/" "$1"\n')
    editor.chmod(0o755)
    with box(broker.port, tmp_path / "box") as device, paper(broker.port, present=[NAME]):
        first = fleet("set", "or-3", "log_level=DEBUG", "--yes")
        assert (first.exit_code, device.device.config) == (0, {"log_level": "DEBUG"})
        assert "+ config.log_level: DEBUG\npublished version 1 for site/or-3" in first.stdout
        assert fleet("set", "or-3", "--file", str(content)).exit_code == 0
        assert device.device.config == {"log_level": "ERROR"}
        edited = fleet("set", "or-3", EDITOR=str(editor))
        assert (edited.exit_code, device.device.config) == (0, {"log_level": "INFO"})
        assert "~ config.log_level: ERROR → INFO" in edited.stdout
        unchanged = fleet("set", "or-3", EDITOR="true")
        assert (unchanged.exit_code, "nothing was changed" in unchanged.stdout) == (0, True)
        dry = fleet("set", "or-3", "log_level=DEBUG", "--dry-run")
        assert (dry.exit_code, "could be applied" in dry.stdout) == (0, True)
        assert device.device.config == {"log_level": "INFO"}
        real = fleet("set", "or-3", "log_level=DEBUG")
        assert (real.exit_code, device.device.config) == (0, {"log_level": "DEBUG"}), real.stdout
        assert "it is not built upon, version 3 is" in real.stdout
        again = fleet("set", "or-3", "log_level=DEBUG")
        assert (again.exit_code, "nothing would change" in again.stdout) == (0, True)
    assert list((tmp_path / "jane" / "state" / "edits").iterdir()) == []
    history = fleet("history", columns=160)
    assert "committed" in history.stdout
    assert fleet("history", "--verify").stdout.endswith("the history is whole\n")
    assert "log_level: ERROR" in fleet("get", "or-3", "--version", "2").stdout
    assert "~ config.log_level: ERROR → DEBUG" in fleet("diff", "or-3", "--version", "2").stdout


def test_set_refuses_what_no_device_could_take_and_says_all_of_it(
    fleet: Callable[..., Result],
) -> None:
    wrong = fleet("set", "or-3", "log_level=LOUD", "site.id=x", "pipelines.a.deadline_x=3")
    assert isinstance(wrong.exception, ConfigurationError)
    for word in ("config.log_level", "config.site.id", "config.pipelines.a.deadline_x"):
        assert word in wrong.stdout
    unknown = fleet("set", "or-9", "log_level=INFO")
    assert "nobody of that name is known" in str(unknown.exception)
    for name in ("fleet/or-9", "site/group", "site/group/a+", "or 9"):
        assert isinstance(fleet("set", name, "log_level=INFO", "--new").exception, ConfigurationError), name
    away = fleet("set", "site/or-9", "log_level=INFO", "--new", "--wait-s", "0")
    assert (away.exit_code, "takes version 1 up when it comes back" in away.stdout) == (3, True)


def test_what_a_stranger_left_is_no_part_of_a_difference(
    broker: Mosquitto, tmp_path: Path, fleet: Callable[..., Result]
) -> None:
    content = tmp_path / "content.yaml"
    content.write_text("config: {log_level: ERROR}\n")
    evil = desired(1, config={"drain_s": 9}).replace(b"fleet-2026", b"evil")
    with paper(broker.port) as device:
        device.say_bytes(f"{NAME}/config/desired", evil)
        compared = fleet("diff", NAME, "--file", str(content))
        assert "'evil', which you do not know; it is not built upon" in compared.stdout
        assert compared.stdout.endswith("+ config.log_level: ERROR\n")
        assert "drain_s" not in compared.stdout
        published = fleet("set", NAME, "log_level=ERROR", "--wait-s", "0").stdout
        assert "published version 2" in published
        assert "drain_s" not in fleet("get", NAME).stdout


def test_a_mistyped_pipeline_is_not_published(broker: Mosquitto, fleet: Callable[..., Result]) -> None:
    with paper(broker.port) as device:
        device.say(f"{NAME}/info", {"pipelines": ["brain-mr"]})
        wrong = fleet("set", "or-3", "pipelines.brain-rm.deadline_s=60")
        assert "nothing was published" in str(wrong.exception)
        assert "no pipeline 'brain-rm' on site/or-3 (did you mean 'brain-mr'?)" in wrong.stdout
        assert "a new one needs bundle, select, too" in wrong.stdout
        right = fleet("set", "or-3", "pipelines.brain-mr.deadline_s=60", "--wait-s", "0")
        assert "published version 1" in right.stdout
        whole = "pipelines.more={bundle: b, select: {modalities: [MR]}}"
        assert "published version 2" in fleet("set", "or-3", whole, "--wait-s", "0").stdout


def test_an_edit_that_is_wrong_is_kept_where_nobody_can_be_asked(
    fleet: Callable[..., Result], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "config: {log_level: LOUD}" > "$1"\n')
    editor.chmod(0o755)
    edits = tmp_path / "jane" / "state" / "edits"
    for number in (1, 2):
        refused = fleet("set", "or-3", EDITOR=str(editor))
        assert "nothing was published; what you wrote is kept in" in str(refused.exception)
        assert "config.log_level: is 'LOUD'" in refused.stdout
        assert len(list(edits.iterdir())) == number, "what is kept is not written over"
    absent = fleet("set", "or-3", EDITOR="no-such-editor")
    assert "wanted an editor in EDITOR, or --file, or PATH=VALUE" in str(absent.exception)


def test_an_edit_of_one_who_comes_second_is_kept_and_shown(
    broker: Mosquitto, tmp_path: Path, fleet: Callable[..., Result]
) -> None:
    """While the editor is open somebody else writes."""
    with paper(broker.port, present=[NAME]), seat(broker.port, tmp_path / "joe", who="joe") as joe:
        theirs = tmp_path / "theirs"
        editor = tmp_path / "editor"
        waits = f"touch {theirs}; while [ -e {theirs} ]; do sleep 0.02; done"
        editor.write_text(f'#!/bin/sh\necho "config: {{log_level: INFO}}" > "$1"; {waits}\n')
        editor.chmod(0o755)

        def write() -> None:
            until(theirs.exists, within_s=10)
            joe.desk.publish(NAME, json.loads(desired(1, config={"log_level": "ERROR"})))
            theirs.unlink()

        at_the_same_time = threading.Thread(target=write, name="joe")
        at_the_same_time.start()
        second = fleet("set", "or-3", EDITOR=str(editor))
        at_the_same_time.join()
    assert second.exit_code == 4
    assert "conflict: site/or-3: while you were at it somebody wrote version 1" in second.stdout
    assert "+ config.log_level: ERROR" in second.stdout
    (kept,) = (tmp_path / "jane" / "state" / "edits").iterdir()
    assert "log_level: INFO" in kept.read_text()
    compared = fleet("diff", NAME, "--file", str(kept))
    assert "~ config.log_level: ERROR → INFO" in compared.stdout


def test_commands_and_questions(broker: Mosquitto, tmp_path: Path, fleet: Callable[..., Result]) -> None:
    def snapshot(args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"source": args["source"], "picture": base64.b64encode(b"a picture").decode()}

    def selftest(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise DocumentRefusedError("probe", "engine: does not answer")

    def logs(args: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"lines": [f"line {number}" for number in range(args["lines"])]}

    executors = {"snapshot": snapshot, "selftest": selftest, "collect-logs": logs}
    answers: Mapping[str, Callable[[], Mapping[str, Any]]] = {
        "config": lambda: {"config": CONFIG},
        "status": lambda: {"well": True},
    }
    with (
        box(broker.port, tmp_path / "box", executors=executors, answers=answers),
        paper(broker.port, present=[NAME]) as device,
    ):
        out = tmp_path / "seen.jpg"
        assert fleet("cmd", "or-3", "snapshot", "source=or", "--out", str(out)).exit_code == 0
        assert out.read_bytes() == b"a picture"
        assert fleet("cmd", "or-3", "collect-logs", "lines=2").stdout.endswith("line 0\nline 1\n")
        failed = fleet("cmd", "or-3", "selftest")
        assert (failed.exit_code, "failed: probe: engine: does not answer" in failed.stdout) == (1, True)
        for wrong, why in ((("dance",), "no type 'dance'"), (("snapshot",), "args.source")):
            assert why in str(fleet("cmd", "or-3", *wrong).exception)
        assert json.loads(fleet("ask", "or-3", "status").stdout) == {"well": True}
        assert "log_level" in fleet("ask", "or-3", "config").stdout
        assert "no such question" in str(fleet("ask", "or-3", "secrets").exception)
        device.say(f"{NAME}/config/desired", json.loads(desired(1, config={"log_level": "INFO"})))
        wanted = fleet("diff", "or-3")
        assert wanted.exit_code == 1
        assert "~ log_level: wanted INFO, at work DEBUG (device)" in wanted.stdout
    with seat(broker.port, tmp_path / "joe") as at:
        cmds = at.desk.listen(lambda below: "/cmd/" in below)
        assert not list(cmds.take()), "the requester has cleared what is over"


def test_a_command_that_nobody_began_is_taken_back(fleet: Callable[..., Result]) -> None:
    waited = fleet("cmd", "or-3", "selftest", "--wait-s", "0")
    assert (waited.exit_code, "was not begun, and is taken back" in waited.stdout) == (3, True)
    assert isinstance(fleet("ask", "or-3", "status").exception, DeliveryError)


def test_a_device_that_is_away_is_not_asked(broker: Mosquitto, fleet: Callable[..., Result]) -> None:
    with paper(broker.port) as device:
        device.presence(NAME, "offline")
        asked = fleet("ask", "or-3", "status")
    assert "site/or-3: is offline since 2026-" in str(asked.exception)


def test_the_history_can_be_taken_elsewhere_and_checked_there(
    fleet: Callable[..., Result], tmp_path: Path
) -> None:
    fleet("set", "or-3", "log_level=DEBUG", "--wait-s", "0")
    copy = tmp_path / "history.jsonl"
    assert fleet("history", "--export", str(copy)).exit_code == 0
    assert fleet("history", "--check", str(copy)).exit_code == 0
    copy.write_text(copy.read_text().replace("DEBUG", "ERROR"))
    checked = fleet("history", "--check", str(copy))
    assert (checked.exit_code, "the history is not whole" in checked.stdout) == (1, True)
    assert isinstance(fleet("history", "--export", str(copy)).exception, EdgeError), "never written over"


def test_watch_tells_each_thing_once_and_no_stale_will(
    broker: Mosquitto, fleet: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    with paper(broker.port, present=[NAME]) as device:
        device.presence(NAME, session=5)
        device.say(f"{NAME}/alert/error/old", {"severity": "error", "text": "known"})
        event = {
            "scope": "device",
            "version": 4,
            "status": "rolled_back",
            "code": "probe",
            "message": "engine",
        }

        def happens(desk: MqttDesk) -> None:
            device.say(f"{NAME}/config/event", event, retain=False)
            device.say(f"{NAME}/status", {"state": "offline", "session": 4})
            device.say(f"{NAME}/alert/error/old", {"severity": "error", "text": "known"})
            device.say(f"{NAME}/alert/error/new", {"severity": "error", "text": "look"})
            desk.catch_up()

        monkeypatch.setattr(fleet_watch, "TICK_S", 0.01)
        monkeypatch.setattr(MqttDesk, "wait", in_turns(happens, turns=4))
        seen = fleet("watch", "site/*").stdout
    assert seen.count("version 4 rolled back: probe: engine") == 4
    assert seen.count("alert new: look") == 1
    assert ("offline" in seen, "alert old" in seen) == (False, False)


def in_turns(happens: Callable[[MqttDesk], None], *, turns: int) -> Callable[[MqttDesk, float], bool]:
    """Let something happen whenever the desk waits; then somebody types Ctrl-C."""
    left = [happens] * turns

    def wait(desk: MqttDesk, _: float) -> bool:
        if not left:
            raise KeyboardInterrupt
        left.pop()(desk)
        return True

    return wait


def test_settings_that_cannot_be_used_are_told_with_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("broker: {port: 70000, tls: perhaps}\nsigning: {key: a}\nroute: x\n")
    refused = CliRunner().invoke(app, ["fleet", "ls", "--fleet", str(file)])
    assert isinstance(refused.exception, ConfigurationError)
    for word in ("broker.host", "broker.port", "broker.tls", "signing.private_file", "route"):
        assert word in str(refused.exception)
    absent = CliRunner().invoke(app, ["fleet", "ls", "--fleet", str(tmp_path / "absent")])
    assert "wanted the settings of the fleet" in str(absent.exception)


def test_who_has_no_key_may_look_and_change_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    file = operator(broker.port, tmp_path)
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "signing" not in line))
    environment = {"EDGE_FLEET": str(file)}
    refused = CliRunner().invoke(app, ["fleet", "set", "site/or-3", "log_level=INFO"], env=environment)
    assert "fleet.yaml names no key to sign with" in str(refused.exception)


def test_a_key_file_of_another_key_is_told_before_anything_is_signed(tmp_path: Path) -> None:
    file = operator(1, tmp_path)
    place(file).signing()
    make_key(tmp_path / "other.pem", tmp_path / "key.pub")
    with pytest.raises(ConfigurationError, match=r"is not the private half of key\.pub"):
        place(file).signing()
    (tmp_path / "other.pem").replace(tmp_path / "key.pem")
    place(file).signing()
    tls = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(tls.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SecretError, match="`edge fleet keygen`"):
        place(file).signing()
