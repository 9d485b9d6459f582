"""The engine: every configured bundle becomes a model that is warm and has proved itself, or a refusal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from edge.bundles.store import Bundle, find
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference.admission import RUN_S, Admission, Admitted, Form, Trial, open_session, stamp_of
from edge.inference.deadline import Deadline
from edge.inference.golden import Exam
from edge.inference.lanes import Lanes, TurnTaking
from edge.inference.session import Session
from edge.inference.tasks import AnyModel, AnyPictureModel, AnySpectraModel, AnyVolumeModel, task_of
from edge.kit.log import Log

Kind = TypeVar("Kind", AnyVolumeModel, AnyPictureModel, AnySpectraModel)


class Engine:
    """All models of this machine; open it with `with`.

    Networks of volumes are the imaging lane, all others the live lane. On the CPU a live network has a thread
    of its own for each caller and runs at once, and imaging networks run in threads that give way; on a GPU
    they take turns, see `Lanes`.

    Args:
        names: Bundles that are wanted.
        roots: Folders that hold bundles, searched in this order.
        threads: For one network of volumes on the CPU, at least 1.
        live_callers: So many may ask one live model at once; each has its own session, with one thread.
        live_burst_max: On a GPU: so many live runs in a row while imaging waits.
        providers: What may be used: `cpu`, `cuda`.
        state_dir: Where measurements are remembered.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        roots: Sequence[Path],
        threads: int,
        live_callers: int = 1,
        live_burst_max: int = 8,
        providers: Collection[str],
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._names = tuple(names)
        self._roots = tuple(roots)
        self._threads = threads
        self._live_callers = live_callers
        self._lanes = Lanes(live_burst_max=live_burst_max)
        self._imaging = Admission(
            opening=self._open_imaging,
            threads=threads,
            providers=providers,
            state_dir=state_dir,
            clock=clock,
        )
        self._live = Admission(
            opening=self._open_live, threads=1, providers=providers, state_dir=state_dir, clock=clock
        )
        self._clock = clock
        self._log = Log("engine")
        self._bundles: dict[str, Bundle] = {}
        self._models: dict[str, AnyModel] = {}
        self._trials: dict[str, tuple[Trial, ...]] = {}
        self._refusals: dict[str, str] = {}
        self._rooms = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as rooms:
            for name in self._names:
                try:
                    self._bundles[name] = bundle = find(name, self._roots)
                    model = self._model(bundle)
                except BundleRejectedError as error:
                    self._refusals[name] = str(error)
                    self._log.error("bundle refused", bundle=name, because=error)
                else:
                    rooms.callback(model.close)
                    self._models[name] = model
                    form = self._trials[name][0].form
                    self._log.info("bundle admitted", bundle=name, version=bundle.manifest.version, form=form)
            self._rooms = rooms.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._models.clear()
        self._rooms.close()

    @property
    def refusals(self) -> Mapping[str, str]:
        """Bundles that are not used, each with its reason."""
        return MappingProxyType(self._refusals)

    def model(self, name: str) -> AnyVolumeModel:
        """Return a model of volumes that is ready.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, AnyVolumeModel)

    def picture_model(self, name: str) -> AnyPictureModel:
        """Return a model of pictures that is ready.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, AnyPictureModel)

    def spectra_model(self, name: str) -> AnySpectraModel:
        """Return a model of spectra that is ready.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, AnySpectraModel)

    def stamp(self, name: str) -> ModelStamp:
        """Return which weights of a bundle speak, whatever its task.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        self._check_known(name, self._models)
        return self._models[name].stamp

    def trials(self, name: str) -> tuple[Trial, ...]:
        """Return what each form of a bundle did on this device, the chosen one first.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        self._check_known(name, self._trials)
        return self._trials[name]

    def bundle(self, name: str) -> Bundle:
        """Return a bundle whose files are in order, though its network may have been refused.

        Raises:
            BundleRejectedError: It could not be read.
        """
        self._check_known(name, self._bundles)
        return self._bundles[name]

    def _ready(self, name: str, kind: type[Kind]) -> Kind:
        self._check_known(name, self._models)
        model = self._models[name]
        if not isinstance(model, kind):
            task = self._bundles[name].manifest.task
            raise BundleRejectedError(f"{name}: is for {task}, which is not what it is asked to do")
        return model

    def _check_known(self, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise BundleRejectedError(self._refusals.get(name, f"{name}: not one of the engine's bundles"))

    # ── from a bundle to a model ──

    def _model(self, bundle: Bundle) -> AnyModel:
        """Admit a bundle on the lane of its task.

        Raises:
            BundleRejectedError: Its golden input proves nothing, or no form of it passes here.
        """
        task = task_of(bundle, self._clock)
        if task.lane == "live":
            return task.build(*self._admit_live(bundle, task.exam))
        admitted, stamp = self._admit(self._imaging, bundle, task.exam)
        return task.build([admitted.session], stamp)

    def _admit(self, admission: Admission, bundle: Bundle, exam: Exam) -> tuple[Admitted, ModelStamp]:
        admitted = admission.admit(bundle, exam)
        self._trials[bundle.manifest.name] = admitted.trials
        return admitted, stamp_of(bundle, admitted.form, admitted.session)

    def _admit_live(self, bundle: Bundle, exam: Exam) -> tuple[list[Session], ModelStamp]:
        """Admit a network and open it once for each caller; on a GPU one session serves all, in turns."""
        admitted, stamp = self._admit(self._live, bundle, exam)
        sessions = [admitted.session]
        while admitted.form.device == "cpu" and len(sessions) < self._live_callers:
            further = self._open_live(bundle, admitted.form)
            sessions.append(further)
            try:
                exam.answers(further, Deadline(self._clock, RUN_S))  # so that no caller meets a cold one
            except InferenceError as error:
                raise BundleRejectedError(f"{bundle.manifest.name}: {error}") from error
        return sessions, stamp

    def _open_live(self, bundle: Bundle, form: Form) -> Session:
        session = open_session(bundle, form, threads=1)
        return session if form.device == "cpu" else TurnTaking(session, self._lanes.live)

    def _open_imaging(self, bundle: Bundle, form: Form) -> Session:
        session = open_session(bundle, form, threads=self._threads, gives_way=True)
        return session if form.device == "cpu" else TurnTaking(session, self._lanes.imaging)
