"""The parts of a running appliance that may become others while it runs, and the order in which they do.

    events of what is concerned end ─▶ between two series: models, then who looks with them ─▶ it begins

Doors, journal and outbox are never touched: what comes in meanwhile waits, and what is not concerned goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edge.config.schema import Config
from edge.daemon.live import LiveHalf
from edge.daemon.models import ModelVoice
from edge.daemon.parts import bundles_of
from edge.daemon.studies import StudyHalf
from edge.inference.engine import Engine
from edge.inference.making import Made
from edge.kit.log import Log

UNUSED = "no pipeline looks with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What a change has put out of work; it is kept until it is known that nobody wants it back.

    Attributes:
        config: That was at work before.
        models: That answered before, open; by name of their bundle, None for one that had no model.
    """

    config: Config
    models: dict[str, Made | None]


class Works:
    """What is at work; one thread at a time changes it.

    Args:
        config: With which everything was opened.
        engine: Open.
        studies: Open.
        live: Open.
        voice: Says how models are.
        hot: Take up values that need no part built anew; each is given the new configuration.
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
    ) -> None:
        self.config = config
        self.engine = engine
        self.studies = studies
        self._live = live
        self._voice = voice
        self._hot = tuple(hot)
        self._log = Log("works")

    def change(self, after: Config, *, models: Sequence[Made] = (), anew: Collection[str] = ()) -> Exchanged:
        """Bring a configuration and models to work.

        Args:
            after: Must not need the process begun anew.
            models: Admitted; each takes the place of the one of its name.
            anew: Bundles among them that their pipelines begin anew for: what they say differs in more than
                numbers.

        Returns:
            What was at work before.

        Raises:
            EdgeError: It does not work; `undo` brings back what was. What is said by then is at work.
        """
        before = self.config
        exchanged = Exchanged(config=before, models={})
        self._exchange(after, models, anew, exchanged.models)
        return exchanged

    def undo(self, exchanged: Exchanged, *, anew: Collection[str] = ()) -> list[Made]:
        """Bring back what was at work before a change, whole or half.

        Returns:
            The models that the change had brought; they answer no more.
        """
        put_out: dict[str, Made | None] = {}
        back = [made for made in exchanged.models.values() if made is not None]
        self._exchange(exchanged.config, back, anew, put_out)
        return [made for made in put_out.values() if made is not None]

    def _exchange(
        self,
        after: Config,
        models: Sequence[Made],
        anew: Collection[str],
        put_out: dict[str, Made | None],
    ) -> None:
        """Do it; `put_out` is filled as it goes, so that half of it can be taken back."""
        looking = {one.name for one in after.pipelines if getattr(one, "bundle", None) in anew}
        self._live.pause(after, anew=looking)
        with self.studies.between_series():
            for made in models:
                name = made.active.bundle.manifest.name
                put_out[name] = self.engine.exchange(made)
            self.studies.put(after)
        self._live.resume(after)
        self.config = after
        for name in self._voice.bundles:
            if name not in bundles_of(after):
                put_out[name] = self.engine.withdraw(name, why=f"{name}: {UNUSED}")
        self._voice.speak_of(bundles_of(after))
        for take_up in self._hot:
            take_up(after)
        self._log.info("at work", pipelines=len(after.pipelines), exchanged=",".join(put_out) or "nothing")
