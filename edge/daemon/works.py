"""The parts of a running appliance that may become others while it runs, and the order in which they do.

    between two series: events of what is concerned end ─▶ models, then who looks with them ─▶ it begins

Doors, journal and outbox are never touched: what comes in meanwhile waits, and what is not concerned goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from edge.config.pipelines import LivePipeline, Pipeline
from edge.config.schema import Config
from edge.config.sources import FolderLikeSource
from edge.daemon.live import LiveHalf
from edge.daemon.models import ModelVoice
from edge.daemon.parts import bundles_of
from edge.daemon.studies import StudyHalf
from edge.domain.errors import ConfigurationError, DocumentRefusedError
from edge.inference.engine import Engine
from edge.inference.making import Made
from edge.kit.log import Log

ARGUMENT: Final = "args.pipeline"  # of the command
CLOSE_S: Final = 5.0  # so long a stop waits for a change that is under way
UNUSED = "no pipeline looks with it"


@dataclass(slots=True, kw_only=True)
class Former:
    """What was at work before a change, kept until it is known that nobody wants it back.

    Attributes:
        config: With which everything worked.
        refusals: Bundles that had no model, and why.
        models: By name of their bundle, what was put out of work by now, open; None where there was none.
        is_disturbed: The change has ended pipelines; where it has not, none begins anew on the way back.
    """

    config: Config
    refusals: dict[str, str]
    models: dict[str, Made | None] = field(default_factory=dict)
    is_disturbed: bool = False

    def release(self) -> None:
        """Close the models: nobody wants them back."""
        for made in self.models.values():
            if made is not None:
                made.active.model.close()
        self.models.clear()


class Works:
    """What is at work; it may be changed from any thread, by one at a time.

    Attributes:
        config: With which everything works now.
        alone: To be held by whoever looks what is at work, and changes it by what was seen; or changes it and
            may go back. Who does not might bring back, unasked, what somebody else has changed meanwhile.

    Args:
        config: With which everything was opened.
        engine: Open.
        studies: Open.
        live: Open.
        voice: Says how models are.
        hot: Take up values that need no part built anew; each is given the new configuration.
        signed: Is told the bundles in use when models were exchanged, to say who has signed them.
    """

    def __init__(
        self,
        config: Config,
        *,
        engine: Engine,
        studies: StudyHalf,
        live: LiveHalf,
        voice: ModelVoice,
        hot: Sequence[Callable[[Config], None]],
        signed: Callable[[Sequence[str]], None],
    ) -> None:
        self.config = config
        self.engine = engine
        self.studies = studies
        self._live = live
        self._voice = voice
        self._hot = tuple(hot)
        self._signed = signed
        self._log = Log("works")
        self.alone = threading.Lock()
        self._changing = threading.Lock()
        self._is_closed = False

    def former(self) -> Former:
        """Return what is at work now, to be filled by a change."""
        return Former(config=self.config, refusals=dict(self.engine.refusals))

    def change(
        self,
        after: Config,
        *,
        models: Sequence[Made] = (),
        anew: Collection[str] = (),
        former: Former | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        """Bring a configuration and models to work.

        Args:
            after: Must not need the process begun anew.
            models: Admitted; each takes the place of the one of its name.
            anew: Pipelines that begin anew though they are configured as before.
            former: Takes up what is put out of work, also where this fails in the middle; left out, it is
                closed.
            go_on: Asked while a series is waited for; ends that by what it raises.

        Raises:
            EdgeError: It does not work; `undo` brings back what did.
        """
        with self._changing:
            kept = former or self.former()
            self._exchange(after, models, anew, kept, go_on)
        if former is None:
            kept.release()

    def restart(self, name: str) -> None:
        """End a pipeline in order and let it begin anew, as it is configured at that moment.

        Raises:
            DocumentRefusedError: schema: there is none of that name.
            EdgeError: It does not begin any more.
        """
        with self._changing:
            known = [one.name for one in self.config.pipelines]
            if name not in known:
                what = f"{ARGUMENT}: no {name!r}; wanted one of {', '.join(known)}"
                raise DocumentRefusedError("schema", what, path=ARGUMENT)
            self._exchange(self.config, (), {name}, self.former())

    def close(self) -> None:
        """End all that looks live, at the stop of the appliance; nothing is changed any more."""
        self._is_closed = True
        is_ours = self._changing.acquire(timeout=CLOSE_S)
        try:
            if not is_ours:
                self._log.warning("a change is left behind", after_s=CLOSE_S)
            self._live.stop()
        finally:
            if is_ours:
                self._changing.release()

    def undo(self, former: Former, *, anew: Collection[str] = ()) -> None:
        """Bring back what was at work before a change, whole or half; what the change had brought is closed.

        Raises:
            EdgeError: It does not work any more.
        """
        back = [made for made in former.models.values() if made is not None]
        gone = {name for name, made in former.models.items() if made is None}
        with self._changing:
            brought = self.former()
            self._exchange(former.config, back, anew if former.is_disturbed else (), brought)
            for name in gone:
                why = former.refusals.get(name, f"{name}: {UNUSED}")
                brought.models[name] = self.engine.withdraw(name, why=why)
                if name in self._voice.bundles:
                    self._voice.say(name)
        former.models.clear()
        brought.release()

    def _exchange(
        self,
        after: Config,
        models: Sequence[Made],
        anew: Collection[str],
        former: Former,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        """Do it: first what may take a series' time, so that no camera is left alone for that long.

        Raises:
            ConfigurationError: The appliance has ended.
            EdgeError: It does not work.
        """
        self._check_open()
        is_of_studies = _of_studies(self.config) != _of_studies(after) or any(
            one.name in anew for one in after.pipelines if not isinstance(one, LivePipeline)
        )
        beginning = {getattr(one, "bundle", "") for one in after.pipelines if one.name in anew}
        self._put([made for made in models if _name(made) not in beginning], former)

        def wait_on() -> None:
            self._check_open()
            go_on()

        with self.studies.between_series(wait_on) if is_of_studies else nullcontext():
            self._check_open()
            former.is_disturbed = True
            self._live.pause(after, anew=anew)
            self._put([made for made in models if _name(made) in beginning], former)
            if is_of_studies:
                self.studies.put(after)
            self._check_open()
            self._live.resume(after)
        unused = set(bundles_of(self.config)) - set(bundles_of(after))
        self.config = after
        for name in sorted(unused):
            withdrawn = self.engine.withdraw(name, why=f"{name}: {UNUSED}")
            if name not in former.models:
                former.models[name] = withdrawn
            elif withdrawn is not None:
                withdrawn.active.model.close()  # it was brought by this very change
        self._voice.speak_of(bundles_of(after))
        if former.models:
            self._signed(bundles_of(after))
        for take_up in self._hot:
            take_up(after)
        exchanged = ",".join(sorted(former.models)) or "no model"
        self._log.info("at work", pipelines=len(after.pipelines), anew=",".join(anew), exchanged=exchanged)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConfigurationError("the appliance is stopping; nothing is changed any more")

    def _put(self, models: Sequence[Made], former: Former) -> None:
        for made in models:
            former.models[_name(made)] = self.engine.exchange(made)


def _name(made: Made) -> str:
    return made.active.bundle.manifest.name


def _of_studies(config: Config) -> tuple[Sequence[Pipeline], Sequence[FolderLikeSource]]:
    """Return what the assessor of series is made of."""
    pipelines = [one for one in config.pipelines if not isinstance(one, LivePipeline)]
    return pipelines, [one for one in config.sources if isinstance(one, FolderLikeSource)]
