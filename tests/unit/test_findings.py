"""How findings are written, wrapped and made anonymous."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import ConfigurationError, SecretError
from edge.domain.finding import Code, Finding, Measurement, Observation, StreamSeen, Verdict
from edge.findings.envelope import wrap
from edge.findings.identity import KeyedHash, load_or_create_key
from edge.findings.ids import uuid7
from edge.findings.json_schema import schema
from edge.findings.mqtt_json import DISCLAIMER, SCHEMA, encode, to_dict
from edge.kit.topics import device_prefix
from tests.builders.findings import BRAIN, VOLUME, finding, live_finding
from tests.fakes.clock import FakeClock

COMMITTED = Path(__file__).parents[2] / "docs" / "schema" / "finding-1.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())
words = st.text(max_size=20)
codes = st.builds(
    Code, st.sampled_from(["SCT", "DCM", "UCUM", "99EDGE"]), words.filter(bool), words.filter(bool)
)
measurements = st.builds(
    Measurement,
    codes,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["mL", "mm", "1"]),
    st.none() | codes,
)
observations = st.one_of(
    st.builds(
        Observation,
        code=codes,
        verdict=st.sampled_from([Verdict.PRESENT, Verdict.ABSENT]),
        score=st.none() | st.floats(0, 1),
        measurements=st.lists(measurements, max_size=4).map(tuple),
        reason=words,
        segment=words,
    ),
    st.builds(Observation, code=codes, verdict=st.just(Verdict.NOT_ASSESSED), reason=words.filter(bool)),
)


def document(**changes: Any) -> dict[str, Any]:
    return to_dict(finding(**changes), site="site", device="device")


def seen_of(finding: Finding) -> StreamSeen:
    assert isinstance(finding.seen, StreamSeen)
    return finding.seen


def test_the_schema_is_a_schema_and_the_committed_copy_is_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(COMMITTED.read_text()) == schema(), "edge schema finding > docs/schema/finding-1.json"


@given(
    observation=observations,
    revision=st.integers(1, 99),
    study=st.sampled_from(["", "f" * 32]),
    notes=st.lists(words.filter(bool), max_size=3).map(tuple),
    latency_ms=st.dictionaries(words, st.floats(0, 1e9), max_size=4),
    has_model=st.booleans(),
    observed_at_ns=st.integers(0, 4_000_000_000_000_000_000),
)
def test_every_finding_fulfils_the_schema(has_model: bool, **changes: Any) -> None:
    changes |= {} if has_model else {"model": None}
    written = encode(finding(**changes), site="site", device="device")
    VALIDATOR.validate(json.loads(written))


@given(
    phase=st.sampled_from(["begin", "summary", "end"]),
    timed_by=st.sampled_from(["stream", "arrival", None]),
    calibration=st.none() | st.just(seen_of(live_finding()).calibration),
    frames=st.integers(0, 10_000_000),
)
def test_every_finding_of_a_live_source_fulfils_the_schema(**changes: Any) -> None:
    one = live_finding()
    one = replace(one, seen=replace(seen_of(one), **changes))
    written = json.loads(encode(one, site="site", device="device"))
    VALIDATOR.validate(written)
    assert written["series"] is None
    assert written["stream"]["frames"] == changes["frames"]


@pytest.mark.parametrize(
    "alter",
    [
        lambda one: one.update(extra=1),
        lambda one: one.pop("disclaimer"),
        lambda one: one.update(verdict="MAYBE"),
        lambda one: one.update(verdict="NOT_ASSESSED"),
        lambda one: one.update(verdict="NOT_ASSESSED", measurements=[]),
        lambda one: one.update(subject="1.2.840.113619"),
        lambda one: one["model"].update(sha256="abc"),
        lambda one: one["measurements"][0].update(value="many"),
        lambda one: one["code"].pop("meaning"),
        lambda one: one.update(score=1.5),
        lambda one: one.update(finding_id="e4b8a3a0-5d3c-4b6e-8a8e-000000000000"),
    ],
)
def test_the_schema_refuses_what_is_not_a_finding(alter: Any) -> None:
    one = document()
    alter(one)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(one)


def test_a_finding_reads_as_it_should() -> None:
    one = document()
    assert one["schema"] == SCHEMA == "edge.finding/1"
    assert one["disclaimer"] == DISCLAIMER == "research use, not a medical device"
    assert one["observed_at"] == "2023-11-14T22:13:20.123Z"
    assert one["code"] == {"system": "SCT", "value": "12738006", "meaning": "Brain structure"}
    assert one["measurements"][0]["of"] is None
    assert one["measurements"][1]["of"]["meaning"] == "Cerebral cortex structure"
    assert list(one["latency_ms"]) == ["assemble", "infer"]
    assert one["model"]["provider"] == "CPU"
    assert one["model"]["signature"] == "north-clinic"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_never_leaves(value: float) -> None:
    observation = Observation(
        code=BRAIN, verdict=Verdict.PRESENT, measurements=(Measurement(VOLUME, value, "mL"),)
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(finding(observation=observation), site="s", device="d")


def test_a_reason_that_is_no_unicode_leaves_as_something_readable() -> None:
    odd = Observation(code=BRAIN, verdict=Verdict.NOT_ASSESSED, reason="scan\udcff.dcm \0 unreadable")
    written = encode(finding(observation=odd), site="s", device="d")
    assert json.loads(written)["reason"] == "scan?.dcm \0 unreadable"


def test_the_envelope_carries_one_id_the_count_and_the_digest_of_the_weights() -> None:
    one = finding()
    sealed = wrap(one, site="s", device="d", sequence=41)
    assert sealed.dedupe_id == one.finding_id == json.loads(sealed.body)["finding_id"]
    assert sealed.channel == "finding/brain-mr"
    assert sealed.subject == one.subject
    assert sealed.properties == {"seq": "41", "model_digest": f"sha256:{'ab' * 32}"}
    assert wrap(finding(model=None), site="s", device="d", sequence=1).properties == {"seq": "1"}


def test_ids_are_uuids_of_version_7_that_sort_by_time_and_never_repeat() -> None:
    clock = FakeClock()
    ids = []
    for _ in range(200):
        ids.append(uuid7(clock))
        clock.advance(0.001)
    assert ids == sorted(ids)
    assert len({uuid7(clock) for _ in range(1000)}) == 1000
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert uuid.UUID(ids[0]).int >> 80 == FakeClock().utc_ns() // 1_000_000


def test_hashes_are_stable_keyed_and_say_nothing() -> None:
    uid = "1.2.840.113619.2.1"
    here, elsewhere = KeyedHash(b"k" * 32), KeyedHash(b"l" * 32)
    assert here.subject(uid) == KeyedHash(b"k" * 32).subject(uid)
    assert len({here.subject(uid), here.study(uid), elsewhere.subject(uid), elsewhere.study(uid)}) == 4
    assert len(here.subject(uid)) == 32
    assert here.study("") == ""


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path) == key
    path.chmod(0o640)
    with pytest.raises(SecretError, match="0640"):
        load_or_create_key(path)


def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(SecretError, match="5 bytes"):
        load_or_create_key(path)
    with pytest.raises(SecretError, match="3 bytes"):
        KeyedHash(b"abc")


@pytest.mark.parametrize("bad", ["", "a/b", "+", "a#", "-a", "a b", "ä", "x" * 64])
def test_a_name_that_would_break_a_topic_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="site"):
        device_prefix(site=bad, device="d")
    with pytest.raises(ConfigurationError, match="device"):
        device_prefix(site="s", device=bad)
    assert device_prefix(site="s.1", device="or-3") == "edge/v1/s.1/or-3"


@pytest.mark.parametrize("bad", ["", "/edge", "edge/", "edge//v1", "edge/+", "#", "$SYS"])
def test_a_root_that_would_break_a_topic_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="root"):
        device_prefix(site="s", device="d", root=bad)
