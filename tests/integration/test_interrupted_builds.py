# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold when a build is killed, the disk is full, or files change during the build.

No file is wrong, and everything else is reported.

A test that needs a file system of its own mounts a tmpfs. That takes root, as in CI and containers.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import small_roms
from tests.support.disk import Disk, Set, differing, used
from tests.support.project import PATIENCE, TOP, Run, Started, run, spec_text

pytestmark = pytest.mark.slow

NICS = {
    "e1000": "8086:100e",
    "e1000e": "8086:10d3",
    "eepro100": "8086:1229",
    "pcnet": "1022:2000",
    "rtl8139": "10ec:8139",
    "vmxnet3": "15ad:07b0",
}
NAMES = {f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in NICS}
COMMANDS = {
    "doit": ["doit"],
    "romforge build": ["romforge", "build"],
    "doit, processes": ["doit", "-n", "2", "-P", "process"],
    "doit, threads": ["doit", "-n", "2", "-P", "thread"],
    "romforge build, jobs": ["romforge", "build", "--jobs", "2"],
}


class Project(Started):
    """A directory with a spec of six NICs and two targets, and two versions of the source ROMs."""

    def __init__(self, top: Path, sets: dict[str, Path]) -> None:
        self.top, self.sets, self.out = top, sets, top / "out"
        self.place = self.out / "usr/share/qemu"
        self.started: list[subprocess.Popen[str]] = []
        self.write()

    def write(self, version: str = "new", extra: str = "", nics: list[str] | None = None) -> None:
        named = "\n".join(
            f'{nic} = "{ids}"' for nic, ids in NICS.items() if nics is None or nic in nics
        )
        (self.top / "romspec.new").write_text(
            spec_text(self.sets[version], nics=named, extra=extra)
        )
        (self.top / "romspec.new").replace(self.top / "romspec.toml")

    def right(self, version: str = "new") -> Set:
        return {name: (self.sets[version] / name).read_bytes() for name in NAMES}

    def files(self) -> Set:
        return (
            {path.name: path.read_bytes() for path in self.place.iterdir() if path.is_file()}
            if self.place.is_dir()
            else {}
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit status and all that was printed; a traceback fails the test."""
        output, errors = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output + errors, errors
        return process.returncode, output + errors

    def run(self, command: list[str], **environment: str) -> tuple[int, str]:
        done = run([sys.executable, "-m", *command], self.top, **environment)
        return done.returncode, done.stdout + done.stderr

    def check_built(self, version: str = "new") -> None:
        """A build does, all files are right, the manifests too, and nothing else is left."""
        status, output = self.run(["doit"])
        assert status == 0, output
        self.check_right(version)
        assert list((self.out / ".romforge/tmp").iterdir()) == []

    def check_right(self, version: str = "new") -> None:
        files = self.files()
        assert differing(files, self.right(version)) == []
        for target in ("efi", "pxe"):
            entries = json.loads((self.out / f"{target}.manifest.json").read_bytes())["roms"]
            sums = {Path(entry["file"]).name: entry["sha256"] for entry in entries}
            assert sums == {
                name: hashlib.sha256(data).hexdigest()
                for name, data in files.items()
                if name.startswith(target)
            }

    def check_whole(self, *versions: str) -> None:
        """No file is anything but a whole one of these sets, nor has another name."""
        sets = [self.right(version) for version in versions or ("new",)]
        files = self.files()
        assert files.keys() <= NAMES
        assert [
            name for name, data in files.items() if data not in [one[name] for one in sets]
        ] == []


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_roms.write_sets(tmp_path_factory.mktemp("sets"), NICS)


@pytest.fixture
def project(tmp_path: Path, doit: Run, sets: dict[str, Path]) -> Iterator[Project]:
    """``doit`` is asked for since it puts a dodo.py there."""
    made = Project(tmp_path, sets)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def disk(project: Project) -> Iterator[Disk]:
    """Where the output root of ``project`` will be."""
    made = Disk(project.out)
    yield made
    made.umount()


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_kill_at_any_moment_leaves_whole_files_and_the_next_build_right(
    project: Project, command: str
):
    """Six kills for each way to build, spread over the run; each build replaces a set of ROMs."""
    dice = random.Random(f"kill {command}")
    begin = time.monotonic()
    assert project.run(COMMANDS[command])[0] == 0
    duration = time.monotonic() - begin
    caught = 0
    versions = ["old", "new"]
    for turn in range(6):
        if turn in (2, 4):
            shutil.rmtree(project.out)
        project.write(versions[0])
        process, begin = project.start(*COMMANDS[command]), time.monotonic()
        try:
            process.wait((turn + dice.random()) / 6 * duration)
            duration = time.monotonic() - begin  # the machine has become quicker
        except subprocess.TimeoutExpired:
            caught += 1
        with suppress(ProcessLookupError):  # it may have ended
            os.killpg(process.pid, signal.SIGKILL)
        project.end(process)
        project.check_whole("new", "old")
        project.check_built(versions[0])
        versions.reverse()
    assert caught >= 3, "most builds had ended before they were killed"


def test_a_kill_at_every_write_leaves_whole_files_and_the_next_build_right(project: Project):
    """The build kills itself at its 1st, 3rd, … open, write or rename below the output root."""
    code = """
import os, signal, sys
left = int(os.environ["DIE_AT"])
def hook(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "sqlite3.connect") \
and "out" in str(arguments[0]).split("/"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""
    project.write("old", nics=["e1000"])
    environment = project.patched(code)
    first = {name: data for name, data in project.right("old").items() if "-e1000." in name}
    second = {name: data for name, data in project.right().items() if "-e1000." in name}
    killed = 0
    for moment in range(1, 200, 2):
        shutil.rmtree(project.out, ignore_errors=True)
        project.write("old", nics=["e1000"])
        if moment % 4 == 1:
            assert project.run(["doit"])[0] == 0
        project.write(nics=["e1000"])
        status, output = project.run(["doit"], **environment, DIE_AT=str(moment))
        assert status in (0, -signal.SIGKILL), output
        assert all(data in (first[name], second[name]) for name, data in project.files().items())
        status_again, output = project.run(["doit"])
        assert status_again == 0, output
        assert differing(project.files(), second) == []
        assert list((project.out / ".romforge/tmp").iterdir()) == []
        killed += status != 0
        if status == 0 and moment % 4 == 1:
            break
    assert killed > 8


def after_a_full_disk(project: Project, disk: Disk) -> None:
    """With more room, the same command does, and is done."""
    disk.remount("size=32m,nr_inodes=0")
    project.check_built()
    status, output = project.run(["doit"])
    assert (status, output.splitlines()[-1]) == (0, f"0 built, {len(NAMES)} up to date, in out")


@pytest.mark.parametrize("size", [4, 8, 16, 24, 40, 300, 700, 1200, 1900, 2100])
def test_a_full_disk_leaves_whole_files_and_words(project: Project, disk: Disk, size: int):
    """KiB; with the first few nothing can be built, nor doit's state be saved."""
    disk.mount(f"size={size}k")
    status, output = project.run(["doit"])
    project.check_whole()
    assert status == 1, output
    assert "No space left on device" in output
    after_a_full_disk(project, disk)


def test_a_disk_that_fills_up_as_state_and_manifests_are_written(project: Project, disk: Disk):
    """Every page around the point where all just fits; a build that says it is fine must be."""
    disk.mount("size=32m")
    project.check_built()
    whole = used(project.out)
    failed = unsaved = 0
    for missing in range(0, 40, 4):
        disk.umount()
        disk.mount(f"size={whole - (missing << 10)}")
        status, output = project.run(["doit"])
        project.check_whole()
        assert status in (0, 1), output
        failed += status
        unsaved += "doit's state is not saved" in output
        if status == 0:
            project.check_right()
        else:
            assert "No space left on device" in output or "full" in output, output
        if missing % 8 == 0:
            after_a_full_disk(project, disk)
    assert failed
    assert unsaved


def test_a_disk_that_is_full_already_keeps_what_was_built(project: Project, disk: Disk):
    """The files of the earlier build stay until there is room for those of the new."""
    disk.mount("size=32m")
    project.write("old")
    project.check_built("old")
    disk.remount(f"size={used(project.out)}")
    project.write()
    status, output = project.run(["doit"])
    assert status == 1
    assert "No space left on device" in output
    project.check_whole("new", "old")
    assert project.files().keys() == NAMES
    after_a_full_disk(project, disk)


@pytest.mark.parametrize("inodes", [2, 4, 6, 9, 14, 20])
def test_a_disk_without_inodes_leaves_whole_files_and_words(
    project: Project, disk: Disk, inodes: int
):
    disk.mount(f"size=32m,nr_inodes={inodes}")
    status, output = project.run(["romforge", "build"])
    project.check_whole()
    assert status == 1, output
    assert "No space left on device" in output or "unable to open database file" in output, output
    after_a_full_disk(project, disk)


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("built", [False, True], ids=["empty", "built before"])
def test_a_read_only_output_root_is_told(project: Project, disk: Disk, command: str, built: bool):
    disk.mount("size=32m")
    if built:
        project.write("old")
        project.check_built("old")
        project.write()
    disk.remount("ro")
    status, output = project.run(COMMANDS[command])
    assert status == 1
    assert "Read-only file system" in output
    disk.remount("rw")
    project.check_built()


def test_an_output_root_that_is_a_file_is_told(project: Project):
    project.out.write_text("")
    for command in COMMANDS.values():
        status, output = project.run(command)
        assert status == 1
        assert "the output root cannot be written: out" in output


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_directory_in_place_of_an_output_fails_that_rom_alone(project: Project, command: str):
    (project.place / "efi-pcnet.rom/inside").mkdir(parents=True)
    status, output = project.run(COMMANDS[command])
    assert status == 1
    assert "efi-pcnet.rom: cannot be written: Is a directory" in output
    assert differing(project.files(), project.right()) == ["efi-pcnet.rom"]
    assert list((project.out / ".romforge/tmp").iterdir()) == []
    shutil.rmtree(project.place / "efi-pcnet.rom")
    project.check_built()


def test_a_directory_in_place_of_a_manifest_is_told(project: Project):
    (project.out / "efi.manifest.json").mkdir(parents=True)
    status, output = project.run(["doit"])
    assert status == 1
    assert "efi.manifest.json: cannot be written: Is a directory" in output
    assert differing(project.files(), project.right()) == []
    (project.out / "efi.manifest.json").rmdir()
    project.check_built()


def test_a_file_in_place_of_a_directory_is_told(project: Project):
    project.place.parent.mkdir(parents=True)
    project.place.write_text("")
    status, output = project.run(["doit"])
    assert status == 1
    assert re.search(r"efi-e1000.rom: cannot be written: (File exists|Not a directory)", output)
    project.place.unlink()
    project.check_built()


@pytest.mark.parametrize("name", ["lock", "tmp", "state.json", "source"])
def test_junk_in_the_state_directory_is_told_or_put_up_with(project: Project, name: str):
    (project.out / ".romforge").mkdir(parents=True)
    path = project.out / ".romforge" / name
    if name == "tmp":
        path.write_text("junk")
    else:
        (path / "junk").mkdir(parents=True)
    status, output = project.run(["doit"])
    assert status in (0, 1)
    assert status == 0 or name in output
    path.unlink() if name == "tmp" else shutil.rmtree(path, ignore_errors=True)
    project.check_built()


def test_what_a_killed_build_left_is_swept(project: Project):
    tmp = project.out / ".romforge/tmp"
    (tmp / "123-debian").mkdir(parents=True)
    (tmp / "123-debian/some.deb").write_text("")
    (tmp / ".efi-e1000.rom-1-2").write_text("half")
    (tmp / "link").symlink_to(project.top)
    project.check_built()
    assert (project.top / "romspec.toml").exists()


def test_two_builds_at_once_end_right(project: Project):
    """Eight rounds, each of a pair of commands on another spec than before."""
    dice = random.Random("two builds")
    versions = ["old", "new"]
    refused = 0
    for turn in range(8):
        if turn % 4 == 3:
            shutil.rmtree(project.out)
        project.write(versions[0])
        first = project.start(*COMMANDS[dice.choice(list(COMMANDS))])
        time.sleep(dice.choice([0, 0, 0.02, 0.1, 0.25]))
        second = project.start(*COMMANDS[dice.choice(list(COMMANDS))])
        ends = [project.end(process) for process in (first, second)]
        statuses = sorted(status for status, _ in ends)
        assert statuses in ([0, 0], [0, 1]), ends
        assert all(
            "another build is running there: " in output for status, output in ends if status == 1
        ), ends
        refused += sum(statuses)
        project.check_right(versions[0])
        assert list((project.out / ".romforge/tmp").iterdir()) == []
        versions.reverse()
    assert refused, "no two builds ever met"
    project.check_built(versions[1])


@pytest.mark.parametrize("command", ["doit", "doit, processes", "romforge build"])
def test_a_spec_that_changes_while_it_is_built_is_built_by_the_next_run(
    project: Project, command: str
):
    process = project.start(*COMMANDS[command], **project.held())
    project.wait_for(project.files, process)
    project.write("old")
    assert process.poll() is None
    project.let_go()
    status, output = project.end(process)
    assert status == 0, output
    project.check_right("new")
    project.check_built("old")


@pytest.mark.parametrize("group", [True, False], ids=["to all, as by ^C", "to the build alone"])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_interrupt_ends_with_130_and_no_traceback(project: Project, command: str, group: bool):
    process = project.start(*COMMANDS[command], **project.held(2))
    project.wait_for(lambda: len(project.files()) > 1, process)
    os.killpg(process.pid, signal.SIGINT) if group else os.kill(process.pid, signal.SIGINT)
    status, output = project.end(process)
    assert status == 130, output
    assert "romforge: interrupted" in output
    project.check_whole()
    assert len(project.files()) < len(NAMES)
    project.check_built()


def test_an_interrupt_of_a_worker_that_just_begins_ends_with_130_and_no_traceback(
    project: Project,
):
    """Its parent is told, and ends the build."""
    mark = project.top / "begun"
    code = f"MARK = {str(mark)!r}\n{SLOW_TO_BEGIN}"
    process = project.start("doit", "-n", "1", "-P", "process", **project.patched(code))
    project.wait_for(lambda: mark.exists() and mark.read_text(), process)
    os.kill(int(mark.read_text()), signal.SIGINT)
    status, output = project.end(process)
    assert status == 130, output
    project.check_built()


SLOW_TO_BEGIN = """
import os
import time
from romforge.base import output_lock
die_with_parent = output_lock._die_with_parent
def begin():
    die_with_parent()
    with open(MARK, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(1)
output_lock._die_with_parent = begin
"""


@pytest.mark.parametrize("command", ["doit, threads", "romforge build, jobs"])
def test_an_interrupt_is_seen_though_the_main_thread_waits(project: Project, command: str):
    """The signal reaches another thread, which does not end the main thread's wait for a result."""
    environment = project.held(2)
    with (project.top / "site/sitecustomize.py").open("a") as file:
        file.write(ELSEWHERE)
    process = project.start(*COMMANDS[command], **environment)
    project.wait_for(lambda: len(project.files()) > 1, process)
    os.kill(process.pid, signal.SIGINT)
    status, output = project.end(process)
    assert status == 130, output
    project.check_whole()


ELSEWHERE = """
import signal, sys
from romforge.rom import build
install_one = build.build_rom
def unblocked(*arguments):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return install_one(*arguments)
build.build_rom = unblocked
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
"""


@pytest.mark.parametrize("command", ["doit", "doit, processes", "romforge build, jobs"])
def test_an_interrupt_at_any_moment_gives_no_traceback(project: Project, command: str):
    """Once doit or romforge is loaded; what Python says before that is its own."""
    code = """
import os, signal, sys
left = int(os.environ["INTERRUPT_AT"])
me = os.getpid()
def hook(event, arguments):
    global left
    if event == "open" and {"out", "romspec.toml"} & set(str(arguments[0]).split("/")) \
and os.getpid() == me:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
"""
    environment = project.patched(code)
    wrong = []
    for moment in (1, 2, 3, 4, 6, 8, 13, 22, 29, 33):
        shutil.rmtree(project.out, ignore_errors=True)
        process = project.start(*COMMANDS[command], **environment, INTERRUPT_AT=str(moment))
        output, errors = process.communicate(timeout=PATIENCE)
        project.check_whole()
        if "Traceback" in output + errors or process.returncode not in (0, 130):
            wrong.append((moment, process.returncode, errors))
    assert not wrong, "\n".join(
        f"open {moment}: status {status}\n{errors}" for moment, status, errors in wrong
    )
    project.check_built()


def test_an_output_root_may_be_a_symbolic_link(project: Project):
    (project.top / "elsewhere").mkdir()
    project.out.symlink_to("elsewhere")
    project.check_built()
    assert (project.top / "elsewhere/usr/share/qemu/efi-e1000.rom").is_file()
    assert project.out.is_symlink()
    status, output = project.run(["romforge", "build"])
    assert (status, output.splitlines()[-1]) == (0, f"0 built, {len(NAMES)} up to date, in out")


def test_an_output_root_that_is_a_dangling_link_is_told_or_made(project: Project):
    project.out.symlink_to("nowhere")
    status, output = project.run(["doit"])
    assert status in (0, 1)
    assert status == 0 or "out" in output


def test_two_names_of_one_output_root_share_its_lock(project: Project):
    (project.top / "link").symlink_to("out")
    process = project.start("doit", **project.held())
    project.wait_for(project.files, process)
    status, output = project.run(["doit"], ROMFORGE_OUT="link")
    assert status == 1
    assert f"another build is running there: process {process.pid}" in output
    project.let_go()
    assert project.end(process)[0] == 0


def test_a_dir_that_leads_out_of_the_root_is_refused(project: Project):
    (project.top / "outside").mkdir()
    project.place.parent.mkdir(parents=True)
    project.place.symlink_to(project.top / "outside")
    for command in COMMANDS.values():
        status, output = project.run(command)
        assert status == 2
        assert "leaves the output root by a symbolic link" in output
    assert list((project.top / "outside").iterdir()) == []


def test_a_dir_within_the_root_may_be_a_symbolic_link(project: Project):
    (project.out / "real").mkdir(parents=True)
    project.place.parent.mkdir(parents=True)
    project.place.symlink_to("../../real")
    project.check_built()
    assert {path.name for path in (project.out / "real").iterdir()} == NAMES


@pytest.mark.parametrize("level", ["usr", "usr/share/qemu"])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_dir_made_a_link_out_of_the_root_after_the_check_is_refused(
    project: Project, command: str, level: str
):
    (project.top / "outside/share/qemu").mkdir(parents=True)
    code = f"""
import os, pathlib
from romforge.spec import loader
load = loader.load_spec
def moved(*arguments):
    spec = load(*arguments)
    link = pathlib.Path("out/{level}")
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to({str(project.top / "outside")!r})
    return spec
loader.load_spec = moved
"""
    status, output = project.run(COMMANDS[command], **project.patched(code))
    assert status == 1
    assert "a symbolic link leads out of the output root to " in output
    assert [path for path in (project.top / "outside").rglob("*") if path.is_file()] == []


def test_a_file_that_is_a_link_is_replaced_and_not_followed(project: Project):
    victim = project.top / "victim"
    victim.write_text("precious")
    project.place.mkdir(parents=True)
    (project.place / "efi-e1000.rom").symlink_to(victim)
    project.check_built()
    assert not (project.place / "efi-e1000.rom").is_symlink()
    assert victim.read_text() == "precious"


def test_an_output_made_a_link_is_written_as_a_file_again(project: Project):
    """The link's content is right today; it lies outside, and may be another's tomorrow."""
    project.check_built()
    shutil.move(project.place / "efi-e1000.rom", project.top / "outside.rom")
    (project.place / "efi-e1000.rom").symlink_to(project.top / "outside.rom")
    project.check_built()
    assert not (project.place / "efi-e1000.rom").is_symlink()


def test_files_are_readable_by_all_whatever_the_umask(project: Project):
    status = os.system(
        f"cd {shlex.quote(str(project.top))} && umask 077 && "
        f"PYTHONPATH={TOP / 'src'} {sys.executable} -m doit > /dev/null"
    )
    assert status == 0
    assert {path.stat().st_mode & 0o777 for path in project.place.iterdir()} == {0o644}
