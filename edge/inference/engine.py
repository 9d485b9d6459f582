"""The engine: every configured bundle becomes a model that is warm and has proved itself, or a refusal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeVar

from edge.bundles.signature import ANYBODY, Trust
from edge.bundles.store import Bundle, find
from edge.domain.errors import BundleRejectedError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference.admission import Progress, Tell
from edge.inference.behind import Behind
from edge.inference.deadline import Deadline
from edge.inference.drift_reference import Reference
from edge.inference.handle import Handle, PictureHandle, SpectraHandle, VolumeHandle
from edge.inference.making import Made, Maker
from edge.inference.state import ModelState
from edge.inference.tasks import AnyPictureModel, AnyVolumeModel
from edge.inference.trials import RUN_S, Trial
from edge.kit.log import Log

AnyHandle = VolumeHandle | PictureHandle | SpectraHandle
Kind = TypeVar("Kind", VolumeHandle, PictureHandle, SpectraHandle)


class Engine:
    """All models of this machine; open it with `with`.

    Networks of volumes are the imaging lane, all others the live lane. On the CPU a live network has a thread
    of its own for each caller and runs at once, and imaging networks run in threads that give way; on a GPU
    they take turns, see `Lanes`.

    A model that was handed out stays valid when another form or version takes its place: see `Handle`.

    Args:
        names: Bundles that are wanted.
        roots: Folders that hold bundles, searched in this order.
        trust: Whose signatures on them are believed, and whether unsigned ones are used.
        threads: For one network of volumes on the CPU, at least 1.
        live_callers: So many may ask one live model at once; each has its own session, with one thread.
        live_burst_max: On a GPU: so many live runs in a row while imaging waits.
        providers: Devices that may be used: `cpu`, `cuda`, `tensorrt`, `gpu`, `npu`.
        measures: What is not remembered is measured `first`, or `behind` models that answer meanwhile.
        memory_mb: What open imaging networks may hold together, 0 for no limit.
        keep_warm_s: A model that nobody asked for so long is run once, 0 for never.
        state_dir: Where measurements are remembered.
        clock: Measures, and times deadlines.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        roots: Sequence[Path],
        trust: Trust = ANYBODY,
        threads: int,
        live_callers: int = 1,
        live_burst_max: int = 8,
        providers: Collection[str],
        measures: Literal["first", "behind"] = "first",
        memory_mb: float = 0,
        keep_warm_s: float = 0,
        state_dir: Path,
        clock: Clock,
    ) -> None:
        self._names = tuple(names)
        self._clock = clock
        self._roots = tuple(roots)
        self._trust = trust
        self._measures = measures
        self._maker = Maker(
            threads=threads,
            live_callers=live_callers,
            live_burst_max=live_burst_max,
            providers=providers,
            state_dir=state_dir,
            memory_mb=memory_mb,
            clock=clock,
        )
        self._log = Log("engine")
        self._bundles: dict[str, Bundle] = {}
        self._handles: dict[str, AnyHandle] = {}
        self._states: dict[str, ModelState] = {}
        self._refusals: dict[str, str] = {}
        self._listeners: list[Callable[[ModelState], None]] = []
        self._behind = Behind(self._handles, keep_warm_s=keep_warm_s, clock=clock)
        self._changing = threading.RLock()  # which model answers under which name
        self._rooms = ExitStack()

    def __enter__(self) -> Self:
        unmeasured: list[Bundle] = []
        with ExitStack() as rooms:
            rooms.callback(self._close_all)
            for name in self._names:
                try:
                    self._bundles[name] = bundle = find(name, self._roots, self._trust)
                    made = self._make(bundle)
                except BundleRejectedError as error:
                    self._refusals[name] = str(error)
                    self._log.error("bundle refused", bundle=name, because=error)
                else:
                    self._handles[name] = _kind_of(made)(name)
                    self._put(made)
                    unmeasured += [] if made.is_measured else [bundle]
            rooms.enter_context(self._behind)
            for bundle in unmeasured:
                self._behind.do(partial(self._measure, bundle))
            self._rooms = rooms.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rooms.close()
        self._handles.clear()

    @property
    def refusals(self) -> Mapping[str, str]:
        """Bundles that are not used, each with its reason."""
        return MappingProxyType(self._refusals)

    def model(self, name: str) -> VolumeHandle:
        """Return a model of volumes that is ready, and stays valid when it is exchanged.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, VolumeHandle)

    def picture_model(self, name: str) -> PictureHandle:
        """Return a model of pictures that is ready, and stays valid when it is exchanged.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, PictureHandle)

    def spectra_model(self, name: str) -> SpectraHandle:
        """Return a model of spectra that is ready, and stays valid when it is exchanged.

        Raises:
            BundleRejectedError: Its bundle was refused, never asked for, or has another task.
        """
        return self._ready(name, SpectraHandle)

    def stamp(self, name: str) -> ModelStamp:
        """Return which weights of a bundle speak at this moment, whatever its task.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        self._check_known(name, self._handles)
        return self._handles[name].stamp

    def reference(self, name: str) -> Reference | None:
        """Return what a bundle at work says it was made for; None where it says nothing of drift.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        self._check_known(name, self._handles)
        return self._handles[name].active.reference

    def trials(self, name: str) -> tuple[Trial, ...]:
        """Return what each form of a bundle did on this device, the chosen one first.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        return self.state(name).trials

    def state(self, name: str) -> ModelState:
        """Return how a bundle's model is.

        Raises:
            BundleRejectedError: Its bundle was refused, or never asked for.
        """
        self._check_known(name, self._states)
        return self._states[name]

    def on_change(self, tell: Callable[[ModelState], None]) -> None:
        """Tell somebody about each change of a model's state, from the thread that makes it."""
        self._listeners.append(tell)

    def bundle(self, name: str) -> Bundle:
        """Return a bundle whose files are in order, though its network may have been refused.

        Raises:
            BundleRejectedError: It could not be read.
        """
        self._check_known(name, self._bundles)
        return self._bundles[name]

    def swap(self, bundle: Bundle) -> Future[ModelStamp]:
        """Let another version of a bundle take the place of the one at work.

        It is admitted while the old one answers, and takes over between two items. Where it is refused, the
        old one goes on, and the future holds the reason.

        Args:
            bundle: Whose files are in order; of a name the engine has a model for, and for the same inputs.

        Returns:
            The new stamp, once it speaks. A `BundleRejectedError` where it never will.
        """
        return self._behind.do(lambda: self._swap(bundle))

    def admit(self, bundle: Bundle, *, callers: int = 1) -> Future[Made]:
        """Make a model of a bundle while everything goes on as it is; it is warm and proved, and waits.

        Args:
            bundle: Whose files are in order; its name may be new to the engine.
            callers: So many will ask it at once where it is a live one.

        Returns:
            What `exchange` takes; whoever does not use it closes its model. A `BundleRejectedError` where
            nothing passes.
        """
        self._maker.live_callers = max(self._maker.live_callers, callers)
        return self._behind.do(lambda: self._admit(bundle))

    def exchange(self, made: Made) -> Made | None:
        """Let a model that was admitted answer from now on, between two items.

        Who asked for a model of this name before keeps a valid one, unless the new one has another task.

        Returns:
            What answered before, open: the caller's to bring back, or to close. None where nothing did.
        """
        name = made.active.bundle.manifest.name
        with self._changing:
            before, place = self._at_work(name), self._handles.get(name)
            if place is not None and type(place) is _kind_of(made):
                _same(place).exchange(made.active)
            else:
                self._handles[name] = _kind_of(made)(name)
                _same(self._handles[name]).put(made.active)
                if place is not None:
                    place.exchange(None, refusal=f"{name}: a model for something else took its place")
            self._refusals.pop(name, None)
            self._tell_at_work(made)
            return before

    def withdraw(self, name: str, *, why: str) -> Made | None:
        """Let a model answer no more, as if its bundle were refused.

        Args:
            name: Of the bundle.
            why: Is said to whoever asks for it.

        Returns:
            The model, open: the caller's to bring back, or to close. None where there was none.
        """
        with self._changing:
            before, place = self._at_work(name), self._handles.pop(name, None)
            for known in (self._bundles, self._states):
                known.pop(name, None)
            self._refusals[name] = why
            if place is not None:
                place.exchange(None, refusal=why)
            return before

    def prove(self, name: str, *, is_golden: bool) -> None:
        """Ask the model at work what its bundle was proved with.

        Args:
            name: Of the bundle.
            is_golden: Whether it must also say what is right, not only something.

        Raises:
            BundleRejectedError: Its bundle was refused, or it says something else.
            InferenceError: It does not answer.
        """
        self._check_known(name, self._handles)
        with self._handles[name].held() as active:
            answers = active.exam.answers(active.sessions[0], Deadline(self._clock, RUN_S))
            agreement = active.exam.agreement(answers) if is_golden else None
            if agreement is not None and agreement.shortfall:
                raise BundleRejectedError(f"{name}: its golden check fails: {agreement.shortfall}")

    def settle(self, *, timeout_s: float) -> bool:
        """Wait until nothing is measured or exchanged any more; return whether that came to pass in time."""
        return self._behind.settle(timeout_s=timeout_s)

    # ── what happens at the start, and behind the models ──

    def _make(self, bundle: Bundle) -> Made:
        return self._maker.at_its_best(bundle) if self._measures == "first" else self._maker.at_once(bundle)

    def _put(self, made: Made) -> ModelStamp:
        """Let a model answer from now on, and say so."""
        with self._changing:
            _same(self._handles[made.active.bundle.manifest.name]).put(made.active)
            return self._tell_at_work(made)

    def _tell_at_work(self, made: Made) -> ModelStamp:
        name, stamp = made.active.bundle.manifest.name, made.active.stamp
        before = self._states.get(name)
        self._bundles[name] = made.active.bundle
        previous = before.stamp if before and before.stamp.sha256 != stamp.sha256 else None
        older = before.previous if before else None
        self._tell(
            ModelState(
                name=name,
                stamp=stamp,
                form=made.active.form,
                trials=made.trials,
                is_measured=made.is_measured,
                previous=previous or older,
            )
        )
        self._log.info("model at work", bundle=name, version=stamp.version, form=made.active.form)
        return stamp

    def _at_work(self, name: str) -> Made | None:
        """Return the model that answers under a name, and what is known of it."""
        handle, state = self._handles.get(name), self._states.get(name)
        if handle is None or state is None:
            return None
        return Made(_same(handle).active, state.trials, state.is_measured)

    def _admit(self, bundle: Bundle) -> Made:
        with self._telling(bundle.manifest.name) as tell:
            return self._maker.at_its_best(bundle, tell=tell, breathe=self._behind.breathe)

    def _measure(self, bundle: Bundle) -> ModelStamp:
        """Measure all forms of the bundle at work, and exchange its form where another is better.

        Raises:
            BundleRejectedError: It is not at work any more.
        """
        name = bundle.manifest.name
        self._check_at_work(bundle)
        with self._telling(name) as tell:
            found = self._maker.measured(
                bundle, at_work=self._states[name].form, tell=tell, breathe=self._behind.breathe
            )
        with self._changing:
            try:
                self._check_at_work(bundle)
            except BundleRejectedError:
                if isinstance(found, Made):
                    found.active.model.close()
                raise
            if isinstance(found, Made):
                return self._put(found)
            self._tell(self._states[name].knowing(found))
            return self._states[name].stamp

    def _check_at_work(self, bundle: Bundle) -> None:
        if self._bundles.get(bundle.manifest.name) is not bundle:
            raise BundleRejectedError(f"{bundle.manifest.name}: another version took its place meanwhile")

    def _close_all(self) -> None:
        for name, handle in self._handles.items():
            handle.close(f"{name}: the engine is closed")

    def _swap(self, bundle: Bundle) -> ModelStamp:
        name = bundle.manifest.name
        self._check_known(name, self._handles)
        try:
            with self._telling(name) as tell:
                made = self._maker.at_its_best(bundle, tell=tell, breathe=self._behind.breathe)
            if type(self._handles[name]) is not _kind_of(made):
                made.active.model.close()
                task, seen = self._bundles[name].manifest.task, bundle.manifest.task
                raise BundleRejectedError(f"{name}: the new one is for {seen}, the one at work for {task}")
        except BundleRejectedError as error:
            refusal = f"version {bundle.manifest.version}: {error}"
            self._tell(replace(self._states[name], refusal=refusal))
            raise
        return self._put(made)

    @contextmanager
    def _telling(self, name: str) -> Iterator[Tell]:
        """Give what tells how far it is; however that ends, nothing is said to be going on after it."""

        def tell(progress: Progress) -> None:
            doing = None if progress.done == progress.steps else progress
            with self._changing:
                if name in self._states:
                    self._tell(replace(self._states[name], doing=doing))

        try:
            yield tell
        finally:
            with self._changing:
                if name in self._states and self._states[name].doing is not None:
                    self._tell(replace(self._states[name], doing=None))

    def _tell(self, state: ModelState) -> None:
        self._states[state.name] = state
        for listener in self._listeners:
            listener(state)

    def _ready(self, name: str, kind: type[Kind]) -> Kind:
        self._check_known(name, self._handles)
        handle = self._handles[name]
        if not isinstance(handle, kind):
            task = self._bundles[name].manifest.task
            raise BundleRejectedError(f"{name}: is for {task}, which is not what it is asked to do")
        return handle

    def _check_known(self, name: str, known: Mapping[str, object]) -> None:
        if name not in known:
            raise BundleRejectedError(self._refusals.get(name, f"{name}: not one of the engine's bundles"))


def _kind_of(made: Made) -> type[AnyHandle]:
    """Return what a model is handed out as."""
    if isinstance(made.active.model, AnyVolumeModel):
        return VolumeHandle
    return PictureHandle if isinstance(made.active.model, AnyPictureModel) else SpectraHandle


def _same(handle: AnyHandle) -> Handle[Any]:
    """Return the handle of a model that was made for it: which kind that is was looked at."""
    return handle
