"""Keys, certificates of a small site, and what a broker is told, as `edge fleet` makes them."""

from __future__ import annotations

import datetime
import json
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from edge.bundles.signature import public_key_of
from edge.cli.app import app
from edge.cli.fleet_desk import check_certificate
from edge.domain.errors import ConfigurationError, EdgeError, SecretError
from edge.fleet.access import of_device, of_operator
from edge.fleet.authority import Authority, Use
from edge.fleet.certificates import make_request
from edge.fleet.enrol import enrol, enrol_broker
from edge.fleet.mosquitto import acl_with, acl_without, mosquitto_acl

NOW = datetime.datetime(2026, 11, 22, 14, tzinfo=datetime.UTC)
NAME = "st-anna/or-3"
ACCESS = of_device("edge/v1", NAME)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca", now=lambda: NOW)
    made.make("devices of St. Anna")
    return made


def request(name: str = NAME, *, key: object = None) -> bytes:
    """A request, made elsewhere, that asks for more than it should."""
    private = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject)
    asked = asked.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    algorithm = None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return asked.sign(private, algorithm).public_bytes(Encoding.PEM)  # type: ignore[arg-type]  # any private key


def signed(authority: Authority, asked: bytes, *, name: str = NAME) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.sign(asked, name=name, days=30))


# ── the authority ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_holds_what_was_decided_and_nothing_that_was_asked_for(authority: Authority) -> None:
    certificate = signed(authority, request())
    assert certificate.subject.rfc4514_string() == f"CN={NAME}"
    assert certificate.not_valid_before_utc == NOW - datetime.timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=30)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    )


def test_openssl_believes_what_was_signed_and_not_what_was_taken_back(
    tmp_path: Path, authority: Authority
) -> None:
    (tmp_path / "one.crt").write_bytes(authority.sign(request(), name=NAME, days=30))
    (tmp_path / "broker.crt").write_bytes(
        authority.sign(
            request("broker"), name="broker", use=Use.BROKER, hosts=["b.example", "10.0.0.5"], days=30
        )
    )

    def verify(file: str, *more: str) -> str:
        at = (
            "-attime",
            str(int(NOW.timestamp())),
            "-CAfile",
            str(authority.certificate_file),
            "-x509_strict",
        )
        asked = ["openssl", "verify", *at, *more, str(tmp_path / file)]
        done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    listed = ("-crl_check", "-CRLfile", str(authority.revoked_file))
    assert verify("one.crt", "-purpose", "sslclient", *listed).endswith("OK\n")
    assert "error" in verify("one.crt", "-purpose", "sslserver")
    assert verify("broker.crt", "-purpose", "sslserver", "-verify_hostname", "b.example").endswith("OK\n")
    assert verify("broker.crt", "-verify_ip", "10.0.0.5").endswith("OK\n")
    assert "error" in verify("broker.crt", "-purpose", "sslclient")
    assert authority.revoke(NAME) == 1
    assert "certificate revoked" in verify("one.crt", *listed)
    assert verify("broker.crt", *listed).endswith("OK\n")


@pytest.mark.parametrize("is_old", [False, True], ids=["written down", "older"])
@pytest.mark.parametrize(("first", "second"), [(NAME, "alice"), ("alice", NAME)])
def test_an_authority_vouches_for_devices_or_for_people(
    tmp_path: Path, authority: Authority, first: str, second: str, is_old: bool
) -> None:
    accesses = {NAME: ACCESS, "alice": of_operator("edge/v1", "alice")}
    enrol(accesses[first], folder=tmp_path / "first", authority=authority)
    (authority.folder / "whom").rename(authority.folder / ("whom.old" if is_old else "whom"))
    enrol(accesses[first], folder=tmp_path / "again", authority=authority)
    with pytest.raises(ConfigurationError, match="wanted the authority for"):
        enrol(accesses[second], folder=tmp_path / "second", authority=authority)
    assert not (tmp_path / "second").exists()


def test_the_authority_of_a_door_of_a_broker_is_for_those_who_come_in_there(
    tmp_path: Path, authority: Authority
) -> None:
    people = Authority(tmp_path / "people", now=lambda: NOW)
    people.make("people")
    enrol_broker("broker", hosts=["b"], port=1, folder=tmp_path / "b", devices=authority, people=people)
    with pytest.raises(ConfigurationError, match="people: vouches for people; wanted the authority for dev"):
        enrol(ACCESS, folder=tmp_path / "or-3", authority=people)


def test_every_certificate_of_a_name_is_taken_back_and_stays_so(authority: Authority) -> None:
    signed(authority, request())
    signed(authority, request())
    signed(authority, request("st-anna/or-4"), name="st-anna/or-4")
    assert authority.revoke(NAME) == 2
    signed(authority, request())
    assert authority.revoke(NAME) == 1
    assert authority.revoke(NAME) == 0
    assert len(x509.load_pem_x509_crl(authority.revoked_file.read_bytes())) == 3
    with pytest.raises(ConfigurationError, match="has signed no certificate for st-anna/or-5"):
        authority.revoke("st-anna/or-5")


def test_the_list_of_those_taken_back_is_believed_as_long_as_the_authority(authority: Authority) -> None:
    """One that is overdue would keep everybody out."""
    listed = x509.load_pem_x509_crl(authority.revoked_file.read_bytes())
    certificate = x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    assert listed.next_update_utc == certificate.not_valid_after_utc


@pytest.mark.parametrize(("day", "why"), [(-1, "counts from"), (31, "expired on 2026-12-22")])
def test_an_own_certificate_that_does_not_count_is_said_before_anybody_is_asked(
    tmp_path: Path, authority: Authority, day: int, why: str
) -> None:
    file = tmp_path / "alice.crt"
    file.write_bytes(authority.sign(request("alice"), name="alice", days=30))
    check_certificate(file, round(NOW.timestamp() * 1e9))
    check_certificate(None, 0)
    with pytest.raises(ConfigurationError, match=rf"alice\.crt {why}"):
        check_certificate(file, round((NOW + datetime.timedelta(days=day)).timestamp() * 1e9))


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())],
    ids=["ed25519", "P-384"],
)
def test_keys_of_other_kinds_are_signed(authority: Authority, key: object) -> None:
    assert (
        signed(authority, request(key=key)).public_key()
        == x509.load_pem_x509_csr(request(key=key)).public_key()
    )


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (b"", "is no request for a certificate in PEM"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "is no request"),
        (request("st-anna/or-4"), "the request is for 'st-anna/or-4'; wanted it for 'st-anna/or-3'"),
        (request(key=ec.generate_private_key(ec.SECP192R1())), "wanted a key on P-256 or P-384"),
        (request(key=rsa.generate_private_key(65537, 1024)), "RSA of 2048 bits"),
    ],
)
def test_a_request_that_is_not_in_order_is_refused(authority: Authority, asked: bytes, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        authority.sign(asked, name=NAME, days=30)
    assert why in str(refused.value)
    assert authority.issued() == []


def test_a_request_with_a_key_that_its_maker_does_not_have_is_refused(authority: Authority) -> None:
    stolen = x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER)
    altered = stolen[:-4] + bytes(4)
    with pytest.raises(ConfigurationError, match="is not signed by the key that it holds"):
        authority.sign(x509.load_der_x509_csr(altered).public_bytes(Encoding.PEM), name=NAME, days=30)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", f"{'s' * 40}/{'d' * 40}"])
def test_a_name_that_no_certificate_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a certificate"):
        make_request(name, key_file=tmp_path / "k", request_file=tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_for_their_owner_and_never_overwritten(tmp_path: Path, authority: Authority) -> None:
    enrol(ACCESS, folder=tmp_path / "out", authority=authority)
    for secret in (tmp_path / "out" / "or-3.key", authority.folder / "ca.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    with pytest.raises(SecretError, match=r"or-3\.key: is there already"):
        enrol(ACCESS, folder=tmp_path / "out", authority=authority)
    with pytest.raises(SecretError, match="holds an authority already"):
        authority.make("another")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "ca.key").chmod(0o644), "others may read it"),
        (lambda folder: (folder / "ca.key").write_bytes(b"x"), "is no private key in PEM"),
        (lambda folder: (folder / "ca.key").unlink(), "No such file"),
        (lambda folder: (folder / "ca.crt").write_bytes(b"x"), "is no certificate in PEM"),
        (lambda folder: (folder / "revoked.json").write_bytes(b"[1]"), "is damaged"),
    ],
)
def test_an_authority_that_is_damaged_takes_nothing_back_in_silence(
    authority: Authority, spoil: object, why: str
) -> None:
    signed(authority, request())
    assert callable(spoil)
    spoil(authority.folder)
    with pytest.raises(SecretError) as refused:
        authority.revoke(NAME)
    assert why in str(refused.value)


def test_a_broker_needs_a_name_and_two_authorities(tmp_path: Path, authority: Authority) -> None:
    def broker(people: Authority, hosts: list[str]) -> None:
        enrol_broker("b", hosts=hosts, port=8883, folder=tmp_path / "b", devices=authority, people=people)

    with pytest.raises(ConfigurationError, match="is reached under no name"):
        broker(Authority(tmp_path / "people", now=lambda: NOW), [])
    with pytest.raises(ConfigurationError, match="vouches for devices; wanted another authority for people"):
        broker(authority, ["localhost"])
    people = Authority(tmp_path / "people", now=lambda: NOW)
    people.make("people")
    with pytest.raises(ConfigurationError, match="is no name of a host and no address"):
        broker(people, ["not a host"])


# ── the access list ───────────────────────────────────────────────────────────────────────────────────────


def test_an_access_list_is_brought_up_to_date_client_by_client() -> None:
    other, text = (
        of_operator("edge/v1", "alice"),
        "# ours\ntopic read $SYS/#\n\nuser old\ntopic read a\n\npattern read %u\n",
    )
    once = acl_with(acl_with(text, ACCESS), other)
    assert once == text.rstrip() + "\n\n" + mosquitto_acl(ACCESS) + "\n" + mosquitto_acl(other)
    wider = of_device("edge/v1", NAME, ["imaging"])
    assert acl_with(once, wider).count(f"user {NAME}\n") == 1
    assert "group/imaging" in acl_with(once, wider)
    assert acl_without(acl_without(once, NAME), "alice").split() == text.split()
    assert acl_without(text, "old") == "# ours\ntopic read $SYS/#\n\npattern read %u\n"
    assert acl_without(text, "ol") == text


# ── as it is typed ────────────────────────────────────────────────────────────────────────────────────────


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["fleet", *map(str, words)])


def good(*words: object) -> str:
    done = typed(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refusal(*words: object) -> str:
    done = typed(*words)
    assert isinstance(done.exception, EdgeError), done.output
    return str(done.exception)


def test_who_makes_a_broker_is_told_how_it_is_installed(tmp_path: Path) -> None:
    for name in ("devices", "people"):
        good("authority", tmp_path / name)
    words = ("broker", "--as", "broker", "--ca", tmp_path / "devices", "--people", tmp_path / "people")
    typed = [*map(str, words), "--host", "b.example", "--out", str(tmp_path / "b")]
    said = CliRunner().invoke(app, ["fleet", "enrol", *typed]).stderr
    assert f"cp {tmp_path}/b/* /etc/mosquitto/edge/ && chown mosquitto: /etc/mosquitto/edge/*" in said
    assert f"not as root: mosquitto -c {tmp_path}/b/mosquitto.conf" in said


def test_a_small_site_is_made_in_seven_commands(tmp_path: Path) -> None:
    devices, people, acl = tmp_path / "ca-devices", tmp_path / "ca-people", tmp_path / "broker" / "acl"
    good("authority", devices)
    good("authority", people)
    good(
        "enrol",
        "broker",
        "--as",
        "broker",
        "--ca",
        devices,
        "--people",
        people,
        "--host",
        "b.example",
        "--out",
        acl.parent,
    )
    said = yaml.safe_load(good("keygen", "fleet-2026", "--out", tmp_path / "keys"))
    assert said["fleet"]["keys"][0]["name"] == "fleet-2026"
    assert public_key_of(said["fleet"]["keys"][0]["public_key"])
    where = ("--host", "b.example", "--acl", acl)
    device = yaml.safe_load(good("enrol", NAME, "--ca", devices, "--out", tmp_path / "or-3", *where))["mqtt"]
    assert (device["host"], device["port"]) == ("b.example", 8883)
    assert all(
        Path(one).is_file() for one in (*list(device["tls"].values())[:2], device["tls"]["key"]["file"])
    )
    operator = yaml.safe_load(
        good("enrol", "alice", "--as", "operator", "--ca", people, "--out", tmp_path / "alice", *where)
    )["broker"]
    assert (operator["host"], operator["port"]) == ("b.example", 8884)
    assert all(Path(operator[name]).is_file() for name in ("ca_file", "certificate_file", "key_file"))
    assert f"user {NAME}\n" in acl.read_text()
    assert "user alice\n" in acl.read_text()
    good("revoke", NAME, "--ca", devices, "--acl", acl, "--crl", acl.parent / "devices-crl.pem")
    assert f"user {NAME}\n" not in acl.read_text()
    assert len(x509.load_pem_x509_crl((acl.parent / "devices-crl.pem").read_bytes())) == 1


def test_a_key_that_was_made_on_the_device_never_leaves_it(tmp_path: Path) -> None:
    good("authority", tmp_path / "ca")
    good("enrol", NAME, "--out", tmp_path / "box")
    assert sorted(path.name for path in (tmp_path / "box").iterdir()) == [
        "or-3.acl",
        "or-3.csr",
        "or-3.dynsec.json",
        "or-3.key",
    ]
    good(
        "enrol",
        NAME,
        "--request",
        tmp_path / "box" / "or-3.csr",
        "--ca",
        tmp_path / "ca",
        "--out",
        tmp_path / "desk",
    )
    assert sorted(path.name for path in (tmp_path / "desk").iterdir()) == [
        "ca.crt",
        "or-3.acl",
        "or-3.crt",
        "or-3.dynsec.json",
    ]


def test_an_administrator_reaches_everything_below_the_root_and_nothing_else(tmp_path: Path) -> None:
    good("enrol", "root", "--as", "administrator", "--out", tmp_path, "--root", "x/y")
    assert (tmp_path / "root.acl").read_text() == "user root\ntopic readwrite x/y/#\ntopic read $SYS/#\n"


@pytest.mark.parametrize("kind", ["operator", "receiver", "theatre", "bridge"])
def test_everybody_else_is_enrolled_alike(tmp_path: Path, kind: str) -> None:
    confined = {"theatre": ("--device", NAME)}.get(kind, ("--site", "st-anna"))
    said = good("enrol", "someone", "--as", kind, *confined, "--out", tmp_path, "--host", "b.example")
    assert "b.example" in said
    asked = json.loads((tmp_path / "someone.dynsec.json").read_text())["commands"]
    assert [one["command"] for one in asked] == ["createRole", "createClient"]
    assert "edge/v1/st-anna" in (tmp_path / "someone.acl").read_text()
    assert "edge/v1/+/" not in (tmp_path / "someone.acl").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("or-3",), "is no device; wanted SITE/DEVICE"),
        (("fleet/or-3",), "no site may be called 'fleet'"),
        (("st-anna/group",), "no device may be called 'group'"),
        ((NAME, "--site", "a"), "--site: is for operator, receiver, bridge, and not for --as device"),
        (("a", "--as", "operator", "--group", "g"), "--group: is for device"),
        (("a", "--as", "theatre"), "speaks for no device"),
        (("a", "--as", "bridge"), "wanted --site once"),
        ((NAME, "--people", "x"), "--people: is for broker"),
        ((NAME, "--request", "/none"), "wanted a request for a certificate"),
        ((NAME, "--ca", "/none"), "wanted the key of an authority"),
        ((NAME, "--root", "edge/#"), "is no beginning of topics"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    assert why in refusal("enrol", *words, "--out", tmp_path / "out")
    assert list((tmp_path / "out").glob("*")) == []


def test_a_signing_key_has_a_name_that_documents_can_give(tmp_path: Path) -> None:
    assert "is no name for a key" in refusal("keygen", "a b", "--out", tmp_path)
    good("keygen", "fleet-2026", "--out", tmp_path)
    assert "is there already" in refusal("keygen", "fleet-2026", "--out", tmp_path)
