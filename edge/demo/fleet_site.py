"""What the demo of the fleet stands on: authorities, keys, a broker that asks everybody for a certificate."""

from __future__ import annotations

import datetime
import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from edge.bundles.package import pack
from edge.bundles.seal import seal
from edge.bundles.signature import make_key, sign
from edge.fleet.access import of_device, of_operator, of_receiver
from edge.fleet.authority import Authority
from edge.fleet.enrol import add_to_acl, enrol, enrol_broker
from edge.kit.topics import ROOT

SITE: Final = "demo"
REAL: Final = "theatre-1"
SIMULATED: Final = tuple(f"box-{number:02d}" for number in range(1, 11))
DEVICES_PORT: Final = 18983
PEOPLE_PORT: Final = DEVICES_PORT + 1
DOOR_PORT: Final = 11113
KEY: Final = "fleet-demo"
MODELS_KEY: Final = "models-demo"
BUNDLE: Final = "tissue-oxygen"
MISFIT: Final = "brain-mr"  # for volumes: it cannot look at spectra


@dataclass(frozen=True, slots=True)
class FleetSite:
    """Where everything lies.

    Attributes:
        folder: All of it.
        broker: mosquitto.conf.
        devices: Folder with the certificates of devices.
        people: Folder with those of all others.
        public_key: Of the key that signs documents, as text.
        models_key: Of the key that signs bundles, as text.
    """

    folder: Path
    broker: Path
    devices: Path
    people: Path
    public_key: str
    models_key: str

    @property
    def settings(self) -> Path:
        """`fleet.yaml` of the operator."""
        return self.folder / "fleet.yaml"

    @property
    def config(self) -> Path:
        """The YAML of the real daemon."""
        return self.folder / f"{REAL}.yaml"

    @property
    def state(self) -> Path:
        """State folder of the real daemon."""
        return self.folder / "state"


def found(folder: Path) -> FleetSite:
    """Make a site: what `edge fleet authority`, `keygen` and `enrol` do, once for everybody.

    Args:
        folder: Made anew.

    Raises:
        SecretError: It cannot be written to.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for_devices, for_people = (_authority(folder / f"ca-{who}", who) for who in ("devices", "people"))
    broker, devices, people = (folder / name for name in ("broker", "devices", "people"))
    hosts = ["localhost", "127.0.0.1"]
    enrol_broker(
        "broker", hosts=hosts, port=DEVICES_PORT, folder=broker, devices=for_devices, people=for_people
    )
    for device in (REAL, *SIMULATED):
        access = of_device(ROOT, f"{SITE}/{device}", groups=["all"])
        enrol(access, folder=devices, authority=for_devices)
        add_to_acl(broker / "acl", access)
    for access in (of_operator(ROOT, "operator"), of_receiver(ROOT, "receiver")):
        enrol(access, folder=people, authority=for_people)
        add_to_acl(broker / "acl", access)
    return FleetSite(
        folder=folder,
        broker=broker / "mosquitto.conf",
        devices=devices,
        people=people,
        public_key=make_key(folder / "fleet.key", folder / "fleet.pub"),
        models_key=make_key(folder / "models.key", folder / "models.pub"),
    )


def _authority(folder: Path, who: str) -> Authority:
    made = Authority(folder, now=lambda: datetime.datetime.now(datetime.UTC))
    made.make(f"demo {who}")
    return made


def write_settings(site: FleetSite) -> None:
    """Write what the operator's tool reads, and the YAML of the real daemon."""
    _write(
        site.settings,
        {
            "broker": {
                "host": "127.0.0.1",
                "port": PEOPLE_PORT,
                "ca_file": str(site.people / "ca.crt"),
                "certificate_file": str(site.people / "operator.crt"),
                "key_file": str(site.people / "operator.key"),
            },
            "operator": "you",
            "signing": {"key": KEY, "private_file": str(site.folder / "fleet.key")},
            "state": str(site.folder / "operator"),
        },
    )
    _write(site.config, _real(site))


def _real(site: FleetSite) -> Mapping[str, Any]:
    """Return the configuration of a daemon with a door, a thermal camera and a hyperspectral camera."""
    tls = {
        "ca_file": str(site.devices / "ca.crt"),
        "certificate_file": str(site.devices / f"{REAL}.crt"),
        "key": {"file": str(site.devices / f"{REAL}.key")},
    }
    door = {"kind": "dicom", "name": "door", "host": "127.0.0.1", "port": DOOR_PORT}
    thermal = {"kind": "thermal", "name": "thermo", "folder": str(site.folder / "thermal"), "after": "keep"}
    cubes = {"kind": "hyperspectral", "name": "cubes", "path": str(site.folder / "measured" / "cubes")}
    return {
        "site": {"id": SITE},
        "device": {"id": REAL, "room": "Theatre 1"},
        "state": {"folder": str(site.state), "reserve_mb": 256},
        "sources": [
            {**door, "allow": [{"network": "127.0.0.1"}]},
            {**thermal, "calibration": {"scale": {"kind": "linear", "kelvin_per_count": 0.01}}},
            {**cubes, "settle_s": 0.5, "after": "remove"},
        ],
        "assembly": {"quiet_s": 1.0, "deadline_s": 60.0},
        "pipelines": [
            {"kind": "pixel-spectra", "name": "oxygen", "bundle": BUNDLE, "sources": ["cubes"]},
            {
                "kind": "thermal",
                "name": "warmth",
                "sources": ["thermo"],
                "spot_enter_celsius": 37.0,
                "spot_stay_celsius": 36.0,
                "pace": {"summary_s": 2},
            },
        ],
        "bundles": {
            "roots": [str(Path(__file__).parents[2] / "models")],
            "trust": [{"name": MODELS_KEY, "public_key": site.models_key}],
            "allow_unsigned": True,
        },
        "mqtt": {"host": "127.0.0.1", "port": DEVICES_PORT, "tls": tls},
        "health": {"period_s": 2.0},
        "retention": {"done_h": 1.0, "soft_free_mb": 512},
        "fleet": {"keys": [{"name": KEY, "public_key": site.public_key}], "groups": ["all"]},
    }


def new_version(site: FleetSite, version: str) -> Mapping[str, Any]:
    """Make a signed package of the bundle under another version; return how documents refer to it.

    Raises:
        BundleRejectedError, SecretError: It cannot be made.
    """
    folder = site.folder / "packages" / version / BUNDLE
    source = Path(__file__).parents[2] / "models" / BUNDLE
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = folder / "manifest.yaml"
    text = re.sub(r"(?m)^version: .*$", f"version: {version}", manifest.read_text(), count=1)
    manifest.write_text(text)
    seal(manifest)
    sign(folder, key_file=site.folder / "models.key", key=MODELS_KEY)
    package = pack(folder, folder.parent)
    content = package.read_bytes()
    return {
        "version": version,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "url": package.resolve().as_uri(),
        "size_bytes": len(content),
    }


def write_rollout(site: FleetSite, name: str, **brought: Any) -> Path:
    """Write the file of a roll-out for all devices, in which the real one is the canary."""
    path = site.folder / f"{name}.yaml"
    select = {"sites": [SITE], "first": [REAL]}
    _write(path, {"select": select, **brought, "apply": {"confirm_s": 10.0}})
    return path


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
