"""What the operator wrote about cameras, turned into live sources, closed."""

from __future__ import annotations

from typing import Protocol

from edge.config import secrets
from edge.config import thermal as options
from edge.config.cameras import CameraSource
from edge.config.sources import LiveSourceOption
from edge.config.thermal import ThermalSource
from edge.domain.ports import Clock, FrameSource
from edge.domain.thermal import LinearScale, PlanckScale, RadianceScale, Scale
from edge.preprocess.picture_quality import QualityLimits
from edge.preprocess.thermal_band import radiometry
from edge.preprocess.thermal_site import SiteCalibration
from edge.preprocess.thermal_uncertainty import Uncertainties
from edge.sources.camera_device import DeviceCamera
from edge.sources.camera_file import VideoFile
from edge.sources.camera_folder import FrameFolder
from edge.sources.camera_rtsp import RtspCamera
from edge.sources.camera_stream import StreamCamera
from edge.sources.live_books import LiveBooks
from edge.sources.thermal import ThermalRecording
from edge.sources.thermal_device import ThermalDevice
from edge.sources.thermal_folder import ThermalFolder
from edge.sources.thermal_v4l2 import V4l2Y16


class Interruptible(FrameSource, Protocol):
    """A live source whose waits can be ended from another thread."""

    def interrupt(self) -> None:
        """End whatever it waits for."""


def live_source_of(source: LiveSourceOption, clock: Clock, books: LiveBooks) -> Interruptible:
    """Return a live source, closed.

    Raises:
        SecretError: Its password cannot be read.
        ConfigurationError: Its calibration cannot be.
    """
    if isinstance(source, ThermalSource):
        return _thermal_camera(source, clock, books)
    return _camera(source, clock, books)


def quality_of(source: LiveSourceOption) -> QualityLimits | None:
    """Return when the pictures of a source count as faulty; None where they are not judged."""
    if isinstance(source, ThermalSource):
        return None
    quality = source.quality
    return QualityLimits(
        frozen_s=quality.frozen_s,
        black_level=quality.black_level,
        blinded_share=quality.blinded_share,
        blurred_ratio=quality.blurred_ratio,
        hold_s=quality.hold_s,
    )


def _camera(source: CameraSource, clock: Clock, books: LiveBooks) -> Interruptible:
    """Return a camera, closed.

    Raises:
        SecretError: Its password cannot be read.
    """
    open_s, silence_s = source.open_s, source.silence_s
    if source.device is not None:
        return DeviceCamera(
            source.name, device=source.device, clock=clock, books=books, open_s=open_s, silence_s=silence_s
        )
    if source.path is not None and source.path.suffix:
        return VideoFile(
            source.name,
            path=source.path,
            loop=source.loop,
            clock=clock,
            books=books,
            open_s=open_s,
            silence_s=silence_s,
        )
    if source.path is not None:
        return FrameFolder(source.name, path=source.path, silence_s=silence_s, clock=clock, books=books)
    assert source.url is not None, "the configuration has one of device, path and url"
    password = secrets.read_text(source.password) if source.password else ""
    user = source.username or ""
    if not source.url.startswith("rtsp:"):
        return StreamCamera(
            source.name,
            url=source.url,
            username=user,
            password=password,
            clock=clock,
            books=books,
            open_s=open_s,
            silence_s=silence_s,
        )
    return RtspCamera(
        source.name,
        url=source.url,
        username=user,
        password=password,
        transport=source.transport,
        clock=clock,
        books=books,
        open_s=open_s,
        silence_s=silence_s,
    )


def _thermal_camera(source: ThermalSource, clock: Clock, books: LiveBooks) -> Interruptible:
    site = calibration_of(source.calibration)
    if source.device is not None:
        return ThermalDevice(
            source.name,
            device=V4l2Y16(source.device),
            site=site,
            telemetry_rows=source.telemetry_rows,
            open_s=source.open_s,
            silence_s=source.silence_s,
            clock=clock,
            books=books,
        )
    if source.folder is not None:
        return ThermalFolder(
            source.name,
            path=source.folder,
            site=site,
            after=source.after,
            silence_s=source.silence_s,
            clock=clock,
            books=books,
        )
    assert source.recording is not None, "the configuration has one of device, folder and recording"
    return ThermalRecording(
        source.name,
        path=source.recording,
        site=site,
        loop=source.loop,
        frames_per_s=source.frames_per_s,
        gap_max_s=source.silence_s / 2,
        clock=clock,
        books=books,
    )


def calibration_of(given: options.ThermalCalibration) -> SiteCalibration:
    """Return what the site knows of a thermal camera and its room.

    Raises:
        ConfigurationError: It cannot be.
    """
    radiometry(given.radiometry)  # so that a backend that is not installed is said now
    return SiteCalibration(
        scale=None if given.scale is None else _scale(given.scale),
        emissivity=given.emissivity,
        reflected_celsius=given.reflected_celsius,
        air_celsius=given.air_celsius,
        distance_m=given.distance_m,
        humidity=given.humidity,
        window_celsius=given.window_celsius,
        window_transmission=given.window_transmission,
        band_um=given.band_um,
        is_checked=given.is_checked,
        radiometry=given.radiometry,
        uncertainties=Uncertainties(**given.uncertainties.model_dump()),
    )


def _scale(given: options.ThermalScale) -> Scale:
    match given:
        case options.PlanckScale():
            return PlanckScale(r1=given.r1, b_kelvin=given.b_kelvin, f=given.f, o=given.o, r2=given.r2)
        case options.LinearScale():
            return LinearScale(kelvin_per_count=given.kelvin_per_count, zero_kelvin=given.zero_kelvin)
        case options.RadianceScale():
            return RadianceScale(
                gain=given.gain, offset=given.offset, low_um=given.low_um, high_um=given.high_um
            )
