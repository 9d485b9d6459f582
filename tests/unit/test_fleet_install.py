"""Bundles of the fleet: staged beside what is in use, switched at once, and switched back after any crash."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.bundles.installed import KEPT, Changing, Store
from edge.bundles.package import pack
from edge.bundles.signature import ANYBODY, Trust, make_key, sign, trust_of
from edge.bundles.store import Bundle, find
from edge.domain.errors import BundleRejectedError, DocumentRefusedError
from edge.fleet import install as staging
from edge.fleet import switch as switching
from edge.fleet.documents import BundleWanted
from edge.fleet.install import Stager, attempt_of
from edge.fleet.ports import Wanted
from edge.fleet.staging import StagingJob
from edge.kit.files import write_durably
from tests.builders.bundles import golden, network, write_bundle
from tests.waiting import until

NETWORK, GOLDEN = network(), golden()


def package(
    folder: Path, version: str, *, name: str = "tiny", signing: Callable[[Path], object] = str
) -> BundleWanted:
    """A package of a bundle, and how a document speaks of it."""
    shutil.rmtree(folder / "made", ignore_errors=True)
    written = write_bundle(
        folder / "made",
        name=name,
        networks={"fp32": NETWORK},
        golden_npz=GOLDEN,
        edit=lambda manifest: manifest.update(version=version),
    )
    signing(written)
    file = pack(written, folder)
    content = file.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return BundleWanted(version=version, digest=digest, url=file.as_uri(), size_bytes=len(content))


def wait(job: StagingJob) -> None:
    until(job.done, within_s=10)
    job.result()


def refusal(job: StagingJob) -> tuple[str, str, str]:
    until(job.done, within_s=10)
    with pytest.raises(DocumentRefusedError) as refused:
        job.result()
    return refused.value.code, refused.value.path, str(refused.value)


class Site:
    """A store and a stager over it, in a folder."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.store = Store(folder / "store")
        self.stager = Stager(self.store, options.pop("trust", ANYBODY), folder / "fleet", **options)

    def in_use(self) -> dict[str, str]:
        """The version of each bundle that is in use."""
        return {one.name: one.version for one in self.store.versions() if one.state == "active"}

    def bring(self, bundles: Mapping[str, BundleWanted], attempt: str) -> None:
        wait(self.stager.job(bundles))
        self.stager.switch(bundles, attempt=attempt)

    def install(self, wanted: BundleWanted) -> None:
        """What a person at the box does."""
        with self.store.opened() as changing:
            with changing.unpacked(Path(wanted.url.removeprefix("file://")), ANYBODY) as bundle:
                folder = changing.add(bundle)
            changing.activate(folder)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.stager:
        yield made


# ── staging ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_staged_is_there_and_not_in_use(site: Site, tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    wait(site.stager.job({"tiny": meant}))
    assert site.in_use() == {}
    assert site.stager.bundle("tiny", meant).manifest.version == "1.0.0"
    assert not site.stager.is_in_use("tiny", meant)
    assert site.stager.package_in_use("tiny") == ""
    site.stager.switch({"tiny": meant}, attempt="1")
    assert find("tiny", [site.store.root]).manifest.version == "1.0.0"
    assert site.stager.is_in_use("tiny", meant)
    assert site.stager.package_in_use("tiny") == meant.digest
    assert list((tmp_path / "fleet" / "packages").iterdir()) == []


def test_what_the_store_has_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    wait(site.stager.job({"tiny": meant}))
    Path(meant.url.removeprefix("file://")).unlink()
    wait(site.stager.job({"tiny": meant}))
    wait(site.stager.fetch({"tiny": meant}))


def test_what_was_damaged_in_the_store_is_fetched_again(site: Site, tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    wait(site.stager.job({"tiny": meant}))
    folder = site.stager.folder_of("tiny", meant)
    assert folder is not None
    (folder / "golden.npz").write_bytes(b"other")
    with pytest.raises(DocumentRefusedError, match="sha256"):
        site.stager.bundle("tiny", meant)
    wait(site.stager.job({"tiny": meant}))
    assert site.stager.bundle("tiny", meant).path == folder


def test_what_was_fetched_ahead_needs_no_network_later(site: Site, tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    wait(site.stager.fetch({"tiny": meant}))
    assert site.stager.folder_of("tiny", meant) is None
    Path(meant.url.removeprefix("file://")).unlink()
    wait(site.stager.job({"tiny": meant}))
    assert site.stager.folder_of("tiny", meant)


def test_a_bundle_that_nobody_signed_whom_we_believe_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "clinic.key", tmp_path / "clinic.pub")
    make_key(tmp_path / "other.key", tmp_path / "other.pub")
    trust = trust_of([("clinic", tmp_path / "clinic.pub")], allows_unsigned=False)
    site = Site(tmp_path, trust=trust)
    with site.stager:
        unsigned, signed = package(tmp_path, "1.0.0"), partial(sign, key="clinic")
        code, path, why = refusal(site.stager.job({"tiny": unsigned}))
        assert (code, path) == ("admission", "bundles.tiny")
        assert why.startswith("tiny 1.0.0: is not signed; wanted a signature by clinic")
        foreign = package(tmp_path, "1.0.0", signing=partial(signed, key_file=tmp_path / "other.key"))
        assert "is not that of the key 'clinic'" in refusal(site.stager.job({"tiny": foreign}))[2]
        assert site.store.versions() == []
        right = package(tmp_path, "2.0.0", signing=partial(signed, key_file=tmp_path / "clinic.key"))
        wait(site.stager.job({"tiny": right}))
        assert site.stager.bundle("tiny", right).signed_by == "clinic"


def test_a_key_that_is_believed_no_longer_makes_no_staged_bundle_usable(tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    first = Site(tmp_path)
    with first.stager:
        first.bring({"tiny": meant}, "1")
    later = Site(tmp_path, trust=Trust())
    with later.stager:
        assert refusal(later.stager.job({"tiny": meant}))[0] == "admission"
        with pytest.raises(DocumentRefusedError, match="is not signed"):
            later.stager.switch({"tiny": meant}, attempt="2")


@pytest.mark.parametrize(
    ("called", "change", "why"),
    [
        ("other", {}, "holds tiny 1.0.0, the document says other 1.0.0"),
        ("tiny", {"version": "1.0.1"}, "holds tiny 1.0.0, the document says tiny 1.0.1"),
    ],
)
def test_another_bundle_than_the_document_says_is_refused(
    site: Site, tmp_path: Path, called: str, change: dict[str, Any], why: str
) -> None:
    meant = package(tmp_path, "1.0.0").model_copy(update=change)
    code, path, said = refusal(site.stager.job({called: meant}))
    assert (code, path, why in said) == ("admission", f"bundles.{called}", True)
    assert site.store.versions() == []


def test_what_is_no_package_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "odd.edgebundle"
    file.write_bytes(b"nothing of the kind")
    digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    meant = BundleWanted(version="1", digest=digest, url=file.as_uri(), size_bytes=file.stat().st_size)
    assert refusal(site.stager.job({"tiny": meant}))[0] == "admission"
    assert list((tmp_path / "fleet" / "packages").iterdir()) == []


def test_what_this_device_cannot_run_is_refused_with_its_reason(tmp_path: Path) -> None:
    def admit(bundle: Bundle) -> None:
        tried.append(bundle.manifest.version)
        raise BundleRejectedError(f"{bundle.path.name}: nothing passes")

    tried: list[str] = []
    site = Site(tmp_path, admit=admit)
    with site.stager:
        meant = package(tmp_path, "1.0.0")
        assert refusal(site.stager.job({"tiny": meant}))[:2] == ("admission", "bundles.tiny")
        assert tried == ["1.0.0"]
        site.stager.switch({"tiny": meant}, attempt="by force")
        wait(site.stager.job({"tiny": meant}))  # what is at work has been tried already
        assert tried == ["1.0.0"]


def test_the_first_trouble_is_told_and_what_came_before_it_stays(site: Site, tmp_path: Path) -> None:
    good, bad = package(tmp_path, "1.0.0"), package(tmp_path, "1.0.0", name="second")
    bad = bad.model_copy(update={"url": (tmp_path / "none").as_uri()})
    assert refusal(site.stager.job({"tiny": good, "second": bad}))[:2] == ("download", "bundles.second")
    assert site.stager.folder_of("tiny", good)


def test_there_must_be_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "free_bytes", lambda _: 10)
    site = Site(tmp_path)
    with site.stager:
        code, _, why = refusal(site.stager.job({"tiny": package(tmp_path, "1.0.0")}))
    assert (code, "10 bytes are free above the reserve" in why) == ("download", True)


def test_a_job_says_how_far_it_is_and_can_be_cancelled(site: Site, tmp_path: Path) -> None:
    meant = package(tmp_path, "1.0.0")
    with site.store.opened():  # somebody installs
        job = site.stager.job({"tiny": meant})
        until(lambda: job.progress()["doing"] == "unpacking tiny 1.0.0", within_s=5)
        assert not job.done()
        job.cancel()
        assert refusal(job)[0] == "admission"
    Path(meant.url.removeprefix("file://")).unlink()
    wait(site.stager.job({"tiny": meant}))  # what was fetched is still here


def test_only_one_fetch_ahead_at_a_time(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meant = package(tmp_path, "1.0.0").model_copy(update={"url": "http://127.0.0.1:9/x"})
    job = site.stager.fetch({"tiny": meant})
    with pytest.raises(DocumentRefusedError, match="another fetch is under way"):
        site.stager.fetch({"tiny": meant})
    job.cancel()
    assert refusal(job)[0] == "download"


def test_leaving_ends_what_is_under_way(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.stager:
        job = site.stager.job(
            {"tiny": package(tmp_path, "1.0.0").model_copy(update={"url": "http://127.0.0.1:9/x"})}
        )
    assert refusal(job)[0] == "download"


# ── switching ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_switch_back_brings_back_what_was_in_use(site: Site, tmp_path: Path) -> None:
    first, second = package(tmp_path, "1.0.0"), package(tmp_path, "1.1.0")
    site.bring({"tiny": first}, "1")
    site.bring({"tiny": second}, "2")
    assert site.in_use() == {"tiny": "1.1.0"}
    for _ in range(2):
        site.stager.switch_back("2")
        assert site.in_use() == {"tiny": "1.0.0"}
    site.stager.switch_back("1")  # not the last one: its time is over
    assert site.in_use() == {"tiny": "1.0.0"}
    assert {one.version: one.state for one in site.store.versions()}["1.1.0"] == "kept"


def test_a_bundle_that_the_fleet_lets_go_of_is_again_what_it_was_before(site: Site, tmp_path: Path) -> None:
    site.install(package(tmp_path, "0.1.0"))
    for number in range(1, KEPT + 3):
        site.bring({"tiny": package(tmp_path, f"1.{number}.0")}, f"{number}")
    site.bring({"other": package(tmp_path, "5.0.0", name="other")}, "without")
    assert site.in_use() == {"tiny": "0.1.0", "other": "5.0.0"}
    site.stager.switch_back("without")
    assert site.in_use() == {"tiny": f"1.{KEPT + 2}.0"}
    site.stager.switch({}, attempt="nothing")
    assert site.in_use() == {"tiny": "0.1.0"}


def test_a_bundle_that_was_not_there_before_the_fleet_is_gone_after_it(site: Site, tmp_path: Path) -> None:
    site.bring({"tiny": package(tmp_path, "1.0.0")}, "1")
    site.stager.switch({}, attempt="2")
    assert site.in_use() == {}
    site.stager.switch_back("2")
    assert site.in_use() == {"tiny": "1.0.0"}


def test_what_a_person_brought_into_use_meanwhile_comes_back(site: Site, tmp_path: Path) -> None:
    site.bring({"tiny": package(tmp_path, "1.0.0")}, "1")
    site.install(package(tmp_path, "1.5.0"))
    site.bring({"tiny": package(tmp_path, "2.0.0")}, "2")
    site.stager.switch_back("2")
    assert site.in_use() == {"tiny": "1.5.0"}


def test_what_is_not_in_the_store_is_not_switched_to(site: Site, tmp_path: Path) -> None:
    first, second = package(tmp_path, "1.0.0"), package(tmp_path, "1.0.0", name="other")
    site.bring({"tiny": first}, "1")
    with pytest.raises(DocumentRefusedError, match=r"other 1\.0\.0: is not in") as refused:
        site.stager.switch({"tiny": first, "other": second}, attempt="2")
    assert (refused.value.code, refused.value.path) == ("admission", "bundles.other")
    assert site.in_use() == {"tiny": "1.0.0"}


def test_a_former_version_that_somebody_removed_leaves_this_one_in_use(site: Site, tmp_path: Path) -> None:
    site.install(package(tmp_path, "0.1.0"))
    site.bring({"tiny": package(tmp_path, "1.0.0")}, "1")
    shutil.rmtree(next(one.folder for one in site.store.versions() if one.version == "0.1.0"))
    site.stager.switch({}, attempt="2")
    assert site.in_use() == {"tiny": "1.0.0"}


def test_a_store_that_somebody_holds_is_waited_for_and_then_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "SWITCH_S", 0.1)
    meant = package(tmp_path, "1.0.0")
    wait(site.stager.job({"tiny": meant}))
    with (
        site.store.opened(),
        pytest.raises(DocumentRefusedError, match="another install or rollback") as refused,
    ):
        site.stager.switch({"tiny": meant}, attempt="1")
    assert refused.value.code == "admission"
    site.stager.switch_back("1")
    assert site.in_use() == {}


def test_a_record_that_is_damaged_undoes_nothing(site: Site, tmp_path: Path) -> None:
    site.bring({"tiny": package(tmp_path, "1.0.0")}, "1")
    for damage in (b"", b"{", b'{"attempt": 7}', b"\xff"):
        (tmp_path / "fleet" / "switch.json").write_bytes(damage)
        site.stager.switch_back("1")
        site.stager.recover()
        assert site.in_use() == {"tiny": "1.0.0"}
    for damage in (b"", b"[]", b'{"00": 7, "01": {"name": "tiny", "folder": "../../x"}}'):
        (tmp_path / "fleet" / "packages.json").write_bytes(damage)
        assert site.stager.package_in_use("tiny") == ""
    site.bring({"tiny": package(tmp_path, "1.1.0")}, "2")
    assert site.in_use() == {"tiny": "1.1.0"}


class PowerCutError(BaseException):
    """Stands for the end of everything: nothing after it is done."""


def cut_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the power go after so many steps of a switch."""
    begun = [0]

    def cutting(what: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            begun[0] += 1
            if begun[0] > steps:
                raise PowerCutError
            return what(*given, **named)

        return step

    monkeypatch.setattr(switching, "write_durably", cutting(write_durably))
    for name in ("activate", "withdraw", "roll_back"):
        monkeypatch.setattr(Changing, name, cutting(getattr(Changing, name)))


BEFORE, AFTER = {"tiny": "1.0.0", "gone": "3.0.0"}, {"tiny": "2.0.0", "came": "4.0.0"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, BundleWanted]]:
    """A site where one switch was made and the next is staged, to be copied; and what the next is about."""
    folder = tmp_path_factory.mktemp("prepared")
    site = Site(folder / "site")
    with site.stager:
        site.install(package(folder, "0.1.0"))
        site.bring({name: package(folder, version, name=name) for name, version in BEFORE.items()}, "1")
        new = {name: package(folder, version, name=name) for name, version in AFTER.items()}
        wait(site.stager.job(new))
    return folder / "site", new


@pytest.mark.parametrize(
    ("begun", "then", "ends"),
    [
        ("to", "to", "new"),
        ("to", "recover", "new once written"),
        ("to", "back", "old"),
        ("back", "back", "old"),
        ("back", "recover", "old once written"),
        ("back", "to", "new"),
    ],
)
@pytest.mark.parametrize("steps", range(6))
def test_a_power_cut_at_any_step_ends_well(
    tmp_path: Path,
    prepared: tuple[Path, dict[str, BundleWanted]],
    steps: int,
    begun: str,
    then: str,
    ends: str,
) -> None:
    folder, new = prepared
    shutil.copytree(folder, tmp_path / "site", symlinks=True)
    stager, restarted = Site(tmp_path / "site").stager, Site(tmp_path / "site")

    def done_by(one: Stager) -> Mapping[str, Callable[[], None]]:
        to = partial(one.switch, new, attempt="2")
        return {"to": to, "back": partial(one.switch_back, "2"), "recover": one.recover}

    with stager, restarted.stager:
        {"to": lambda: None, "back": done_by(stager)["to"]}[begun]()
        with pytest.MonkeyPatch.context() as patched, contextlib.suppress(PowerCutError):
            cut_after(patched, steps)
            done_by(stager)[begun]()
        done_by(restarted.stager)[then]()
    is_new = {"new": True, "old": False, "new once written": steps > 0, "old once written": steps == 0}[ends]
    assert restarted.in_use() == (AFTER if is_new else BEFORE)


def test_an_attempt_is_named_by_its_versions_and_its_digest() -> None:
    def of(versions: dict[str, int], digest: str) -> str:
        return attempt_of(Wanted(versions=versions, config={}, bundles={}, origins={}, digest=digest))

    one = of({"device": 4, "group/a": 1}, "sha256:00")
    assert one == of({"group/a": 1, "device": 4}, "sha256:00")
    assert len({one, of({"device": 5, "group/a": 1}, "sha256:00"), of({"device": 4}, "sha256:00")}) == 3
