"""What an operator may say: one strict tree, every option with its unit, its range and a sentence.

A key that is not here is refused. A path may be relative: it then starts at the folder of the YAML file.
A secret is never written into the file; `Secret` says where it lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.bundles import Bundles
from edge.config.fields import TOPIC_PATTERN, Host, Name, Place, Port, Secret, Section, check_pauses
from edge.config.fleet import Fleet
from edge.config.pipelines import Pipeline
from edge.config.sources import Source


class Site(Section):
    """The hospital, or the part of it, that this device stands in."""

    id: Name = Field(description="Names the site in every topic: <root>/<site>/<device>/…")

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.id == "fleet":
            raise ValueError("id is 'fleet', and <root>/fleet/… holds the roll-outs; wanted another name")
        return self


class Device(Section):
    """This machine."""

    id: Name = Field(
        description="Names the device in every topic, and is its MQTT client id; unique in the site."
    )
    room: str = Field(
        default="", max_length=64, description="Where it stands, in words for people; may be empty."
    )

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.id == "group":
            raise ValueError(
                "id is 'group', and <site>/group/… holds what groups are told; wanted another name"
            )
        return self


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


class Engine(Section):
    """How networks are run."""

    threads: int = Field(
        default=0, ge=0, le=256, description="Threads for one network on the CPU; 0: as many as cores."
    )
    live_burst_max: int = Field(
        default=8,
        ge=1,
        le=64,
        description="On a GPU: so many live pictures in a row while a volume waits for its turn.",
    )
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "gpu", "npu"] = Field(
        default="auto",
        description="`auto` measures what this device has and takes the fastest that answers alike.",
    )
    memory_mb: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Memory in MB that networks for volumes may hold together; the least used one is closed "
        "until it is needed. 0: no limit.",
    )
    keep_warm_s: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="A network that nobody asked for so many seconds is run once, while nothing waits, so "
        "that the next study meets a warm one. 0: never.",
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
    root: Annotated[str, Field(pattern=TOPIC_PATTERN)] = Field(
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
        check_pauses(self.retry_min_s, self.retry_max_s)
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
    sources: tuple[Source, ...] = Field(
        min_length=1, max_length=64, description="Where studies and frames come from."
    )
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
    fleet: Fleet | None = Field(default=None, description="Left out: nothing is taken from the fleet.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least important lines that are still written."
    )
    drain_s: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="Seconds that work under way gets to finish when the daemon is stopped.",
    )
