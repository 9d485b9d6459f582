"""An RTSP server that stands in for cameras: `with RtspServer(streams={"/or": Stream(...)}) as server:`.

RFC 2326 as far as cameras speak it: OPTIONS, DESCRIBE, SETUP over TCP (interleaved) and UDP, PLAY, PAUSE,
GET_PARAMETER, SET_PARAMETER, TEARDOWN; several receivers for each stream; Basic and Digest.
"""

from __future__ import annotations

import random
import secrets
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self
from urllib.parse import quote

from edge.domain.errors import ConfigurationError
from edge.simulate.rtsp_lines import Connection, Datagrams, Interleaved
from edge.simulate.rtsp_words import (
    Doorkeeper,
    Request,
    Scheme,
    answer,
    description,
    parse_request,
    parse_transport,
)
from edge.simulate.stream import Line, Stream, Subscriber

CONNECTIONS_MAX = 64
SESSIONS_MAX = 8  # of one connection
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_NOISE_BYTES = 8_192
_LOOK_UP_S = 0.2  # how often a waiting thread looks whether a session has run out


class RtspServer:
    """Serves streams while its `with` lasts; on `port` 0 the system chooses one, and later starts keep it.

    Attributes:
        is_deaf: Connections are accepted and requests read, but nothing is answered any more.
        connections_accepted: How many there were.
    """

    def __init__(
        self,
        *,
        streams: Mapping[str, Stream],
        port: int = 0,
        host: str = "127.0.0.1",
        scheme: Scheme | None = None,
        user: str = "edge",
        password: str = "",
        session_timeout_s: float = 60.0,
    ) -> None:
        """Choose what is served.

        Args:
            streams: By path, each beginning with a slash.
            port: TCP port; 0 for one that is free.
            host: Address to listen on.
            scheme: How callers prove who they are; None lets everybody in.
            user: Who may come in.
            password: With which password.
            session_timeout_s: A session without a request or an RTCP packet for so long is ended.
        """
        self.is_deaf = False
        self.connections_accepted = 0
        self.streams = dict(streams)
        self.host, self.port = host, port
        self.session_timeout_s = session_timeout_s
        self.doorkeeper = Doorkeeper(scheme=scheme, user=user, password=password)
        self._login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if scheme else ""
        self._visits: list[_Visit] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def url(self, path: str) -> str:
        """Return the address of a stream, with the login where one is needed."""
        return f"rtsp://{self._login}{self.host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((self.host, self.port))
        except OSError as trouble:
            self._listener.close()
            raise ConfigurationError(
                f"{self.host}:{self.port} cannot be listened on: {trouble.strerror}; wanted a free port"
            ) from trouble
        self._listener.listen(CONNECTIONS_MAX)
        self.port = self._listener.getsockname()[1]
        for path, stream in self.streams.items():
            stream.start(path)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="rtsp", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None, "the server runs"
        assert self._thread is not None, "the server runs"
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._thread.join()
        self._listener.close()
        self.close_connections()
        for stream in self.streams.values():
            stream.stop()

    def close_connections(self) -> None:
        """Cut every connection, as a camera that restarts does; new ones are welcome."""
        with self._lock:
            visits, self._visits = self._visits, []
        for visit in visits:
            visit.cut()
        for visit in visits:
            visit.join()

    def babble(self) -> None:
        """Write noise into every connection, between the packets."""
        with self._lock:
            visits = tuple(self._visits)
        for visit in visits:
            visit.write(random.randbytes(_NOISE_BYTES))  # noqa: S311  # a fault, no secret

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:  # shut down
                return
            self.connections_accepted += 1
            visit = _Visit(self, Connection(line), number=self.connections_accepted)
            with self._lock:
                self._visits = [other for other in self._visits if other.is_alive()]
                is_full = len(self._visits) >= CONNECTIONS_MAX
                if not is_full:
                    self._visits.append(visit)
            if is_full:
                line.close()
            else:
                visit.start()


class _Session:
    """What one SETUP made: a stream, a way to its receiver, and whether it plays."""

    def __init__(self, stream: Stream, line: Line) -> None:
        self.name = secrets.token_hex(4)
        self.stream = stream
        self.line = line
        self.subscriber = Subscriber(line)

    def end(self) -> None:
        self.stream.remove(self.subscriber)
        if isinstance(self.line, Datagrams):
            self.line.close()


class _Visit(threading.Thread):
    """One connection: reads requests and answers them, until it is cut."""

    def __init__(self, server: RtspServer, connection: Connection, *, number: int) -> None:
        super().__init__(name=f"rtsp {number}", daemon=True)
        self._server = server
        self._connection = connection
        self._sessions: dict[str, _Session] = {}
        self._heard_s = time.monotonic()

    def cut(self) -> None:
        """End the connection from another thread."""
        self._connection.cut()

    def write(self, content: bytes) -> None:
        """Send something that nobody asked for."""
        self._connection.send(content)

    def run(self) -> None:
        """Answer until the caller goes."""
        try:
            while not self._has_run_out():
                try:
                    head = self._connection.read(within_s=_LOOK_UP_S)
                except TimeoutError:
                    continue
                self._heard_s = time.monotonic()
                if head and not self._server.is_deaf:
                    self._answer(head)
        except (OSError, EOFError):
            pass  # the caller went, or we were told to cut the line
        finally:
            for session in self._sessions.values():
                session.end()
            self._connection.close()

    def _has_run_out(self) -> bool:
        for session in self._sessions.values():
            if isinstance(session.line, Datagrams) and session.line.heard():
                self._heard_s = time.monotonic()
        return time.monotonic() - self._heard_s > self._server.session_timeout_s

    def _answer(self, head: bytes) -> None:
        request = parse_request(head)
        if request is None:
            self._connection.send(answer(400, Request("", "", {}), {}))
            return
        status, headers, body = self._decide(request)
        self._connection.send(answer(status, request, headers, body))
        if status == 200 and request.method == "PLAY":
            for session in self._chosen(request):
                session.stream.add(session.subscriber)  # after the answer: media before it confuses callers

    def _decide(self, request: Request) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of the answer."""
        if request.method == "OPTIONS":
            return 200, {"Public": _METHODS}, ""
        if not self._server.doorkeeper.admits(request):
            return 401, {"WWW-Authenticate": self._server.doorkeeper.challenge}, ""
        if request.method == "DESCRIBE":
            return self._describe(request)
        if request.method == "SETUP":
            return self._set_up(request)
        if request.method not in _METHODS:
            return 501, {}, ""
        sessions = self._chosen(request)
        if not sessions and request.method in ("PLAY", "PAUSE", "TEARDOWN"):
            return 454, {}, ""
        return self._direct(request, sessions)

    def _describe(self, request: Request) -> tuple[int, dict[str, str], str]:
        stream = self._server.streams.get(request.path)
        if stream is None:
            return 404, {}, ""
        said = description(stream.form, stream.description(), host=self._server.host)
        return 200, {"Content-Base": f"{request.url.rstrip('/')}/", "Content-Type": "application/sdp"}, said

    def _set_up(self, request: Request) -> tuple[int, dict[str, str], str]:
        stream = self._server.streams.get(request.path.removesuffix("/trackID=0"))
        if stream is None:
            return 404, {}, ""
        wanted = parse_transport(request.headers.get("transport", ""))
        if wanted is None:
            return 461, {}, ""
        if len(self._sessions) >= SESSIONS_MAX:
            return 453, {}, ""
        line: Line
        if wanted.is_interleaved:
            line = Interleaved(self._connection, wanted.first, wanted.second)
            said = f"RTP/AVP/TCP;unicast;interleaved={wanted.first}-{wanted.second}"
        else:
            line = Datagrams(self._server.host, self._connection.caller, (wanted.first, wanted.second))
            ours = f"{line.ports[0]}-{line.ports[1]}"
            said = f"RTP/AVP;unicast;client_port={wanted.first}-{wanted.second};server_port={ours}"
        session = _Session(stream, line)
        self._sessions[session.name] = session
        ssrc = f"{session.subscriber.ssrc:08X}"
        return 200, {"Transport": f"{said};ssrc={ssrc}", **self._session_header(session)}, ""

    def _direct(self, request: Request, sessions: Sequence[_Session]) -> tuple[int, dict[str, str], str]:
        """PLAY, PAUSE, TEARDOWN, and the parameters that callers ask for to stay alive."""
        headers = self._session_header(sessions[0]) if sessions else {}
        if request.method == "PLAY":
            track = f"{request.url.rstrip('/')}/trackID=0"
            headers |= {
                "Range": "npt=now-",
                "RTP-Info": f"url={track};seq={sessions[0].subscriber.sequence & 0xFFFF}",
            }
        for session in sessions:
            if request.method == "PAUSE":
                session.stream.remove(session.subscriber)
                session.subscriber.wants_key = True
            if request.method == "TEARDOWN":
                session.end()
                del self._sessions[session.name]
        return 200, headers, ""

    def _chosen(self, request: Request) -> list[_Session]:
        name = request.headers.get("session", "").partition(";")[0].strip()
        return [session for session in self._sessions.values() if session.name == name]

    def _session_header(self, session: _Session) -> dict[str, str]:
        return {"Session": f"{session.name};timeout={max(round(self._server.session_timeout_s), 1)}"}
