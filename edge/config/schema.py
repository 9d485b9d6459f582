"""What an operator may say: one strict tree, every option with its unit, its range and a sentence.

A key that is not here is refused. A path may be relative: it then starts at the folder of the YAML file.
A secret is never written into the file; `Secret` says where it lies.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_AE_TITLE_PATTERN = r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$"
_TOPIC_PATTERN = r"^[^/+#$\s][^+#\s]{0,126}[^/+#\s]$"
_CREDENTIAL_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$"
_HOST_PATTERN = r"^[A-Za-z0-9_.:%-]{1,253}$"

PATTERNS_IN_WORDS = {
    _NAME_PATTERN: "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    _AE_TITLE_PATTERN: "1 to 16 printable ASCII characters, no backslash, no space at either end",
    _TOPIC_PATTERN: "2 to 128 characters without '+', '#' or spaces, no '/' at either end",
    _CREDENTIAL_PATTERN: "the name of a systemd credential: letters, digits, '.', '_' or '-'",
    _HOST_PATTERN: "a host name or an IP address",
}


def _absolute(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, path).resolve()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as trouble:
        raise ValueError(f"{trouble}; wanted an address or a network such as 10.1.0.0/16") from None


Name = Annotated[str, Field(pattern=_NAME_PATTERN)]
AeTitle = Annotated[str, Field(pattern=_AE_TITLE_PATTERN)]
Host = Annotated[str, Field(pattern=_HOST_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
Place = Annotated[Path, AfterValidator(_absolute)]
Modality = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,16}$")]
PATTERNS_IN_WORDS[r"^[A-Z0-9]{2,16}$"] = "a DICOM modality in capitals, such as CT or MR"


class Section(BaseModel):
    """A part of the tree: strict types, no unknown keys, unchangeable once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Secret(Section):
    """Where a secret lies: exactly one of `secret` and `file`; the secret itself is never written here."""

    secret: Annotated[str, Field(pattern=_CREDENTIAL_PATTERN)] | None = Field(
        default=None,
        description="Name of a systemd credential: the file of that name in $CREDENTIALS_DIRECTORY.",
    )
    file: Place | None = Field(
        default=None,
        description="Path of a file that holds nothing else and that others may not read (mode 0600).",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.secret is None) == (self.file is None):
            raise ValueError("wanted exactly one of 'secret: NAME' and 'file: PATH'")
        return self


class Site(Section):
    """The hospital, or the part of it, that this device stands in."""

    id: Name = Field(description="Names the site in every topic: <root>/<site>/<device>/…")


class Device(Section):
    """This machine."""

    id: Name = Field(
        description="Names the device in every topic, and is its MQTT client id; unique in the site."
    )
    room: str = Field(
        default="", max_length=64, description="Where it stands, in words for people; may be empty."
    )


class State(Section):
    """What the daemon keeps on disk."""

    folder: Place = Field(
        default=Path("/var/lib/edge"),
        description="Folder for journals, received studies and the device's own key.",
    )
    reserve_mb: int = Field(
        default=2048,
        ge=16,
        le=10_000_000,
        description="Free space in MB below which nothing more is taken; senders are told to retry later.",
    )


class Caller(Section):
    """One entry of the list of who may send; what is given must match, at least one of the two is."""

    ae_title: AeTitle | None = Field(default=None, description="Calling AE title; left out: any.")
    network: Network | None = Field(
        default=None,
        description="Address or network the caller comes from, such as 10.1.0.0/16; left out: any.",
    )

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if self.ae_title is None and self.network is None:
            raise ValueError("wanted ae_title, network or both (network: 0.0.0.0/0 lets everybody in)")
        return self


class DicomTls(Section):
    """TLS for a DICOM door."""

    certificate_file: Place = Field(description="PEM file with the door's certificate and its chain.")
    key: Secret = Field(description="Where the PEM private key of that certificate lies.")
    ca_file: Place | None = Field(
        default=None,
        description="PEM file with the authorities whose clients are let in; left out: none is asked.",
    )


class DicomSource(Section):
    """A door for C-STORE and C-ECHO."""

    kind: Literal["dicom"] = Field(description="`dicom`: a listener for C-STORE and C-ECHO.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    host: Host = Field(
        default="0.0.0.0",  # noqa: S104  # scanners are elsewhere, and `allow` decides who gets in
        description="Address to listen on; 127.0.0.1 for this machine only.",
    )
    port: Port = Field(default=11112, description="TCP port to listen on; 11112 is the registered one.")
    ae_title: AeTitle = Field(default="EDGE", description="Our AE title.")
    only_own_title: bool = Field(
        default=False,
        description="Whether callers that call another AE title are refused; `allow` decides in any case.",
    )
    associations_max: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Associations open at once; one more is told to try again later.",
    )
    pdu_bytes: int = Field(
        default=131072,
        ge=4096,
        le=1_048_576,
        description="Largest PDU we accept, in bytes; larger ones are faster.",
    )
    allow: tuple[Caller, ...] = Field(
        min_length=1,
        max_length=1024,
        description="Who may send; an association that no entry matches is refused.",
    )
    tls: DicomTls | None = Field(default=None, description="Left out: no TLS.")


class FolderSource(Section):
    """A folder that is watched for files."""

    kind: Literal["folder"] = Field(
        description="`folder`: files that appear in a folder, and in folders in it."
    )
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    path: Place = Field(description="The folder; made when it is not there.")
    settle_s: float = Field(
        default=2.0,
        ge=0.05,
        le=3600,
        description="A file is taken when it has not grown or changed for this many seconds.",
    )
    after: Literal["keep", "remove"] = Field(
        default="keep",
        description="What becomes of a file once it is safely ours: it stays, or it is removed.",
    )
    nifti_modality: Modality | None = Field(
        default=None,
        description="What NIfTI files in it show (MR, CT …), for they do not say; left out: unknown.",
    )


Source = Annotated[DicomSource | FolderSource, Field(discriminator="kind")]


class Assembly(Section):
    """When a series is thought complete."""

    quiet_s: float = Field(
        default=10.0,
        ge=0.05,
        le=3600,
        description="Seconds of quiet, its associations closed, after which a series is complete.",
    )
    deadline_s: float = Field(
        default=600.0,
        ge=1,
        le=86_400,
        description="Seconds after its first instance at which a series is closed anyway.",
    )

    @model_validator(mode="after")
    def _quiet_before_deadline(self) -> Self:
        if self.quiet_s >= self.deadline_s:
            raise ValueError(
                f"quiet_s is {self.quiet_s:g}, deadline_s {self.deadline_s:g}; wanted quiet_s the smaller"
            )
        return self


class Select(Section):
    """Which series a pipeline is meant for; a series has to fulfil all of it."""

    modalities: tuple[Modality, ...] = Field(
        min_length=1, max_length=32, description="One of these modalities."
    )
    slices_min: int = Field(default=1, ge=1, le=100_000, description="At least this many slices.")
    spacing_max_mm: float = Field(
        default=1000.0, ge=0.01, le=1000, description="No side of a voxel longer than this many millimetres."
    )


class Pipeline(Section):
    """What is done with series of one kind."""

    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model looks at the series.")
    select: Select = Field(description="Which series.")
    deadline_s: float = Field(
        default=300.0,
        ge=0.1,
        le=86_400,
        description="Seconds the model may take for one volume; then NOT_ASSESSED.",
    )


class Bundles(Section):
    """Where models lie."""

    roots: tuple[Place, ...] = Field(
        min_length=1, max_length=32, description="Folders that hold bundles, searched in this order."
    )


class Engine(Section):
    """How networks are run."""

    threads: int = Field(
        default=0, ge=0, le=256, description="Threads for one network on the CPU; 0: as many as cores."
    )
    provider: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="`auto` measures what this device has and takes the fastest that answers alike.",
    )


class MqttTls(Section):
    """TLS towards the broker."""

    ca_file: Place | None = Field(
        default=None,
        description="PEM file with the authorities that vouch for the broker; left out: the system's.",
    )
    certificate_file: Place | None = Field(default=None, description="PEM file with our client certificate.")
    key: Secret | None = Field(
        default=None, description="Where the PEM private key of that certificate lies."
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.certificate_file is None) != (self.key is None):
            raise ValueError("wanted both certificate_file and key, or neither")
        return self


class Mqtt(Section):
    """The broker that findings go to; MQTT 5."""

    host: Host = Field(description="Host name or address of the broker.")
    port: Port = Field(default=1883, description="Its TCP port: 1883, or 8883 with TLS.")
    root: Annotated[str, Field(pattern=_TOPIC_PATTERN)] = Field(
        default="edge/v1", description="What every topic begins with."
    )
    tls: MqttTls | None = Field(
        default=None, description="Left out: no TLS; write {} for TLS with the system's authorities."
    )
    username: str | None = Field(default=None, min_length=1, max_length=256, description="Left out: none.")
    password: Secret | None = Field(default=None, description="Where the password lies; left out: none.")
    keep_alive_s: int = Field(
        default=30, ge=5, le=3600, description="Seconds of silence after which the line is tested."
    )
    session_expiry_s: int = Field(
        default=604_800,
        ge=0,
        le=31_536_000,
        description="Seconds for which the broker keeps our session while we are away.",
    )
    will_delay_s: int = Field(
        default=15,
        ge=0,
        le=3600,
        description="Seconds the broker waits before it declares us offline after the line broke.",
    )
    acknowledge_s: float = Field(
        default=30.0,
        ge=0.1,
        le=3600,
        description="Seconds to wait for the broker's word on one finding; then it is sent again.",
    )
    retry_min_s: float = Field(
        default=1.0, ge=0.01, le=3600, description="Shortest pause between two attempts, in seconds."
    )
    retry_max_s: float = Field(
        default=60.0, ge=0.01, le=86_400, description="Longest pause between two attempts, in seconds."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError(
                f"retry_min_s is {self.retry_min_s:g}, retry_max_s {self.retry_max_s:g}; wanted it not above"
            )
        if self.password is not None and self.username is None:
            raise ValueError("there is a password, but no username; wanted both")
        return self


class Outbox(Section):
    """Findings on their way out."""

    workers: int = Field(
        default=4, ge=1, le=64, description="Deliveries under way at once; order is kept per subject."
    )


class Identity(Section):
    """How patients stay unknown outside: UIDs leave as keyed hashes."""

    key: Secret | None = Field(
        default=None,
        description="Where the key lies (16 bytes or more); left out: one is made in the state folder.",
    )


class Health(Section):
    """How the device says that it is well."""

    period_s: float = Field(
        default=30.0, ge=0.2, le=3600, description="Seconds between two messages about health."
    )


class Retention(Section):
    """How long things are kept after their finding has left."""

    done_h: float = Field(
        default=24.0, ge=0, le=87_600, description="Hours for which files of finished series are kept."
    )
    set_aside_days: float = Field(
        default=30.0,
        ge=0,
        le=36_500,
        description="Days for which series that were set aside are kept to be looked at.",
    )
    soft_free_mb: int = Field(
        default=8192,
        ge=16,
        le=10_000_000,
        description="Free space in MB below which finished series go before their time, the oldest first.",
    )


class Config(Section):
    """Everything an operator may say about one device."""

    site: Site = Field(description="The hospital, or the part of it.")
    device: Device = Field(description="This machine.")
    state: State = Field(default=State(), description="What is kept on disk.")
    sources: tuple[Source, ...] = Field(min_length=1, max_length=64, description="Doors for studies.")
    assembly: Assembly = Field(default=Assembly(), description="When a series is thought complete.")
    pipelines: tuple[Pipeline, ...] = Field(
        min_length=1, max_length=64, description="What is done with which series."
    )
    bundles: Bundles = Field(description="Where models lie.")
    engine: Engine = Field(default=Engine(), description="How networks are run.")
    mqtt: Mqtt = Field(description="The broker that findings go to.")
    outbox: Outbox = Field(default=Outbox(), description="Findings on their way out.")
    identity: Identity = Field(default=Identity(), description="How patients stay unknown outside.")
    health: Health = Field(default=Health(), description="How the device says that it is well.")
    retention: Retention = Field(default=Retention(), description="How long things are kept.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least important lines that are still written."
    )
    drain_s: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="Seconds that work under way gets to finish when the daemon is stopped.",
    )
