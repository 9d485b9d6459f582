"""What an operator may say about sources: doors for studies, and live sources."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.config.fields import (
    DEVICE_PATTERN,
    URL_PATTERN,
    AeTitle,
    Host,
    Modality,
    Name,
    Network,
    Place,
    Port,
    Secret,
    Section,
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


class PictureQuality(Section):
    """When a camera's picture counts as faulty; a source with such a picture is degraded, and says why."""

    frozen_s: float = Field(
        default=10.0,
        ge=0,
        le=3600,
        description="Nothing moves for so many seconds, not even noise; 0: never.",
    )
    black_level: float = Field(
        default=24.0, ge=0, le=255, description="98 of 100 pixels are darker than this, 0 to 255."
    )
    blinded_share: float = Field(
        default=0.6, ge=0.01, le=1, description="At least this share of the pixels is saturated."
    )
    blurred_ratio: float = Field(
        default=0.3, ge=0, le=1, description="Less than this share of its usual sharpness is left."
    )
    hold_s: float = Field(
        default=2.0, ge=0, le=600, description="So many seconds must a fault last, and be gone to be over."
    )


class CameraSource(Section):
    """A camera: over the network, at this machine, or a recording that takes its place."""

    kind: Literal["camera"] = Field(description="`camera`: colour video.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    enabled: bool = Field(default=True, description="Whether it is opened; else it is reported as disabled.")
    url: Annotated[str, Field(pattern=URL_PATTERN)] | None = Field(
        default=None,
        description="rtsp://…, http://… or https://…, without user and password; one of url, device, path.",
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] | None = Field(
        default=None, description="A V4L2 device of this machine, such as /dev/video0."
    )
    path: Place | None = Field(
        default=None, description="A video file, or a folder in which pictures appear."
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="How an RTSP camera sends its pictures; udp is for quiet networks only."
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=256, description="At the camera; left out: none."
    )
    password: Secret | None = Field(default=None, description="Where the password lies; left out: none.")
    loop: bool = Field(default=False, description="Whether a video file begins anew at its end.")
    open_s: float = Field(
        default=10.0, ge=0.1, le=300, description="Seconds a camera may take until its first picture."
    )
    silence_s: float = Field(
        default=3.0,
        ge=0.1,
        le=300,
        description="Seconds without a picture after which a camera counts as lost and is opened again.",
    )
    snapshots: Literal["never", "gated"] = Field(
        default="never",
        description="Whether a person at the box may see its pictures; gated: while a gate is open.",
    )
    snapshot_blur: Literal["nothing", "everything"] = Field(
        default="nothing",
        description="What is made unrecognisable in them; everything: faces and all else, in coarse blocks.",
    )
    quality: PictureQuality = Field(
        default=PictureQuality(), description="When its picture counts as faulty."
    )
    retry_min_s: float = Field(
        default=0.5, ge=0.01, le=3600, description="Shortest pause before it is opened again, in seconds."
    )
    retry_max_s: float = Field(
        default=30.0, ge=0.01, le=3600, description="Longest pause before it is opened again, in seconds."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(way is not None for way in (self.url, self.device, self.path)) != 1:
            raise ValueError("wanted exactly one of url, device and path")
        if self.retry_min_s > self.retry_max_s:
            raise ValueError(
                f"retry_min_s is {self.retry_min_s:g}, retry_max_s {self.retry_max_s:g}; wanted it not above"
            )
        if self.password is not None and self.username is None:
            raise ValueError("there is a password, but no username; wanted both")
        return self


class PlanckScale(Section):
    """A camera's own constants: count = r1 / (r2 · (exp(b / T) - f)) - o, T in kelvin."""

    kind: Literal["planck"] = Field(description="`planck`: the constants of the camera's maker.")
    r1: float = Field(ge=1e-9, le=1e12, description="Response of the detector.")
    b_kelvin: float = Field(ge=100, le=50_000, description="Second radiation constant / wavelength, K.")
    f: float = Field(ge=-100, le=1e6, description="1 for a detector that follows Planck's law, 0.5 to 2.")
    o: float = Field(ge=-1e9, le=1e9, description="Offset in counts; usually negative.")
    r2: float = Field(ge=1e-9, le=1e12, description="Gain.")


class LinearScale(Section):
    """Counts that are temperatures already: kelvin = kelvin_per_count · count + zero_kelvin."""

    kind: Literal["linear"] = Field(description="`linear`: counts that are temperatures.")
    kelvin_per_count: float = Field(ge=1e-4, le=1, description="0.01 for centikelvin.")
    zero_kelvin: float = Field(default=0.0, ge=0, le=1000, description="Temperature of count 0, K.")


class RadianceScale(Section):
    """Counts that follow the in-band radiance: radiance = gain · count + offset, in W/(m² sr)."""

    kind: Literal["radiance"] = Field(description="`radiance`: from two black bodies.")
    gain: float = Field(ge=1e-12, le=1e6, description="W/(m² sr) for one count.")
    offset: float = Field(ge=-1e6, le=1e6, description="W/(m² sr) of count 0.")
    low_um: float = Field(ge=0.5, le=50, description="Where the band begins, µm.")
    high_um: float = Field(ge=0.5, le=50, description="Where the band ends, µm.")


ThermalScale = Annotated[PlanckScale | LinearScale | RadianceScale, Field(discriminator="kind")]


class ThermalUncertainties(Section):
    """How well is known what a temperature rests on: standard uncertainties, the camera's error limits."""

    emissivity: float = Field(default=0.01, ge=0, le=1, description="Of the emissivity.")
    reflected_k: float = Field(default=3.0, ge=0, le=1000, description="Of the reflected temperature, K.")
    air_k: float = Field(default=2.0, ge=0, le=100, description="Of the air's temperature, K.")
    distance_fraction: float = Field(default=0.1, ge=0, le=1, description="Of the distance, a share of it.")
    humidity: float = Field(default=0.1, ge=0, le=1, description="Of the relative humidity.")
    window_k: float = Field(default=3.0, ge=0, le=1000, description="Of the window's temperature, K.")
    window_transmission: float = Field(default=0.02, ge=0, le=1, description="Of the window's transmission.")
    accuracy_k: float = Field(default=2.0, ge=0, le=100, description="Limit of the camera's error, K.")
    accuracy_fraction: float = Field(
        default=0.02, ge=0, le=1, description="The same as a share of the temperature; the larger counts."
    )


class ThermalCalibration(Section):
    """What the site knows of its camera and its room; it goes before what a file or the camera says."""

    scale: ThermalScale | None = Field(
        default=None, description="What a count means; left out: as the file says."
    )
    emissivity: float | None = Field(
        default=None, ge=0.01, le=1, description="Of what is looked at; skin has about 0.98."
    )
    reflected_celsius: float | None = Field(
        default=None, ge=-100, le=1500, description="Apparent temperature of what is mirrored, °C."
    )
    air_celsius: float | None = Field(default=None, ge=-60, le=100, description="Of the air between, °C.")
    distance_m: float | None = Field(default=None, ge=0, le=10_000, description="To what is looked at, m.")
    humidity: float | None = Field(default=None, ge=0, le=1, description="Relative humidity, 0 to 1.")
    window_celsius: float | None = Field(
        default=None, ge=-100, le=500, description="Of an infrared window in between, °C."
    )
    window_transmission: float | None = Field(
        default=None, ge=0.01, le=1, description="Of that window; 1 where there is none."
    )
    band_um: tuple[float, float] = Field(
        default=(7.5, 13.5), description="Where the camera sees, µm; only a linear scale needs it."
    )
    is_checked: bool = Field(
        default=False, description="A linear scale was checked against a black body; else it is `assumed`."
    )
    radiometry: Literal["own", "pyradi"] = Field(
        default="own", description="Who reckons Planck's law; pyradi must be installed."
    )
    uncertainties: ThermalUncertainties = Field(
        default=ThermalUncertainties(), description="How well all that is known."
    )


class ThermalSource(Section):
    """A thermal camera: at this machine, a folder that it fills, or a recording that takes its place."""

    kind: Literal["thermal"] = Field(description="`thermal`: 16-bit radiometric pictures.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    enabled: bool = Field(default=True, description="Whether it is opened; else it is reported as disabled.")
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] | None = Field(
        default=None, description="A V4L2 device that gives Y16; one of device, folder and recording."
    )
    folder: Place | None = Field(
        default=None, description="Where TIFF, PNG, FFF or radiometric JPEG frames appear; the newest counts."
    )
    recording: Place | None = Field(
        default=None, description="A recording (SEQ, CSQ, PTW, FFF, a folder of frames), at its own pace."
    )
    after: Literal["keep", "remove"] = Field(
        default="keep", description="What becomes of a file of the folder that was taken or overtaken."
    )
    loop: bool = Field(default=False, description="Whether a recording begins anew at its end.")
    frames_per_s: float = Field(
        default=9.0, ge=0.01, le=1000, description="Pace of a recording that has no times, frames a second."
    )
    telemetry_rows: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Rows at the lower edge of a device's picture that are none.",
    )
    calibration: ThermalCalibration = Field(
        default=ThermalCalibration(), description="What the site knows of its camera and its room."
    )
    open_s: float = Field(
        default=10.0, ge=0.1, le=300, description="Seconds a camera may take until its first picture."
    )
    silence_s: float = Field(
        default=3.0,
        ge=0.1,
        le=300,
        description="Seconds without a picture after which a camera counts as lost and is opened again.",
    )
    retry_min_s: float = Field(
        default=0.5, ge=0.01, le=3600, description="Shortest pause before it is opened again, in seconds."
    )
    retry_max_s: float = Field(
        default=30.0, ge=0.01, le=3600, description="Longest pause before it is opened again, in seconds."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if sum(way is not None for way in (self.device, self.folder, self.recording)) != 1:
            raise ValueError("wanted exactly one of device, folder and recording")
        if self.retry_min_s > self.retry_max_s:
            raise ValueError(
                f"retry_min_s is {self.retry_min_s:g}, retry_max_s {self.retry_max_s:g}; wanted it not above"
            )
        return self


class HyperspectralSource(Section):
    """A folder in which hyperspectral cubes appear; none of them is ever dropped."""

    kind: Literal["hyperspectral"] = Field(description="`hyperspectral`: ENVI, npz and TIFF cubes.")
    name: Name = Field(description="Names this source in health, topics and logs; unique.")
    path: Place = Field(description="The folder; made when it is not there.")
    settle_s: float = Field(
        default=2.0,
        ge=0.05,
        le=3600,
        description="A cube is taken when its files have not grown or changed for this many seconds.",
    )
    after: Literal["keep", "remove"] = Field(
        default="keep",
        description="What becomes of its files once they are safely ours; references always stay.",
    )
    panel_reflectance: float = Field(
        default=1.0, ge=0.01, le=1, description="Of the panel on the white references, 0 to 1."
    )


class SpectrumSource(Section):
    """A folder in which single spectra appear; none of them is ever dropped."""

    kind: Literal["spectrum"] = Field(description="`spectrum`: text, CSV, JCAMP-DX and SPC files.")
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
    measures: Literal["infrared", "raman", "reflectance"] | None = Field(
        default=None, description="What is measured there; a file's own word goes first."
    )
    axis_unit: Literal["nm", "cm-1"] | None = Field(
        default=None, description="Of the axis, where a file does not say."
    )


FolderLikeSource = FolderSource | HyperspectralSource | SpectrumSource
StudySource = DicomSource | FolderLikeSource
LiveSourceOption = CameraSource | ThermalSource
Source = Annotated[StudySource | LiveSourceOption, Field(discriminator="kind")]
