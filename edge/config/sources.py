"""What an operator may say about sources: doors for studies; live sources and measurements beside them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.cameras import CameraSource
from edge.config.fields import AeTitle, Host, Modality, Name, Network, Place, Port, Secret, Section
from edge.config.folders import FolderOptions
from edge.config.spectral import HyperspectralSource, SpectrumSource
from edge.config.thermal import ThermalSource


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


class FolderSource(FolderOptions):
    """A folder that is watched for files."""

    kind: Literal["folder"] = Field(
        description="`folder`: files that appear in a folder, and in folders in it."
    )
    nifti_modality: Modality | None = Field(
        default=None,
        description="What NIfTI files in it show (MR, CT …), for they do not say; left out: unknown.",
    )


FolderLikeSource = FolderSource | HyperspectralSource | SpectrumSource
StudySource = DicomSource | FolderLikeSource
LiveSourceOption = CameraSource | ThermalSource
Source = Annotated[StudySource | LiveSourceOption, Field(discriminator="kind")]
