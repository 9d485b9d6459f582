"""Questions to an RTSP server and its answers; who we are is said as soon as it asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from edge.domain.errors import SourceLostError, UnsupportedError
from edge.sources.rtsp.auth import Account, Challenge
from edge.sources.rtsp.line import Deadline, Line
from edge.sources.rtsp.wire import Answer, Interleaved, Request

_EARLY_MAX = 4096  # packets that may overtake the answer to PLAY
_OK = 200
UNAUTHORIZED = 401


class Exchange:
    """Asks over one line."""

    def __init__(self, line: Line, *, account: Account | None, basic_is_allowed: bool) -> None:
        """Begin.

        Args:
            line: Connected.
            account: Who we are, or None.
            basic_is_allowed: Whether the password itself may go to this server.
        """
        self.line = line
        self.session = ""
        self.early: deque[Interleaved] = deque(maxlen=_EARLY_MAX)
        self._account = account
        self._basic_is_allowed = basic_is_allowed
        self._challenge: Challenge | None = None
        self._number = 0

    def ask(
        self, method: str, url: str, *, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask, say who we are if asked, and return the answer: any that is not 401.

        Raises:
            SourceLostError: No answer before the deadline, or the server does not let us in.
        """
        attempts = 0
        while True:
            number = self.post(method, url, deadline=deadline, headers=headers)
            answer = self._answer(number, method, deadline)
            if answer.status != UNAUTHORIZED:
                return answer
            attempts += 1
            self._meet(answer, is_again=self._challenge is not None, attempts=attempts)

    def demand(
        self, method: str, url: str, *, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask and return the answer, which is 200.

        Raises:
            SourceLostError: It is not, or as in `ask`.
        """
        answer = self.ask(method, url, deadline=deadline, headers=headers)
        if answer.status != _OK:
            raise SourceLostError(f"{self.line.where}: {method} answered {answer.status} {answer.reason}")
        return answer

    def post(
        self, method: str, url: str, *, deadline: Deadline, headers: Mapping[str, str] | None = None
    ) -> int:
        """Ask without waiting for the answer; return the number it will have."""
        self._number += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._number}", "User-Agent: edge"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if self.session:
            lines.append(f"Session: {self.session}")
        if self._challenge is not None and self._account is not None:
            said = self._challenge.answer(self._account, method=method, uri=url)
            lines.append(f"Authorization: {said}")
        self.line.send(("\r\n".join(lines) + "\r\n\r\n").encode(), deadline=deadline)
        return self._number

    def reply(self, request: Request, *, deadline: Deadline) -> None:
        """Answer what the server asks of us: that we are here, and that we cannot do anything else."""
        status = (
            "200 OK" if request.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER") else "501 Not ours"
        )
        number = request.headers.get("cseq", "0")
        self.line.send(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n\r\n".encode(), deadline=deadline)

    def renew(self, answer: Answer) -> None:
        """Take up a challenge that came with the answer to a `post`: the server changed its nonce.

        Raises:
            SourceLostError: It is none that we can meet.
        """
        self._meet(answer, is_again=False, attempts=1)

    def _answer(self, number: int, method: str, deadline: Deadline) -> Answer:
        while not deadline.is_over:
            if not self.line.wait(deadline=deadline):
                continue
            found: Answer | None = None
            for thing in self.line.read():
                if isinstance(thing, Interleaved):
                    self.early.append(thing)
                elif isinstance(thing, Request):
                    self.reply(thing, deadline=deadline)
                elif thing.headers.get("cseq", str(number)).strip() == str(number):
                    found = thing
            if found is not None:
                return found
        stray = (
            f" ({self.line.wire.stray_bytes} bytes that are not RTSP)" if self.line.wire.stray_bytes else ""
        )
        raise SourceLostError(
            f"{self.line.where}: accepted the connection and did not answer {method}{stray}"
        )

    def _meet(self, answer: Answer, *, is_again: bool, attempts: int) -> None:
        """Take up a challenge."""
        if self._account is None:
            raise SourceLostError(
                f"{self.line.where}: wants a user name and a password, and has been given none"
            )
        try:
            challenge = Challenge(
                answer.headers.get("www-authenticate", ""), basic_is_allowed=self._basic_is_allowed
            )
        except UnsupportedError as trouble:
            raise SourceLostError(f"{self.line.where}: {trouble}") from trouble
        if is_again and (attempts > 2 or not challenge.is_stale):
            raise SourceLostError(
                f"{self.line.where}: refuses the user name or the password ({challenge.kind})"
            )
        self._challenge = challenge
