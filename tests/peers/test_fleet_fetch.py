"""Packages of the fleet fetched from real web servers, also from those that break off and lie."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.errors import DocumentRefusedError
from edge.fleet import fetch as fetching
from edge.fleet import part
from edge.fleet.addresses import shown, trouble_with
from edge.fleet.cancel import Cancel
from edge.fleet.documents import BundleWanted
from edge.fleet.fetch import KEPT, Fetcher
from edge.fleet.pace import Pace
from edge.kit.backoff import Backoff
from edge.kit.clock import SystemClock
from tests.peers.broker import Certificates
from tests.peers.package_server import (
    PackageServer,
    Request,
    chunked,
    partly,
    ranges,
    silence,
    status,
    unmeasured,
    whole,
    whole_partly,
)
from tests.waiting import until

CONTENT = bytes(range(256)) * 300
OTHER = bytes(reversed(CONTENT))
AT_ONCE = Backoff(min_s=0.001, max_s=0.002)


def wanted(url: str, content: bytes = CONTENT) -> BundleWanted:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return BundleWanted(version="1.0.0", digest=digest, url=url, size_bytes=len(content))


def fetcher(folder: Path, mirror: str = "", *, rounds_max: int = 3, idle_s: float = 5.0) -> Fetcher:
    return Fetcher(folder, mirror=mirror, backoff=AT_ONCE, rounds_max=rounds_max, idle_s=idle_s)


def fetch(
    one: Fetcher, meant: BundleWanted, cancel: Cancel | None = None, tell: Callable[[int], object] = id
) -> Path:
    return one.fetch(meant, path="bundles.tiny", cancel=cancel or Cancel(), tell=tell)


def encrypted(certificates: Path, folder: Path) -> tuple[ssl.SSLContext, Fetcher]:
    """Make what a server encrypts with, and a fetcher that believes it."""
    ca_file = Certificates(certificates).ca_file
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificates / "broker.crt", certificates / "broker.key")
    ours = Fetcher(folder, backoff=AT_ONCE, tls=lambda: ssl.create_default_context(cafile=ca_file))
    return theirs, ours


def refused(one: Fetcher, meant: BundleWanted, cancel: Cancel | None = None) -> tuple[str, str, str]:
    with pytest.raises(DocumentRefusedError) as refusal:
        fetch(one, meant, cancel)
    return refusal.value.code, refusal.value.path, str(refusal.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "packages"


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


# ── how fast it comes ─────────────────────────────────────────────────────────────────────────────────────


def test_all_downloads_together_keep_to_their_pace(folder: Path) -> None:
    bytes_per_s = 400_000
    slow = Fetcher(folder, backoff=AT_ONCE, pace=Pace(bytes_per_s, SystemClock()))
    with PackageServer(CONTENT) as one, PackageServer(OTHER) as other:
        meant = [wanted(one.url), wanted(other.url, OTHER)]
        began_s = time.monotonic()
        threads = [threading.Thread(target=fetch, args=(slow, each)) for each in meant]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        took_s = time.monotonic() - began_s
    assert names(folder) == [".edgebundle", ".edgebundle"]
    assert took_s >= 0.9 * 2 * len(CONTENT) / bytes_per_s


def test_a_slow_download_ends_at_once_when_it_is_cancelled(folder: Path) -> None:
    cancel = Cancel()
    slow = Fetcher(folder, backoff=AT_ONCE, pace=Pace(10, SystemClock()))
    with PackageServer(CONTENT) as server:
        thread = threading.Thread(target=refused, args=(slow, wanted(server.url), cancel))
        thread.start()
        until(lambda: any(path.stat().st_size for path in folder.glob("*.part")), within_s=5)
        began_s = time.monotonic()
        cancel.ask()
        thread.join(5)
    assert time.monotonic() - began_s < 2


# ── what comes whole ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("usual", [ranges, whole, chunked, unmeasured()])
def test_a_package_is_fetched_and_proved(folder: Path, usual: Callable[[Request], None]) -> None:
    told: list[int] = []
    with PackageServer(CONTENT).always(usual) as server:
        file = fetch(fetcher(folder), wanted(server.url), tell=told.append)
    assert file.read_bytes() == CONTENT
    assert names(folder) == [".edgebundle"]
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


def test_what_is_here_already_is_not_fetched_again(folder: Path) -> None:
    with PackageServer(CONTENT) as server:
        meant = wanted(server.url)
        assert fetch(fetcher(folder), meant) == fetch(fetcher(folder), meant)
        assert len(server.paths_asked) == 1
    assert names(folder) == [".edgebundle"]


def test_a_package_that_was_damaged_here_is_fetched_again(folder: Path) -> None:
    with PackageServer(CONTENT) as server:
        fetch(fetcher(folder), wanted(server.url)).write_bytes(OTHER)
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT


def test_two_who_want_one_package_fetch_it_once(folder: Path) -> None:
    release = threading.Event()
    with PackageServer(CONTENT, silence(release)) as server:
        meant, got = wanted(server.url), []
        both = [
            threading.Thread(target=lambda: got.append(fetch(fetcher(folder), meant).read_bytes()))
            for _ in range(2)
        ]
        for one in both:
            one.start()
        until(lambda: server.paths_asked, within_s=5)
        release.set()
        for one in both:
            one.join()
        assert got == [CONTENT, CONTENT]
        assert server.ranges_asked == ["", "bytes=10-"]


# ── what breaks off ───────────────────────────────────────────────────────────────────────────────────────


def test_a_line_that_breaks_is_taken_up_where_it_broke(folder: Path) -> None:
    with PackageServer(CONTENT, partly(1000), partly(2000), partly(0)) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=1000-", "bytes=3000-", "bytes=3000-"]


def test_a_server_without_ranges_begins_anew(folder: Path) -> None:
    with PackageServer(CONTENT, whole_partly(5000), whole_partly(7000)).always(whole) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=5000-", "bytes=7000-"]


def test_a_server_that_never_comes_further_is_given_up(folder: Path) -> None:
    with PackageServer(CONTENT).always(whole_partly(5000)) as server:
        code, path, why = refused(fetcher(folder), wanted(server.url))
    assert (code, path) == ("download", "bundles.tiny")
    assert f"broke off after 5000 of {len(CONTENT)} bytes" in why


def test_what_an_earlier_run_left_is_used(folder: Path) -> None:
    cancel = Cancel()
    release = threading.Event()
    with PackageServer(CONTENT, silence(release)) as server:
        meant = wanted(server.url)
        ending = threading.Thread(target=lambda: refused(fetcher(folder), meant, cancel))
        ending.start()
        until(lambda: folder.is_dir() and any(path.stat().st_size for path in folder.iterdir()), within_s=5)
        cancel.ask()
        ending.join()
        release.set()
        assert names(folder) == [".part"]
        assert fetch(fetcher(folder), meant).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=10-"]


def test_a_download_survives_kill_9(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.fleet.cancel import Cancel;"
        "from edge.fleet.documents import BundleWanted; from edge.fleet.fetch import Fetcher;"
        "wanted = BundleWanted.model_validate_json(sys.argv[2]);"
        "Fetcher(Path(sys.argv[1])).fetch(wanted, path='', cancel=Cancel(), tell=lambda _: None)"
    )
    release = threading.Event()
    with PackageServer(CONTENT, silence(release)) as server:
        meant = wanted(server.url)
        child = subprocess.Popen([sys.executable, "-c", program, str(folder), meant.model_dump_json()])
        until(lambda: folder.is_dir() and any(path.stat().st_size for path in folder.iterdir()), within_s=20)
        child.kill()
        child.wait()
        release.set()
        assert fetch(fetcher(folder), meant).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=10-"]


def test_a_part_that_a_power_cut_has_spoiled_is_fetched_anew(folder: Path) -> None:
    with PackageServer(CONTENT) as server:
        meant = wanted(server.url)
        folder.mkdir()
        (folder / f"{meant.digest.removeprefix('sha256:')}.part").write_bytes(b"\0" * 5000)
        assert fetch(fetcher(folder), meant).read_bytes() == CONTENT
        assert server.ranges_asked == ["bytes=5000-", ""]


@pytest.mark.parametrize("left", [CONTENT + b"more", OTHER], ids=["longer", "other bytes, all of them"])
def test_a_part_that_cannot_be_right_is_dropped(folder: Path, left: bytes) -> None:
    with PackageServer(CONTENT) as server:
        meant = wanted(server.url)
        folder.mkdir()
        (folder / f"{meant.digest.removeprefix('sha256:')}.part").write_bytes(left)
        assert fetch(fetcher(folder), meant).read_bytes() == CONTENT
        assert server.ranges_asked == [""]


def test_a_whole_part_needs_no_server(folder: Path) -> None:
    meant = wanted("http://127.0.0.1:9/nobody")
    folder.mkdir()
    (folder / f"{meant.digest.removeprefix('sha256:')}.part").write_bytes(CONTENT)
    assert fetch(fetcher(folder), meant).read_bytes() == CONTENT


def test_waiting_ends_at_once_when_it_is_cancelled(folder: Path) -> None:
    cancel, release = Cancel(), threading.Event()
    with PackageServer(CONTENT).always(silence(release)) as server:
        threading.Timer(0.1, cancel.ask).start()
        began_s = time.monotonic()
        code, _, why = refused(fetcher(folder, idle_s=30), wanted(server.url), cancel)
        assert time.monotonic() - began_s < 2
        assert (code, "was cancelled" in why) == ("download", True)
        release.set()


def test_a_pause_ends_at_once_when_it_is_cancelled(folder: Path) -> None:
    cancel = Cancel()
    with PackageServer(CONTENT).always(status(503, Retry_After=60)) as server:
        threading.Timer(0.1, cancel.ask).start()
        began_s = time.monotonic()
        assert "was cancelled" in refused(fetcher(folder), wanted(server.url), cancel)[2]
        assert time.monotonic() - began_s < 2


def test_a_server_that_falls_silent_is_left(folder: Path) -> None:
    release = threading.Event()
    with PackageServer(CONTENT, silence(release)) as server:
        assert fetch(fetcher(folder, idle_s=0.2), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=10-"]
        release.set()


# ── what is not the one meant ─────────────────────────────────────────────────────────────────────────────


def test_a_server_with_another_length_is_refused_before_it_sends(folder: Path) -> None:
    with PackageServer(CONTENT + b"more") as server:
        code, _, why = refused(fetcher(folder), wanted(server.url))
    assert code == "digest"
    assert f"has {len(CONTENT) + 4} bytes, the document says {len(CONTENT)}" in why
    assert names(folder) == []


def test_a_server_that_sends_more_than_was_meant_is_refused(folder: Path) -> None:
    with PackageServer(CONTENT).always(unmeasured(b"more")) as server:
        assert refused(fetcher(folder), wanted(server.url))[0] == "digest"
    assert names(folder) == []


def test_other_bytes_are_refused_and_not_kept(folder: Path) -> None:
    with PackageServer(OTHER) as server:
        code, _, why = refused(fetcher(folder), wanted(server.url))
        assert len(server.paths_asked) == 1
    assert (code, "its sha256 is not" in why) == ("digest", True)
    assert names(folder) == []


def test_other_bytes_on_resumption_are_found_and_fetched_anew(folder: Path) -> None:
    with PackageServer(CONTENT, partly(1000), partly(len(OTHER), content=OTHER)) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=1000-", ""]


def test_a_server_that_mixes_two_files_for_ever_is_refused(folder: Path) -> None:
    def mixes(request: Request) -> None:
        (partly(len(OTHER), content=OTHER) if request.first else partly(1000))(request)

    with PackageServer(CONTENT).always(mixes) as server:
        assert refused(fetcher(folder), wanted(server.url))[0] == "digest"
        assert len(server.paths_asked) == 6
    assert names(folder) == []


@pytest.mark.parametrize(
    "odd",
    [
        status(416, Content_Range=f"bytes */{len(CONTENT)}"),
        status(206, Content_Range=f"bytes 3-9/{len(CONTENT)}"),
        status(206, Content_Range="nonsense"),
        status(206),
    ],
)
def test_an_odd_answer_to_a_range_leads_to_the_whole(folder: Path, odd: Callable[[Request], None]) -> None:
    with PackageServer(CONTENT, partly(1000), odd) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["", "bytes=1000-", ""]


def test_a_range_that_nobody_asked_for_is_refused(folder: Path) -> None:
    odd = status(206, Content_Range=f"bytes 3-9/{len(CONTENT)}")
    with PackageServer(CONTENT).always(odd) as server:
        assert "begins at byte 3, asked from 0 on" in refused(fetcher(folder), wanted(server.url))[2]


def test_a_file_that_changed_meanwhile_is_not_mixed(folder: Path) -> None:
    """The server is told which state of the file we have a part of; of another it gives the whole."""

    def new_state(request: Request) -> None:
        tags.append(request.headers.get("If-Range", ""))
        whole(request)

    tags: list[str] = []
    with PackageServer(CONTENT, partly(1000), new_state) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT
    assert tags == ['"one"']


# ── who is not there ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [404, 403, 410])
def test_a_server_that_has_none_is_asked_once(folder: Path, code: int) -> None:
    with PackageServer(CONTENT).always(status(code)) as server:
        said = refused(fetcher(folder), wanted(server.url))
        assert said[0] == "download"
        assert f"answers {code}" in said[2]
        assert len(server.paths_asked) == 1


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_server_that_is_busy_is_asked_again(folder: Path, code: int) -> None:
    with PackageServer(CONTENT, status(code), status(code)) as server:
        assert fetch(fetcher(folder), wanted(server.url)).read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up(folder: Path) -> None:
    with PackageServer(CONTENT).always(status(503)) as server:
        assert refused(fetcher(folder, rounds_max=4), wanted(server.url))[0] == "download"
        assert len(server.paths_asked) == 4


def test_nobody_at_the_address_is_a_download_that_failed(folder: Path) -> None:
    code, path, why = refused(fetcher(folder), wanted("http://127.0.0.1:9/tiny.edgebundle"))
    assert (code, path) == ("download", "bundles.tiny")
    assert "http://127.0.0.1:9/tiny.edgebundle: ConnectionRefusedError" in why


def test_a_compressed_answer_is_refused(folder: Path) -> None:
    with PackageServer(CONTENT).always(status(200, Content_Encoding="gzip")) as server:
        assert "encoded as 'gzip'" in refused(fetcher(folder), wanted(server.url))[2]


def test_what_there_is_no_room_for_is_not_begun(folder: Path) -> None:
    with PackageServer(CONTENT) as server:
        crowded = Fetcher(folder, reserve_bytes=1 << 60)
        code, _, why = refused(crowded, wanted(server.url))
        assert server.paths_asked == []
    assert (code, f"wanted {len(CONTENT)}" in why) == ("download", True)


# ── where it leads ────────────────────────────────────────────────────────────────────────────────────────


def test_while_a_package_comes_it_is_looked_whether_there_is_room_for_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_bytes = iter([len(CONTENT) + 100, 90, 90, 90])
    monkeypatch.setattr(fetching, "ROOM_EVERY_BYTES", len(CONTENT) // 2)
    monkeypatch.setattr(part, "PIECE_BYTES", len(CONTENT) // 4)
    monkeypatch.setattr(fetching, "free_bytes", lambda _: next(room_bytes))
    with PackageServer(CONTENT) as server:
        code, path, why = refused(Fetcher(folder, reserve_bytes=100, backoff=AT_ONCE), wanted(server.url))
    assert (code, path) == ("download", "bundles.tiny")
    assert "0 bytes are free above the reserve" in why


def test_a_server_may_lead_on_to_another(folder: Path) -> None:
    with PackageServer(CONTENT) as second, PackageServer(b"") as first:
        first.always(status(302, Location=second.url))
        assert fetch(fetcher(folder), wanted(first.url)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/hostname", "a web server may not name a file here"),
        ("ftp://127.0.0.1/x", "wanted one of https, http, file"),
        ("http://name:s3cret@127.0.0.1/x", "names a user or a password"),
        ("", "names no place"),
        ("/again", "leads on more than 5 times"),
    ],
)
def test_a_server_may_not_lead_anywhere(folder: Path, location: str, why: str) -> None:
    with PackageServer(CONTENT).always(status(301, Location=location)) as server:
        code, _, said = refused(fetcher(folder), wanted(server.url))
    assert code == "download"
    assert why in said
    assert "s3cret" not in said


def test_tls_is_checked_and_may_not_be_left(tmp_path: Path, folder: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(tmp_path / "tls" / "broker.crt", tmp_path / "tls" / "broker.key")
    ours = Fetcher(
        folder, backoff=AT_ONCE, tls=lambda: ssl.create_default_context(cafile=certificates.ca_file)
    )
    with PackageServer(CONTENT, tls=theirs) as server:
        assert fetch(ours, wanted(server.url)).read_bytes() == CONTENT
        ours.remove(wanted(server.url))
        code, _, why = refused(Fetcher(folder, backoff=AT_ONCE), wanted(server.url))
        assert (code, "its certificate is not believed" in why) == ("download", True)
        server.always(status(302, Location="http://127.0.0.1/x"))
        assert "leads from https to http" in refused(ours, wanted(server.url))[2]


def test_cancelling_cuts_an_encrypted_line_too(tmp_path: Path, folder: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(tmp_path / "tls" / "broker.crt", tmp_path / "tls" / "broker.key")
    ours = Fetcher(
        folder, backoff=AT_ONCE, tls=lambda: ssl.create_default_context(cafile=certificates.ca_file)
    )
    cancel, release = Cancel(), threading.Event()
    with PackageServer(CONTENT, tls=theirs).always(silence(release)) as server:
        threading.Timer(0.1, cancel.ask).start()
        began_s = time.monotonic()
        assert "was cancelled" in refused(ours, wanted(server.url), cancel)[2]
        assert time.monotonic() - began_s < 2
        release.set()


# ── files and mirrors ─────────────────────────────────────────────────────────────────────────────────────


def test_a_package_may_lie_on_the_device(tmp_path: Path, folder: Path) -> None:
    lies = tmp_path / "with a blank, and ü.edgebundle"
    lies.write_bytes(CONTENT)
    assert fetch(fetcher(folder), wanted(lies.as_uri())).read_bytes() == CONTENT
    lies.write_bytes(CONTENT[:-1])
    fetcher(folder).remove(wanted(lies.as_uri()))
    assert refused(fetcher(folder), wanted(lies.as_uri()))[0] == "digest"


def test_what_is_no_plain_file_is_refused(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is no plain file" in refused(fetcher(folder), wanted((tmp_path / "pipe").as_uri()))[2]
    assert refused(fetcher(folder), wanted((tmp_path / "none").as_uri()))[0] == "download"
    assert refused(fetcher(folder), wanted(tmp_path.as_uri()))[0] == "download"


@pytest.mark.parametrize("name", ["tiny-1.0.0.edgebundle", "{digest}.edgebundle"])
def test_a_mirror_goes_first(tmp_path: Path, folder: Path, name: str) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    digest = hashlib.sha256(CONTENT).hexdigest()
    (mirror / name.format(digest=digest)).write_bytes(CONTENT)
    with PackageServer(CONTENT) as server:
        assert fetch(fetcher(folder, str(mirror)), wanted(server.url)).read_bytes() == CONTENT
        assert server.paths_asked == []


def test_a_mirror_may_be_a_web_server(folder: Path) -> None:
    with PackageServer(CONTENT) as mirror:
        meant = wanted("http://127.0.0.1:9/a/tiny-1.0.0.edgebundle")
        assert fetch(fetcher(folder, f"{mirror.root}/packages/"), meant).read_bytes() == CONTENT
        assert mirror.paths_asked == ["/packages/tiny-1.0.0.edgebundle"]


def test_a_mirror_that_lies_or_is_empty_does_no_harm(tmp_path: Path, folder: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "tiny-1.0.0.edgebundle").write_bytes(OTHER)
    with PackageServer(CONTENT) as server:
        assert fetch(fetcher(folder, str(mirror)), wanted(server.url)).read_bytes() == CONTENT


def test_what_a_mirror_has_begun_the_address_ends(folder: Path) -> None:
    with PackageServer(CONTENT, partly(1000)) as mirror, PackageServer(CONTENT) as server:
        mirror.always(status(404))
        assert fetch(fetcher(folder, mirror.root), wanted(server.url)).read_bytes() == CONTENT
        assert server.ranges_asked == ["bytes=1000-"]


def test_only_the_newest_packages_are_kept_and_those_that_are_wanted(tmp_path: Path, folder: Path) -> None:
    meant = []
    for number in range(KEPT + 3):
        content = b"%d" % number
        (tmp_path / f"{number}").write_bytes(content)
        meant.append(wanted((tmp_path / f"{number}").as_uri(), content))
        os.utime(fetch(fetcher(folder), meant[-1]), ns=(number, number))
    fetcher(folder).sweep([meant[0].digest])
    left = {path.stem for path in folder.iterdir()}
    assert left == {one.digest.removeprefix("sha256:") for one in (meant[0], *meant[-KEPT:])}


# ── addresses ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "wanted one of"),
        ("/srv/x", "wanted one of"),
        ("http:///x", "names no host"),
        ("http://host:0/x", "names no host"),
        ("http://host:99999/x", "is no address"),
        ("http://[::1/x", "is no address"),
        ("https://user:w0rd@host/x", "names a user or a password"),
        ("https://host/x#part", "a part of a document"),
        ("https://host/x y", "without blanks"),
        ("https://host/x\r\nHost: other", "printable"),
        ("https://höst/x", "printable ASCII"),
        ("file://elsewhere/x", "on the device itself"),
        ("file:x", "on the device itself"),
        ("file:///x?y", "on the device itself"),
        ("file:///x%00y", "on the device itself"),
    ],
)
def test_an_address_that_cannot_be_followed_is_refused_unasked(folder: Path, url: str, why: str) -> None:
    unchecked = wanted("https://host/x").model_copy(update={"url": url})
    code, path, said = refused(fetcher(folder), unchecked)
    assert (code, path) == ("schema", "bundles.tiny.url")
    assert why in said
    assert "w0rd" not in said


@given(st.text(alphabet="ab:/@?#%[]. \n", max_size=30), st.text(alphabet="xyz", min_size=4, max_size=8))
def test_what_is_said_of_an_address_never_holds_a_secret(rest: str, secret: str) -> None:
    for url in (f"https://user:{secret}@host/{rest}", f"https://host/p?token={secret}"):
        assert secret not in shown(url)
        assert secret not in trouble_with(url)
    assert trouble_with(f"https://user:{secret}@host/{rest}")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """No thread of ours outlives its test."""
    before = threading.active_count()
    yield
    until(lambda: threading.active_count() <= before, within_s=5)
