"""Models of pictures, whatever their task: fit, ask the network, decode in the picture's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

from edge.bundles.picture_tasks import PictureManifest
from edge.domain.answer import PictureAnswer
from edge.domain.finding import ModelStamp
from edge.domain.frame import Picture
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.drift_statistics import of_picture
from edge.inference.picture_answers import reading_of, with_account
from edge.inference.picture_canvas import Canvas
from edge.inference.pool import Pool
from edge.inference.session import Session


class PictureReader:
    """A bundle as a `PictureModel`; as many callers at once as it has sessions.

    Args:
        manifest: Of the bundle; its task says what kind of answer this gives.
        sessions: Warm, at least one; closed with the model.
        stamp: Which weights speak.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        manifest: PictureManifest,
        *,
        sessions: Sequence[Session],
        stamp: ModelStamp,
        clock: Clock,
    ) -> None:
        self.stamp = stamp
        self._read = reading_of(manifest)
        self._is_watched = manifest.drift is not None
        self._clock = clock
        seats = [(session, Canvas(manifest.input, manifest.preprocessing)) for session in sessions]
        self._pool = Pool(seats, name=manifest.name)

    def look(self, picture: Picture, *, deadline_s: float) -> PictureAnswer:
        """Say what a picture shows, in its own pixels; trouble is an exception, never an empty answer.

        Raises:
            PictureRejectedError: The picture is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """
        deadline = Deadline(self._clock, deadline_s)
        seat = self._pool.take(deadline)  # a `with` would cost 8 us right after the network
        try:
            session, canvas = seat
            began_ns = self._clock.monotonic_ns()
            geometry = canvas.draw(picture)
            drawn_ns = self._clock.monotonic_ns()
            outputs = session.run(canvas.pixels, deadline)
            asked_ns = self._clock.monotonic_ns()
            answer = self._read(outputs, geometry)
            decoded_ns = self._clock.monotonic_ns()
            statistics = (
                of_picture(canvas, answer, source_shape_px=picture.shape_px) if self._is_watched else {}
            )
        finally:
            self._pool.give_back(seat)
        latency_ms = {
            "preprocess": (drawn_ns - began_ns) / 1e6,
            "infer": (asked_ns - drawn_ns) / 1e6,
            "decode": (decoded_ns - asked_ns) / 1e6,
        }
        return with_account(answer, latency_ms=latency_ms, statistics=statistics)

    def close(self) -> None:
        """Free the network, after whoever is using it."""
        for session, _ in self._pool.drain():
            session.close()
