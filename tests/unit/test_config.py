"""What an operator may say, and what is said back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import bundles, cameras, fields, fleet, pipelines, schema, sources, spectral, thermal
from edge.config.cameras import CameraSource
from edge.config.fields import Secret
from edge.config.load import Report, check, check_text, load
from edge.config.schema import Config
from edge.config.secrets import read, read_text, resolve, secrets_of
from edge.config.sources import FolderSource
from edge.domain.errors import ConfigurationError, SecretError
from tests.builders import volume_bundles
from tests.builders.bundles import write_bundle
from tests.builders.picture_tasks import write_task_bundle

SECTIONS = (schema, bundles, sources, pipelines, cameras, thermal, spectral, fleet, fields)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)

GOOD = """
site: {id: demo}
device: {id: box-1}
sources:
  - {kind: dicom, name: door, port: 11112, allow: [{network: 127.0.0.1}]}
  - {kind: folder, name: drop, path: drop}
pipelines:
  - {name: brain, bundle: brain-mr, select: {modalities: [MR]}}
bundles: {roots: [models]}
mqtt: {host: localhost}
"""


def checked(text: str, folder: Path = Path("/nowhere")) -> Report:
    return check_text(text, folder=folder)


def said(text: str) -> str:
    """Everything that is wrong with a text, one problem a line."""
    return "\n".join(str(problem) for problem in checked(text).errors)


def with_line(line: str) -> str:
    return GOOD + line + "\n"


def test_a_small_file_is_enough() -> None:
    config = checked(GOOD).config
    assert config is not None
    assert config.sources[0].name == "door"
    assert config.mqtt.port == 1883


def test_a_relative_path_starts_at_the_folder_of_the_file(tmp_path: Path) -> None:
    config = checked(GOOD, tmp_path).config
    assert config is not None
    assert config.bundles.roots == (tmp_path / "models",)
    assert isinstance(config.sources[1], FolderSource)
    assert config.sources[1].path == tmp_path / "drop"


def test_everything_wrong_is_said_at_once() -> None:
    listed = said("""
site: {id: a/b}
device: {}
sources:
  - {kind: dicm, name: x}
  - {kind: dicom, name: door, port: 70000, pdu_byte: 3, allow: [{network: 10.0.0.5/8}, {}]}
  - {kind: folder, name: door, path: in, settle_s: 0, after: move}
pipelines:
  - {name: a, bundle: b, select: {}}
  - {name: a, bundle: b, select: {modalities: []}}
assembly: {quiet_s: 100, deadline_s: 50}
mqtt: {host: x, prot: 3}
retention: {done_h: -1}
retention: {done_h: 1}
""")
    for part in (
        "site.id: is 'a/b'; allowed: 1 to 63 letters",
        "device.id: missing",
        "sources[0]: kind is 'dicm'; allowed: ",
        "(did you mean 'dicom'?)",
        "sources[1].port: is 70000; allowed: a whole number from 1 to 65535",
        "sources[1].pdu_byte: unknown key (did you mean 'pdu_bytes'?)",
        "sources[1].allow[0].network: 10.0.0.5/8 has host bits set",
        "sources[1].allow[1]: wanted ae_title, network or both",
        "sources[2].name: is 'door', which sources[1] has too",
        "sources[2].settle_s: is 0; allowed: a number from 0.05 to 3600",
        "sources[2].after: is 'move'; allowed: keep, remove",
        "pipelines[0].select.modalities: missing; wanted: a list of 1 to 32",
        "pipelines[1].name: is 'a', which pipelines[0] has too",
        "pipelines[1].select.modalities: is a list of 0; allowed: a list of 1 to 32",
        "assembly: quiet_s is 100, deadline_s 50",
        "mqtt.prot: unknown key",
        "retention.done_h: is -1; allowed: a number from 0 to 87600",
        "retention: given twice, first in line 13",
        "bundles: missing",
    ):
        assert part in listed


LIVE = GOOD.replace(
    "pipelines:",
    """  - {kind: camera, name: or, url: "rtsp://10.0.0.5/stream"}
pipelines:
  - {kind: video, name: gate, bundle: scope-gate, sources: [or]}""",
)


def test_a_pipeline_without_a_kind_is_one_for_series() -> None:
    config = checked(LIVE).config
    assert config is not None
    assert [pipeline.kind for pipeline in config.pipelines] == ["video", "imaging"]
    assert isinstance(config.sources[2], CameraSource)


@pytest.mark.parametrize(
    ("old", "new", "said_of_it"),
    [
        (
            "sources: [or]",
            "sources: [orr]",
            "pipelines[0].sources[0]: is 'orr', which no source is called (did",
        ),
        ("sources: [or]", "sources: [door]", "is 'door', a source of kind dicom; wanted one of kind camera"),
        ("rtsp://10", "rtsp://me:secret@10", "user and password have options of their own"),
        (
            "kind: video",
            "kind: vidio",
            "kind is 'vidio'; allowed: hyperspectral, imaging, pixel-spectra, spectrum, thermal, video (did",
        ),
        ('url: "rtsp', 'path: x, url: "rtsp', "wanted exactly one of url, device and path"),
        ("sources: [or]", "sources: [or], pace: {gap: 3}", "pipelines[0].pace.gap: unknown key"),
        ("sources: [or]", "sources: []", "pipelines[0].sources: is a list of 0; allowed: a list of 1 to 64"),
    ],
)
def test_what_is_wrong_with_a_live_source_is_said(old: str, new: str, said_of_it: str) -> None:
    assert said_of_it in said(LIVE.replace(old, new))


MEASURING = """
site: {id: demo}
device: {id: box-1}
sources:
  - {kind: thermal, name: heat, folder: heat, calibration: {}}
  - {kind: hyperspectral, name: cubes, path: cubes}
  - {kind: spectrum, name: raman, path: raman}
pipelines:
  - {kind: thermal, name: warmth, sources: [heat]}
  - {kind: hyperspectral, name: odd, sources: [cubes]}
  - {kind: spectrum, name: peaks, sources: [raman]}
bundles: {roots: [models]}
mqtt: {host: localhost}
"""
INDEX = "{name: a, formula: ratio, first_nm: 500, second_nm: 600}"


@pytest.mark.parametrize(
    ("old", "new", "said_of_it"),
    [
        ("calibration: {}", "calibration: {band_um: [13, 7]}", "band_um is 13 to 7; wanted one within"),
        (
            "calibration: {}",
            "calibration: {scale: {kind: radiance, gain: 1, offset: 0, low_um: 14, high_um: 7}}",
            "low_um is 14, high_um 7; wanted it below",
        ),
        (
            "calibration: {}",
            "calibration: {scale: {kind: planck, r1: -5, b_kelvin: 1400, f: 1, o: 0, r2: 1}}",
            "sources[0].calibration.scale.r1: is -5; allowed: a number from 1e-09 to",
        ),
        ("[heat]", "[heat], regions: [{name: a, corners: [[0, 0], [0, 1]]}]", "the corners of 'a' lie on a"),
        (
            "[heat]",
            "[heat], regions: [{name: a, corners: [[0, 0], [1, 1]]}], pairs: [{left: a, right: a}]",
            "left and right are both 'a'; wanted two regions",
        ),
        ("[heat]", "[heat], pace: {age_max_ms: 5000}", "gap_max_ms is 2000, age_max_ms 5000; wanted it not"),
        (
            "[cubes]",
            "[cubes], materials: [{name: a, wavelengths_nm: [1, 2, 3], values: [1, 2, 3, 4]}]",
            "pipelines[1].materials[0]: 4 values for 3 wavelengths",
        ),
        (
            "[cubes]",
            "[cubes], materials: [{name: a, wavelengths_nm: [3, 2, 1], values: [1, 2, 3]}]",
            "wavelengths_nm do not increase",
        ),
        (
            "[cubes]",
            "[cubes], materials: [{name: a, wavelengths_nm: [1, 2, 3], values: [0, 0, 0]}]",
            "no value is above 0",
        ),
        (
            "[cubes]",
            f"[cubes], indices: [{INDEX}, {INDEX}]",
            "indices are called a, a; wanted each name once",
        ),
        ("[raman]", "[raman], width_min: 300", "width_min is 300, width_max 200; wanted it below"),
        (
            "[raman]",
            "[raman], expected: [{name: a, position: 1, window: 1}, {name: a, position: 2, window: 1}]",
            "expected peaks are called a, a; wanted each name once",
        ),
    ],
)
def test_what_would_keep_the_daemon_from_starting_is_said_by_the_check(
    old: str, new: str, said_of_it: str
) -> None:
    assert said(MEASURING) == ""
    assert said_of_it in said(MEASURING.replace(old, new))


def test_a_source_at_which_nothing_looks_and_a_gate_that_nobody_guards_are_warnings() -> None:
    text = LIVE.replace("[or]", "[other]").replace(
        "pipelines:", "  - {kind: camera, name: other, path: other, snapshots: gated}\npipelines:"
    )
    assert [str(problem) for problem in checked(LIVE).warnings if "no pipeline" in str(problem)] == []
    listed = "\n".join(map(str, checked(text).warnings))
    assert "no pipeline looks at 'or': nothing is ever said about it" in listed
    assert "snapshots is gated, and no pipeline with a gate looks at it" in listed


def test_each_problem_has_its_line() -> None:
    assert said(GOOD.replace("11112", "0")).startswith("line 5: sources[0].port: is 0;")


def test_broken_syntax_is_named_with_its_line() -> None:
    assert said("site: {id: demo\ndevice: [").startswith("line 2: not YAML:")


@pytest.mark.parametrize(
    "text", ["", "- a list", "just words", "---\n...", "a: 1\n---\nb: 2", "a: &x [*x]", "\0"]
)
def test_what_is_no_configuration_is_refused_in_words(text: str) -> None:
    report = checked(text)
    assert report.config is None
    assert report.errors


def test_words_stay_words() -> None:
    config = checked(GOOD.replace("{id: demo}", "{id: no}").replace("box-1", "on")).config
    assert config is not None
    assert (config.site.id, config.device.id) == ("no", "on")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("health: {period_s: '5'}", "health.period_s: is '5'"),
        ("health: {period_s: true}", "health.period_s: is true"),
        ("health: {period_s: .inf}", "health.period_s: is inf"),
        ("health: {period_s: .nan}", "health.period_s: is nan"),
        ("outbox: {workers: 1.5}", "outbox.workers: is 1.5"),
        ("outbox:", "outbox: is empty"),
        ("outbox: [1]", "outbox: is a list of 1"),
        ("log_level: info", "log_level: is 'info'; allowed: DEBUG, INFO, WARNING, ERROR"),
        ("engine: {provider: tpu}", "engine.provider: is 'tpu'; allowed: auto, cpu, cuda"),
        ("state: {folder: 3}", "state.folder: is 3; allowed: a path"),
        ("state: {reserve_mb: !!python/object:os.system 3}", "the tag tag:yaml.org,2002:python"),
        ("? [a, b]\n: 3", "a key that is a list or a mapping"),
        (
            "state: {reserve_mb: 4096}\nretention: {soft_free_mb: 1024}",
            "below state.reserve_mb, which is 4096",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_path(line: str, path: str) -> None:
    assert path in said(with_line(line))


def test_the_same_port_twice_is_refused_even_when_one_is_the_default() -> None:
    text = GOOD.replace(
        "  - {kind: folder", "  - {kind: dicom, name: second, allow: [{ae_title: CT}]}\n  - {kind: folder"
    )
    assert "sources[1].port: is 11112, which sources[0] listens on too" in said(text)


def test_a_bundle_that_no_root_holds_is_an_error_but_keeps_no_daemon_from_starting(tmp_path: Path) -> None:
    (tmp_path / "models" / "brain-mri").mkdir(parents=True)
    (tmp_path / "models" / "brain-mri" / "manifest.yaml").touch()
    report = checked(GOOD, tmp_path)
    errors = report.errors
    assert report.config is not None
    assert "pipelines[0].bundle: is 'brain-mr', which no root holds (did you mean 'brain-mri'?)" in str(
        errors[0]
    )


def test_a_root_that_is_not_there_yet_is_a_warning(tmp_path: Path) -> None:
    report = checked(GOOD, tmp_path)
    assert report.config is not None
    assert "bundles.roots[0]: there is no folder" in str(report.warnings[0])


@pytest.mark.parametrize(
    "line",
    [
        "mqtt: {host: x, username: u, password: hunter2}",
        "mqtt: {host: x, username: u, password: {value: hunter2}}",
        "mqtt: {host: x, username: u, password: [hunter2]}",
        "mqtt: {host: x, username: u, passwort: hunter2}",
        "mqtt: {host: x, username: u, password: hunter2, password: hunter2}",
        "mqtt: {host: x, username: u, password: {secret: 'hunter2 hunter2'}}",
        "mqtt: {host: x, password: 'hunter2",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(line: str) -> None:
    listed = said(GOOD.replace("mqtt: {host: localhost}", line))
    assert listed
    assert "hunter2" not in listed


def test_load_lists_everything_in_one_error(tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(GOOD.replace("11112", "0").replace("box-1", "/"))
    with pytest.raises(
        ConfigurationError, match=r"(?s)edge\.yaml cannot be used.*device\.id.*sources\[0\]\.port"
    ):
        load(file)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise.yaml").write_bytes(b"\xff\xfe\x00")
    assert "No such file" in str(check(tmp_path / "absent.yaml").errors[0])
    assert "byte 0 is not UTF-8" in str(check(tmp_path / "noise.yaml").errors[0])
    assert "Is a directory" in str(check(tmp_path).errors[0])


@UNHURRIED
@given(st.text())
def test_no_text_gets_an_exception(text: str) -> None:
    checked(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(Config.model_fields)), inner)
    ),
    max_leaves=12,
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), json_values))
def test_no_tree_gets_an_exception(tree: dict[str, object]) -> None:
    assert checked(yaml.safe_dump(tree)).config is None


def test_every_option_has_a_sentence_and_every_number_a_range() -> None:
    tree = Config.model_json_schema()
    for name, section in {**tree["$defs"], "Config": tree}.items():
        assert section["additionalProperties"] is False
        for key, option in section["properties"].items():
            place = f"{name}.{key}"
            kind = option.get("type")
            described = (
                Config
                if name == "Config"
                else next(getattr(module, name) for module in SECTIONS if hasattr(module, name))
            )
            assert described.model_fields[key].description, place
            assert kind not in ("integer", "number") or {"minimum", "maximum"} <= set(option), place
            assert kind != "array" or {"minItems", "maxItems"} <= set(option), place
            assert kind != "string" or {"enum", "const", "pattern", "maxLength", "format"} & set(option), (
                place
            )


def test_every_number_has_its_unit_in_its_name() -> None:
    counts = {
        "port",
        "threads",
        "workers",
        "associations_max",
        "slices_min",
        "pictures_max",
        "telemetry_rows",
        "live_burst_max",
    }
    counts |= {"r1", "f", "o", "r2", "gain", "offset", "kelvin_per_count", "frames_per_s"}
    counts |= {"panel_reflectance", "quantile", "position", "window", "smoothness", "width_min", "width_max"}
    counts |= {"snr_min", "enter_frames_min"}
    minutes = {"case_quiet_min"}
    units = (
        "_s",
        "_ms",
        "_mb",
        "_h",
        "_days",
        "_mm",
        "_m",
        "_um",
        "_nm",
        "_rad",
        "_px",
        "_bytes",
        "_celsius",
        "_kelvin",
        "_k",
    )
    shares = (
        "_level",
        "_share",
        "_ratio",
        "_fraction",
        "_fraction_max",
        "emissivity",
        "humidity",
        "transmission",
    )
    for section in Config.model_json_schema()["$defs"].values():
        for key, option in section["properties"].items():
            named = key in counts | minutes or key.endswith((*units, *shares))
            assert option.get("type") not in ("integer", "number") or named, key


def test_a_credential_is_read_from_the_folder_systemd_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt-password").write_text("hunter2\n")
    (tmp_path / "mqtt-password").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_text(Secret(secret="mqtt-password")) == "hunter2"


def test_without_systemd_a_credential_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretError, match="secret mqtt-password: CREDENTIALS_DIRECTORY is not set"):
        resolve(Secret(secret="mqtt-password"))


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"hunter2", 0o644, "mode 0644 and is open to others; wanted 0600 or 0640"),
        (b"hunter2", 0o604, "mode 0604"),
        (b"", 0o600, "is empty"),
        (b"\n", 0o600, "is empty"),
        (b"x" * 70_000, 0o600, "70000 bytes; wanted at most 65536"),
        (b"\xff", 0o600, "not UTF-8"),
    ],
)
def test_a_secret_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(SecretError, match=words) as refusal:
        read_text(Secret(file=file))
    assert "hunter2" not in str(refusal.value)


def test_a_secret_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, words in ((tmp_path / "absent", "No such file"), (tmp_path / "pipe", "no ordinary file")):
        with pytest.raises(SecretError, match=words):
            read(Secret(file=path))


def test_every_secret_of_a_tree_is_found() -> None:
    text = GOOD.replace("port: 11112,", "tls: {certificate_file: a, key: {secret: door}},").replace(
        "host: localhost", "host: localhost, username: u, password: {secret: word}"
    )
    config = checked(text + "identity: {key: {file: k}}\n").config
    assert config is not None
    assert [path for path, _ in secrets_of(config)] == [
        ("sources", 0, "tls", "key"),
        ("mqtt", "password"),
        ("identity", "key"),
    ]


# ── whose bundles are used ────────────────────────────────────────────────────────────────────────


def bundles_of(tmp_path: Path, *lines: str) -> Report:
    write_bundle(tmp_path / "models", name="brain-mr")
    written = "{roots: [models], " + ", ".join(lines) + "}"
    return check_text(GOOD.replace("{roots: [models]}", written), folder=tmp_path)


def test_a_bundle_that_nobody_signed_is_warned_of_where_the_site_does_not_allow_it(tmp_path: Path) -> None:
    report = bundles_of(tmp_path, "allow_unsigned: false")
    assert [str(one) for one in report.errors] == []
    assert "brain-mr: is not signed; wanted a signature by nobody: bundles.trust is empty" in str(
        report.warnings[-1]
    )


def test_where_unsigned_bundles_are_allowed_there_is_no_warning_about_them(tmp_path: Path) -> None:
    assert "signed" not in str(bundles_of(tmp_path, "allow_unsigned: true").warnings)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("ed25519:AAAA", "holds 3 bytes; wanted the 32"),
        ("ed25519:%%", "is no base64"),
        ("anything", "is no public key; wanted ed25519:BASE64, or PEM"),
    ],
)
def test_a_public_key_that_is_none_is_refused(tmp_path: Path, key: str, message: str) -> None:
    report = bundles_of(tmp_path, f"trust: [{{name: clinic, public_key: '{key}'}}]")
    assert message in str(report.errors[0])


def test_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    key = "{name: clinic, public_key: 'ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='}"
    assert "names must differ" in str(bundles_of(tmp_path, f"trust: [{key}, {key}]").errors[0])


def test_a_pipeline_whose_model_wants_several_series_is_an_error(tmp_path: Path) -> None:
    roles = [{"role": role, "accepts": [{"modality": "MR", "unit": "arbitrary"}]} for role in ("T1", "FLAIR")]
    written = volume_bundles.document(name="brain-mr", channels=roles)
    network = volume_bundles.linear([[1.0, 1.0]] * 2, [0.0, 1.0])
    marked = volume_bundles.golden(lambda image: image[0] > 0, channels=2)
    volume_bundles.write_segmenter(tmp_path / "models", network, written, marked)
    errors = [str(problem) for problem in checked(GOOD, tmp_path).errors]
    assert any(
        "pipelines[0].bundle: is 'brain-mr', whose model looks at several series together, T1, FLAIR, and "
        "nobody says which of a study is which; wanted roles" in one
        for one in errors
    )
    assert any("edge analyze --series T1=DIR" in one for one in errors)


T1 = "{role: T1, series_description: '(?i)t1', contrast_bolus: false}"
FLAIR = "{role: FLAIR, series_description: flair}"


def roles_of(*roles: str) -> str:
    """A good file whose pipeline has these roles."""
    return GOOD.replace(
        "select: {modalities: [MR]}", f"select: {{modalities: [MR]}}, roles: [{', '.join(roles)}]"
    )


def test_roles_that_are_those_of_the_bundle_are_in_order(tmp_path: Path) -> None:
    volume_bundles.write_pair(tmp_path / "models", name="brain-mr")
    of_mr = [str(one) for one in checked(roles_of(T1, FLAIR), tmp_path).errors]
    assert len(of_mr) == 2
    assert "pipelines[0].roles: let T1 be MR, and 'brain-mr' takes CT for it" in of_mr[0]
    assert checked(roles_of(T1, FLAIR).replace("[MR]", "[CT]"), tmp_path).errors == ()
    other = roles_of(T1, FLAIR.replace("FLAIR", "T2")).replace("[MR]", "[CT]")
    (unlike,) = checked(other, tmp_path).errors
    assert "are T1, T2, and 'brain-mr' takes T1, FLAIR; wanted exactly these" in str(unlike)


def test_roles_for_a_bundle_of_one_series_are_an_error(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models", name="brain-mr")
    (found,) = checked(roles_of(T1, FLAIR), tmp_path).errors
    assert "pipelines[0].roles: are T1, FLAIR, and 'brain-mr' takes one series; wanted none" in str(found)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([T1], "roles has one; wanted two or more"),
        ([T1, T1], "role T1 is there twice"),
        ([T1, "{role: FLAIR}"], "role FLAIR fits every series; wanted at least one of modalities"),
        (["{role: T1, series_description: '(?i)t1'}", T1.replace("role: T1", "role: T1c")], "role T1 too"),
        ([T1, "{role: PET, modalities: [PT]}"], "role PET wants PT, which select.modalities leaves out"),
        ([T1, FLAIR.replace("flair", "'(flair'")], "is no regular expression"),
        ([T1, FLAIR.replace("flair", "'.*'")], "fits what says nothing at all"),
        ([T1, FLAIR.replace("flair", "'((\\w+) ?)+dark'")], "repeats a group that repeats or chooses"),
        ([T1, FLAIR.replace("flair", "'(dark|fluid)+'")], "repeats a group that repeats or chooses"),
    ],
)
def test_roles_that_can_never_be_told_apart_are_refused(
    tmp_path: Path, roles: list[str], message: str
) -> None:
    assert message in str(checked(roles_of(*roles), tmp_path).errors[0])


def test_a_pipeline_that_selects_what_a_bundle_for_pictures_does_not_look_at_is_an_error(
    tmp_path: Path,
) -> None:
    def names_it(document: dict[str, Any]) -> None:
        document["input"]["modalities"] = ["MR"]

    for name, edit in {"any": None, "slices": names_it}.items():
        write_task_bundle(tmp_path / "models", "picture-detection", name=name, edit=edit or (lambda _: None))
    asked = GOOD.replace("[MR]", "[CR, MR], slices_min: 3")
    errors = {
        name: [str(problem) for problem in checked(asked.replace("brain-mr", name), tmp_path).errors]
        for name in ("any", "slices")
    }
    assert any("select.modalities[1]: is MR, which 'any'" in one for one in errors["any"])
    assert any("select.modalities[0]: is CR, which 'slices'" in one for one in errors["slices"])
    assert all(len(found) == 2 for found in errors.values())
    assert all("select.slices_min: is for volumes" in found[1] for found in errors.values())


KEY = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def fleet_of(text: str) -> str:
    """A good file with a section `fleet`, its keys in order."""
    return with_line(f"fleet: {{keys: [{{name: k, public_key: '{KEY}'}}], {text}}}")


def test_without_a_section_there_is_no_fleet() -> None:
    config = checked(GOOD).config
    assert config is not None
    assert config.fleet is None


def test_a_fleet_is_believed_by_its_keys(tmp_path: Path) -> None:
    config = checked(fleet_of("mirror: packages"), tmp_path).config
    assert config is not None
    assert config.fleet is not None
    assert [(root.name, len(root.public_key)) for root in config.fleet.roots()] == [("k", 32)]
    assert (config.fleet.mirror, config.fleet.mirror_folder) == (
        str(tmp_path / "packages"),
        tmp_path / "packages",
    )
    assert (config.fleet.frozen, config.fleet.groups, config.fleet.case_quiet_min) == (False, (), 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: [a, a]", "fleet: groups: names must differ, seen a, a"),
        ("groups: [a/b]", "fleet.groups[0]: is 'a/b'"),
        ("local: [a b]", "fleet.local[0]: is 'a b'; wanted a path such as pipelines.brain-mr.deadline_s"),
        ("local: [drain]", "fleet.local[0]: is 'drain', which is no option"),
        ("case_quiet_min: -1", "fleet.case_quiet_min: is -1; allowed: a number from 0 to 1440"),
        ("mirror: 'ftp://mirror/a'", "fleet.mirror: wanted a folder, or an address such as"),
        ("mirror: 'http://me:hidden@mirror/a'", "fleet.mirror: wanted a folder, or an address such as"),
        ("download_max_kb_s: -1", "fleet.download_max_kb_s: is -1; allowed: "),
        ("frozen: 1", "fleet.frozen: is 1; allowed: "),
        ("server: x", "fleet.server: unknown key; allowed: keys, groups, local"),
    ],
)
def test_what_is_wrong_with_a_fleet_is_said(text: str, message: str) -> None:
    listed = said(fleet_of(text))
    assert message in listed
    assert "hidden" not in listed


def test_a_fleet_without_a_key_and_two_keys_of_one_name_are_refused() -> None:
    assert "fleet.keys: missing" in said(with_line("fleet: {}"))
    assert "fleet.keys: is a list of 0; allowed: a list of 1 to 32" in said(with_line("fleet: {keys: []}"))
    twice = f"{{name: k, public_key: '{KEY}'}}"
    assert "fleet: keys: names must differ" in said(with_line(f"fleet: {{keys: [{twice}, {twice}]}}"))


def test_names_that_topics_need_otherwise_are_refused() -> None:
    assert "site: id is 'fleet', and <root>/fleet/…" in said(GOOD.replace("id: demo", "id: fleet"))
    assert "device: id is 'group', and <site>/group/…" in said(GOOD.replace("id: box-1", "id: group"))


def test_a_mirror_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    def warned(text: str) -> list[str]:
        return [one.place for one in checked(text, tmp_path).warnings if one.place != "bundles.roots[0]"]

    assert warned(fleet_of("mirror: nowhere")) == ["fleet.mirror"]
    assert warned(fleet_of("mirror: 'http://mirror.example/packages'")) == []
