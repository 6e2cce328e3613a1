# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that a spec pins: got from repositories and servers of the test's own, or refused."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tests.support.documents import document
from tests.support.project import TOP, Run

pytestmark = pytest.mark.slow

SPEC = """\
spec = 1
[source.ipxe]
{origin}
config = "qemu"
make = {{ NO_WERROR = 1 }}
fallback = "romforge:minipxe"
[platform.pcbios]
[nic.e1000]
id = "8086:100e"
[target.t]
dir = "roms"
file = "{{nic}}.rom"
images = ["pcbios"]
"""
PERSON = {"name": "A Tester", "email": "tester@example.org"}
COMMIT = "a" * 40
DRIVER = "src/drivers/net/intel.c"


class Repository(NamedTuple):
    """A git repository with an iPXE tree, and its commits, the oldest first."""

    path: Path
    commits: list[str]

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.path)]
        for name, value in PERSON.items():
            command += ["-c", f"user.{name}={value}"]
        command += arguments
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        """Adds a line to the driver, and commits; returns the commit."""
        with (self.path / DRIVER).open("a") as file:
            file.write(text)
        return self.commit_all()

    def grow(self) -> str:
        """Commits a driver that has a table of 4,000 bytes more; returns the commit."""
        driver = self.path / DRIVER
        table = "static volatile const unsigned char table[4096] = { [0 ... 4095] = 5 };\n"
        text = driver.read_text()
        text = text.replace("static uint64_t e1000_probe", f"{table}static uint64_t e1000_probe")
        driver.write_text(text.replace("return high << 32 |", "return table[high & 4095] |"))
        return self.commit_all()

    def commit_all(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    path = tmp_path / "upstream"
    shutil.copytree(TOP / "vendor/minipxe", path)
    made = Repository(path, [])
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("/* one */\n")
    made.commit("/* two */\n")
    return made


def write_spec(top: Path, *lines: str) -> None:
    (top / "romspec.toml").write_text(SPEC.format(origin="\n".join(lines)))


def pin(top: Path, url: object, rev: str, *more: str) -> None:
    write_spec(top, f'git = "{url}"', f'rev = "{rev}"', *more)


def place_of(top: Path, pinned: str) -> Path:
    return top / "out/.romforge/source/ipxe" / pinned


class Server(NamedTuple):
    """A web server of the test's own, and the requests that it got."""

    url: str
    requests: list[str]


class _Files(SimpleHTTPRequestHandler):
    """Serves a directory, also in ranges, and notes each request.

    ``breaks`` are the numbers of bytes after which answers end too early, the last first.
    """

    breaks: list[int]
    noted: list[str]

    def do_GET(self) -> None:
        span = self.headers.get("Range") or ""
        self.noted.append(f"{self.path} {span}".strip())
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = 0
        found = re.fullmatch(r"bytes=(\d+)-", span)
        if found:
            start = int(found[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = start + self.breaks.pop() if self.breaks else len(data)
        self.wfile.write(data[start:end])

    def log_message(self, *_arguments: object) -> None:
        pass


def serve(directory: Path, breaks: list[int]) -> Iterator[Server]:
    class Files(_Files):
        pass

    Files.breaks = breaks
    Files.noted = []
    directory.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Server(f"http://127.0.0.1:{server.server_address[1]}", Files.noted)
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    yield from serve(tmp_path / "web", [])


@pytest.fixture
def breaking_server(tmp_path: Path) -> Iterator[Server]:
    """A server whose first answer ends after 1,000 bytes."""
    yield from serve(tmp_path / "web", [1000])


def test_until_it_is_got_the_fallback_is_built_and_that_is_said(
    tmp_path: Path, romforge: Run, repository: Repository
):
    """In the note, the last line, the JSON and the manifest; no build goes to the repository."""
    pin(tmp_path, repository.path, repository.commits[0])
    check = romforge("check")
    assert check.returncode == 0
    assert (
        "romspec.toml:3: source.ipxe.git: warning: the tree of [source.ipxe] was not got, so "
        in (check.stderr)
    )
    done = romforge("build")
    assert done.returncode == 0, done.stderr
    assert "to get the pinned one: `romforge get ipxe`" in done.stderr
    assert done.stdout.endswith("minipxe, the fallback\n")
    assert not (tmp_path / "out/.romforge/source").exists()
    again = romforge("build", "--json")
    assert "romforge get" not in again.stderr  # once is enough
    assert json.loads(again.stdout)["sources"]["ipxe"]["kind"] == "fallback"
    assert romforge("get").returncode == 0
    done = romforge("build")
    assert done.stdout.endswith(f", ipxe is the pinned {repository.commits[0][:12]}\n")
    manifest = json.loads((tmp_path / "out/t.manifest.json").read_text())
    assert manifest["sources"]["ipxe"] == {
        "tree": str(place_of(tmp_path, repository.commits[0])),
        "kind": "pinned",
        "revision": repository.commits[0],
    }
    romforge("lock")
    assert f'"ipxe" = "{repository.commits[0]}"\n' in (tmp_path / "romspec.lock").read_text()


def test_a_commit_is_got_once_without_its_history_and_then_offline(
    tmp_path: Path, romforge: Run, repository: Repository
):
    pin(tmp_path, f"file://{repository.path}", repository.commits[0])
    done = romforge("get", "--json")
    assert done.returncode == 0, done.stderr
    assert document(done.stdout, "get")["sources"]["ipxe"]["revision"] == repository.commits[0]
    place = place_of(tmp_path, repository.commits[0])
    assert (place / DRIVER).read_text().endswith("/* one */\n")
    count = subprocess.run(
        ["git", "-C", str(place), "rev-list", "--all", "--count", "HEAD"],
        check=True,
        capture_output=True,
    )
    assert count.stdout == b"1\n"
    shutil.rmtree(repository.path)
    assert romforge("get").returncode == 0


def test_doit_gets_a_tree_where_it_is_asked_and_never_else(
    tmp_path: Path, doit: Run, repository: Repository
):
    pin(tmp_path, "upstream", repository.commits[1])
    assert doit().returncode == 0
    assert not place_of(tmp_path, repository.commits[1]).exists()
    refused = doit("source:ipxe", "target:t")
    assert refused.returncode == 1
    assert "source:ipxe gets a tree that the run would build; get it in a run of its" in (
        refused.stderr
    )
    assert doit("source:ipxe").returncode == 0
    done = doit()
    assert done.stdout.endswith(f"ipxe is the pinned {repository.commits[1][:12]}\n")
    assert doit("source:ipxe", "target:t").returncode == 0  # it is there now
    assert doit("clean", "source:ipxe").returncode == 0
    assert not place_of(tmp_path, repository.commits[1]).exists()


def test_a_server_that_gives_no_bare_commit_gives_it_among_its_branches(
    tmp_path: Path, romforge: Run, repository: Repository, server: Server
):
    """A web server that only serves files: what git calls a dumb one."""
    bare = tmp_path / "web/ipxe.git"
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    repository.git("--git-dir", str(bare), "update-server-info")
    pin(tmp_path, f"{server.url}/ipxe.git", repository.commits[0])
    done = romforge("get")
    assert done.returncode == 0, done.stderr
    place = place_of(tmp_path, repository.commits[0])
    assert (place / DRIVER).read_text().endswith("/* one */\n")
    noted = len(server.requests)
    assert romforge("get").returncode == 0
    assert len(server.requests) == noted


def test_the_same_bytes_come_of_a_pinned_tree_and_of_a_clone(
    tmp_path: Path, romforge: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    """A clone with tags and a whole history gives no other version than the bare commit."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    pin(tmp_path, repository.path, repository.commits[1])
    assert romforge("get").returncode == 0
    assert romforge("build").returncode == 0
    monkeypatch.setenv("IPXE_SRC", str(repository.path))
    assert romforge("build", "--out", "other").returncode == 0
    pinned, cloned = (tmp_path / f"{out}/roms/e1000.rom" for out in ("out", "other"))
    assert pinned.read_bytes() == cloned.read_bytes()


@pytest.mark.parametrize(
    ("rev", "message"),
    [
        ("0" * 40, "upstream has no commit 0000000000"),
        ("1234567", '"1234567" is not a commit or a tag; write all 40 digits of a commit'),
        ("v1", '"v1" is a tag, which may be moved; write the commit, or name the keys'),
        ("--upload-pack=x", '"--upload-pack=x" is not a commit or a tag'),
        ("a..b", '"a..b" is not a commit or a tag'),
    ],
)
def test_what_is_no_pin_is_refused(
    tmp_path: Path, romforge: Run, repository: Repository, rev: str, message: str
):
    pin(tmp_path, "upstream", rev)
    done = romforge("get")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/.romforge/source/*/*"))


def test_without_a_network_the_way_by_hand_is_named_and_works(
    tmp_path: Path, romforge: Run, repository: Repository
):
    """A clone that was brought here is taken, if it has the commit."""
    commit = repository.commits[0]
    pin(tmp_path, "http://127.0.0.1:9/ipxe.git", commit)
    done = romforge("get")
    assert done.returncode == 1
    assert "`git clone http://127.0.0.1:9/ipxe.git ipxe`" in done.stderr
    assert "`romforge get ipxe --from ipxe`" in done.stderr
    assert romforge("get", "ipxe", "--from", "upstream").returncode == 0
    assert (place_of(tmp_path, commit) / DRIVER).read_text().endswith("/* one */\n")
    for wrong in (["--from", "upstream"], ["nic", "--from", "upstream"]):
        assert romforge("get", *wrong).returncode in (0, 2)
    missing = romforge("get", "ipxe", "--from", "nowhere")
    assert missing.returncode == 2
    assert "--from: there is no nowhere" in missing.stderr


def test_a_tree_that_was_changed_in_its_place_is_not_got(
    tmp_path: Path, romforge: Run, repository: Repository
):
    """Nor removed, since somebody may want what he changed."""
    pin(tmp_path, "upstream", repository.commits[0])
    assert romforge("get").returncode == 0
    place = place_of(tmp_path, repository.commits[0])
    with (place / DRIVER).open("a") as file:
        file.write("/* mine */\n")
    done = romforge("get")
    assert done.returncode == 1
    assert f"{DRIVER} is not as in {repository.commits[0]}" in done.stderr
    assert (place / DRIVER).read_text().endswith("/* mine */\n")
    shutil.rmtree(place)
    assert romforge("get").returncode == 0


def test_a_repository_without_a_tree_is_refused(
    tmp_path: Path, romforge: Run, repository: Repository
):
    repository.git("rm", "--quiet", "src/Makefile")
    commit = repository.commit("/* bare */\n")
    pin(tmp_path, "upstream", commit)
    done = romforge("get")
    assert done.returncode == 1
    assert "is no iPXE tree: it has no src/Makefile" in done.stderr
    assert not place_of(tmp_path, commit).exists()


def test_what_a_kill_left_is_no_tree(tmp_path: Path, romforge: Run, repository: Repository):
    """A tree is got beside its place, and what is left there goes with the next run."""
    pin(tmp_path, "upstream", repository.commits[0])
    left = tmp_path / "out/.romforge/tmp/99999-ipxe/tree"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert romforge("get").returncode == 0
    assert not left.exists()


def test_the_variables_of_a_hook_do_not_lead_to_another_repository(
    tmp_path: Path, romforge: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_DIR", str(repository.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    pin(tmp_path, "upstream", repository.commits[0])
    done = romforge("get")
    assert done.returncode == 0, done.stderr
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert repository.git("status", "--porcelain") == ""


class Signers(NamedTuple):
    """A kind of keys: the file with the public one, and git's settings to sign with the other."""

    public: Path
    settings: list[str]


@pytest.fixture(params=["ssh", "OpenPGP"])
def signers(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Signers]:
    public = tmp_path / "signers"
    if request.param == "ssh":
        key = tmp_path / "key"
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(make, check=True)
        public.write_text(f"{PERSON['email']} {key.with_suffix('.pub').read_text()}")
        yield Signers(public, ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"])
        return
    # the agent's socket is there, whose path may have 107 bytes at most
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("GNUPGHOME", home)
        owner = f"{PERSON['name']} <{PERSON['email']}>"
        gpg = ["gpg", "--batch", "--quiet", "--passphrase", ""]
        subprocess.run([*gpg, "--quick-generate-key", owner, "ed25519", "sign"], check=True)
        exported = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True)
        public.write_bytes(exported.stdout)
        yield Signers(public, [])
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_a_tag_is_taken_with_the_signature_of_a_known_key_alone(
    tmp_path: Path, romforge: Run, repository: Repository, signers: Signers
):
    tag = [*signers.settings, "tag", "--sign", "v1", "--message", "1"]
    repository.git(*tag, repository.commits[0])
    repository.git("tag", "--annotate", "v2", "--message", "2")
    pin(tmp_path, "upstream", "v1", 'signers = "signers"')
    done = romforge("get")
    assert done.returncode == 0, done.stderr
    assert f"got ipxe: v1-0-g{repository.commits[0]}\n" in done.stdout
    assert (place_of(tmp_path, "v1") / DRIVER).read_text().endswith("/* one */\n")
    pin(tmp_path, "upstream", "v2", 'signers = "signers"')
    done = romforge("get")
    assert done.returncode == 1
    assert "the tag v2 of " in done.stderr
    assert " has no signature of a key in " in done.stderr
    assert not place_of(tmp_path, "v2").exists()


def test_a_tag_that_was_moved_is_not_taken_silently(
    tmp_path: Path, romforge: Run, repository: Repository, signers: Signers
):
    """Though its signature is good: the lock has the commit that was built."""
    tag = [*signers.settings, "tag", "--sign", "--force", "v1", "--message", "1"]
    repository.git(*tag, repository.commits[0])
    pin(tmp_path, "upstream", "v1", 'signers = "signers"')
    for command in (["get"], ["build"], ["lock"]):
        assert romforge(*command).returncode == 0
    shutil.rmtree(tmp_path / "out")
    repository.git(*tag, repository.commits[1])
    done = romforge("get")
    assert done.returncode == 1
    assert f"v1 of {repository.path} is the commit {repository.commits[1]}" in done.stderr
    assert f"but romspec.lock has {repository.commits[0]}: the tag was moved" in done.stderr
    lock = tmp_path / "romspec.lock"
    lock.write_text(re.sub(r'(?m)^"ipxe" = .*\n', "", lock.read_text()))
    assert romforge("get").returncode == 0


def test_a_commit_may_have_to_be_signed_too(
    tmp_path: Path, romforge: Run, repository: Repository, signers: Signers
):
    pin(tmp_path, "upstream", repository.commits[1], 'signers = "signers"')
    done = romforge("get")
    assert done.returncode == 1
    assert f"the commit {repository.commits[1]} of " in done.stderr
    message = ["--message", "signed", "--quiet"]
    repository.git(*signers.settings, "commit", "--amend", "--gpg-sign", *message)
    commit = repository.git("rev-parse", "HEAD")
    pin(tmp_path, "upstream", commit, 'signers = "signers"')
    assert romforge("get").returncode == 0


def make_archive(place: Path, top: str = "ipxe-1.0/") -> str:
    """Packs the miniature; returns the digest."""
    kind: Literal["w:gz", "w:xz"] = "w:gz" if place.suffix == ".gz" else "w:xz"
    with tarfile.open(place, kind) as archive:
        archive.add(TOP / "vendor/minipxe", arcname=top or ".")
    return hashlib.sha256(place.read_bytes()).hexdigest()


@pytest.mark.parametrize(("name", "top"), [("a.tar.gz", ""), ("a.tar.xz", "ipxe-1.0/")])
def test_an_archive_of_a_digest_is_got_and_built(
    tmp_path: Path, romforge: Run, name: str, top: str
):
    digest = make_archive(tmp_path / name, top)
    write_spec(tmp_path, f'archive = "{name}"', f'sha256 = "{digest}"')
    done = romforge("get")
    assert done.returncode == 0, done.stderr
    assert f"got ipxe: sha256:{digest}\n" in done.stdout
    (tmp_path / name).unlink()
    assert romforge("get").returncode == 0
    done = romforge("build")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f", ipxe is the pinned {digest[:12]}\n")


def test_a_broken_download_goes_on_where_it_broke(
    tmp_path: Path, romforge: Run, breaking_server: Server
):
    digest = make_archive(tmp_path / "web/a.tar.gz")
    write_spec(tmp_path, f'archive = "{breaking_server.url}/a.tar.gz"', f'sha256 = "{digest}"')
    done = romforge("get")
    assert done.returncode == 1
    assert f"`curl -LO {breaking_server.url}/a.tar.gz`" in done.stderr
    assert not place_of(tmp_path, digest).exists()
    assert romforge("get").returncode == 0
    assert breaking_server.requests == ["/a.tar.gz", "/a.tar.gz bytes=1000-"]
    assert not list(tmp_path.rglob("*.part"))


def test_a_beginning_of_another_file_is_got_again_as_a_whole(
    tmp_path: Path, romforge: Run, server: Server
):
    digest = make_archive(tmp_path / "web/a.tar.gz")
    part = place_of(tmp_path, f"{digest}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of another file")
    write_spec(tmp_path, f'archive = "{server.url}/a.tar.gz"', f'sha256 = "{digest}"')
    done = romforge("get")
    assert done.returncode == 0, done.stderr
    assert server.requests == ["/a.tar.gz bytes=15-", "/a.tar.gz"]


@pytest.mark.parametrize("there", [True, False])
def test_an_archive_of_another_digest_is_refused(
    tmp_path: Path, romforge: Run, server: Server, there: bool
):
    digest = make_archive(tmp_path / "web/a.tar.gz")
    url = str(tmp_path / "web/a.tar.gz") if there else f"{server.url}/a.tar.gz"
    write_spec(tmp_path, f'archive = "{url}"', f'sha256 = "{"0" * 64}"')
    done = romforge("get")
    assert done.returncode == 1
    assert f"has the sha256\n  {digest}\nwhere the spec asks for\n  {'0' * 64}" in done.stderr
    assert not list(tmp_path.glob("out/.romforge/source/ipxe/*"))
    assert (tmp_path / "web/a.tar.gz").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path, romforge: Run):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    digest = hashlib.sha256(b"no archive").hexdigest()
    write_spec(tmp_path, 'archive = "a.tar.gz"', f'sha256 = "{digest}"')
    done = romforge("get")
    assert done.returncode == 1
    assert "a.tar.gz: cannot be unpacked: " in done.stderr


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['git = "u"'], ":3: source.ipxe.git: has no rev"),
        (['archive = "u"'], ":3: source.ipxe.archive: has no sha256"),
        (
            ['git = "u"', f'rev = "{COMMIT}"', 'archive = "v"'],
            "source.ipxe: has git and archive",
        ),
        (['tree = "u"', f'rev = "{COMMIT}"'], "rev: is only for git, but this source has tree"),
        (['archive = "u"', 'rev = "v1"'], "rev: is only for git, but this source has archive"),
        (['git = "--exec=x"', f'rev = "{COMMIT}"'], ":3: source.ipxe.git: begins with a -"),
    ],
)
def test_a_pin_that_says_too_little_is_an_error_with_its_line(
    tmp_path: Path, romforge: Run, lines: list[str], message: str
):
    write_spec(tmp_path, *lines)
    done = romforge("check")
    assert done.returncode == 2
    assert message in done.stderr


def test_update_pins_the_newest_commit_and_shows_what_grew(
    tmp_path: Path, romforge: Run, repository: Repository
):
    pin(tmp_path, "upstream", repository.commits[0], "# a comment that stays")
    for command in (["get"], ["build"], ["lock"]):
        assert romforge(*command).returncode == 0
    commit = repository.grow()
    done = romforge("update")
    assert done.returncode == 0, done.stderr
    first = repository.commits[0][:12]
    assert done.stdout.startswith(f"ipxe: {first} becomes {commit[:12]} (main)\ngot ipxe: ")
    pattern = r"^change roms/e1000.rom: grew by [\d,]+ bytes .*: pcbios: intel \+[\d,]+$"
    assert re.search(pattern, done.stdout, re.M), done.stdout
    text = (tmp_path / "romspec.toml").read_text()
    assert f'rev = "{commit}"  # main\n# a comment that stays\n' in text
    assert "is pinned already" in romforge("update").stdout
    back = romforge("update", "--to", repository.commits[0], "--no-build")
    assert back.returncode == 0
    assert (
        f'rev = "{repository.commits[0]}"\n# a comment' in (tmp_path / "romspec.toml").read_text()
    )


def test_update_without_a_lock_compares_with_what_was_built(
    tmp_path: Path, romforge: Run, repository: Repository
):
    pin(tmp_path, "upstream", repository.commits[0])
    spec = tmp_path / "romspec.toml"
    spec.rename(tmp_path / "real.toml")
    spec.symlink_to("real.toml")
    for command in (["get"], ["build"]):
        assert romforge(*command).returncode == 0
    repository.grow()
    done = romforge("update")
    assert done.returncode == 0, done.stderr
    assert spec.is_symlink()
    assert re.search(r"^change roms/e1000.rom: \+[1-9][\d,]* bytes$", done.stdout, re.M)


def test_an_update_that_fails_leaves_the_spec_as_it_was(
    tmp_path: Path, romforge: Run, repository: Repository
):
    pin(tmp_path, "upstream", repository.commits[0])
    before = (tmp_path / "romspec.toml").read_text()
    repository.git("rm", "--quiet", "src/Makefile")
    repository.commit("/* bare */\n")
    done = romforge("update")
    assert done.returncode == 1
    assert "is no iPXE tree" in done.stderr
    assert (tmp_path / "romspec.toml").read_text() == before
    unknown = romforge("update", "--to", "v9")
    assert unknown.returncode == 1
    assert "upstream has no branch or tag v9" in unknown.stderr
    assert (tmp_path / "romspec.toml").read_text() == before
    wrong = romforge("update", "ipxf")
    assert '"ipxf" is no source with git (did you mean "ipxe"?)' in wrong.stderr


def test_the_page_says_which_tree_was_built(tmp_path: Path, romforge: Run, repository: Repository):
    """The fallback by the name of its directory; the pinned one by its commit."""
    pin(tmp_path, "upstream", repository.commits[0])
    page = tmp_path / "page.html"
    for commands, words in (
        ([["build"]], "minipxe, the fallback"),
        ([["get"], ["build"]], f"{repository.commits[0]}, pinned"),
    ):
        for command in commands:
            assert romforge(*command).returncode == 0
        assert romforge("report", "-o", page).returncode == 0
        assert words in page.read_text()


def test_a_lock_of_another_tree_is_noticed(tmp_path: Path, romforge: Run, repository: Repository):
    """One of the fallback, where the pinned tree is built now; both commands say so."""
    pin(tmp_path, "upstream", repository.commits[0])
    for command in (["build"], ["lock"]):
        assert romforge(*command).returncode == 0
    assert '"ipxe" = "minipxe, the fallback"' in (tmp_path / "romspec.lock").read_text()
    assert "another source" not in romforge("lock", "--check").stderr
    for command in (["get"], ["build"]):
        assert romforge(*command).returncode == 0
    words = "the lock is of another source: ipxe was minipxe, the fallback, is "
    assert f"{words}{repository.commits[0]}\n" in romforge("lock", "--check").stderr
