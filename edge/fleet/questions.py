"""Questions the fleet may ask, as MQTT 5 request and response: they read, and change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge.domain.ports import Clock
from edge.fleet.report import shown
from edge.kit.log import Log
from edge.kit.moments import told
from edge.kit.mqtt import Message
from edge.kit.stage import contain

ANSWER_SCHEMA: Final = "edge.answer/1"
ANSWER_BYTES_MAX: Final = 200_000
ANSWER_EXPIRES_S: Final = 60
CORRELATION_BYTES_MAX: Final = 256

Answering = Callable[[], Mapping[str, Any]]


class Questions:
    """Answers what came to `rpc/<method>`, only to topics below the prefix of the device itself.

    Whoever may ask must not be able to make the device speak on somebody else's topic.
    """

    def __init__(
        self,
        *,
        prefix: str,
        answers: Mapping[str, Answering],
        post: Callable[[Message], None],
        clock: Clock,
    ) -> None:
        """Store who answers what.

        Args:
            prefix: Of the device; answers go to `<prefix>/reply/…`.
            answers: By method; each returns at once what JSON can hold.
            post: Publishes without waiting.
            clock: Of the machine.
        """
        self._below = f"{prefix}/reply/"
        self._device = prefix.rpartition("/")[2]
        self._answers: dict[str, Answering] = {**answers, "methods": self._methods}
        self._post = post
        self._clock = clock
        self._log = Log("fleet")

    def hear(self, method: str, asked: Message, *, came_ns: int) -> None:
        """Answer a question, unless it came too late or nobody may be answered.

        Args:
            method: What is asked for.
            asked: The message; its payload is not looked at.
            came_ns: Monotonic time at which it came.
        """
        waited_s = (self._clock.monotonic_ns() - came_ns) / 1e9
        if asked.retain or (asked.expiry_s is not None and waited_s > asked.expiry_s):
            self._log.debug("a question of yesterday", method=method)
            return
        if not self._may_answer(asked):
            where = asked.response_topic or "nowhere"
            self._log.debug("a question without answer", method=method, to=where, wanted=self._below + "…")
            return
        self._post(
            Message(
                topic=asked.response_topic,
                payload=self._answer(method),
                expiry_s=ANSWER_EXPIRES_S,
                user_properties=(("schema", ANSWER_SCHEMA),),
                correlation_data=asked.correlation_data,
            )
        )

    def _may_answer(self, asked: Message) -> bool:
        topic = asked.response_topic
        is_ours = topic.startswith(self._below) and len(topic) > len(self._below)
        return (
            is_ours and not set(topic) & set("+#\0") and len(asked.correlation_data) <= CORRELATION_BYTES_MAX
        )

    def _answer(self, method: str) -> bytes:
        found: dict[str, Any] = {}
        if method not in self._answers:
            return self._written(
                method, "unsupported", f"no such question; wanted {', '.join(self._answers)}"
            )
        why = contain(lambda: found.update(self._answers[method]()))
        if why:
            return self._written(method, "failed", why)
        try:
            written = self._written(method, "ok", "", found)
        except (TypeError, ValueError) as trouble:
            return self._written(method, "failed", f"the answer is no JSON: {trouble}")
        if len(written) > ANSWER_BYTES_MAX:
            text = f"the answer has {len(written)} bytes; allowed: at most {ANSWER_BYTES_MAX}"
            return self._written(method, "failed", text)
        return written

    def _written(
        self, method: str, code: str, message: str, answer: Mapping[str, Any] | None = None
    ) -> bytes:
        document = {
            "schema": ANSWER_SCHEMA,
            "device": self._device,
            "method": method,
            "code": code,
            "message": shown(message),
            "answer": answer,
            "at": told(self._clock.utc_ns()),
        }
        return json.dumps(document, allow_nan=False, ensure_ascii=False).encode()

    def _methods(self) -> Mapping[str, Any]:
        return {"methods": sorted(self._answers)}
