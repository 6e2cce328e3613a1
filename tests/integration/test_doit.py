# SPDX-License-Identifier: GPL-2.0-or-later
"""doit's traps, one by one: none may give a wrong file, nor a traceback."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from romforge.base import fingerprint
from tests.support import small_roms
from tests.support.project import PATIENCE, TOP, Run, Started, all_gone, spec_text

pytestmark = pytest.mark.slow

NICS = {"e1000": "8086:100e", "pcnet": "1022:2000", "vmxnet3": "15ad:07b0"}
NAMES = {f"{kind}-{nic}.rom" for kind in ("efi", "pxe") for nic in NICS}
PARALLEL = [["-n", "2", "-P", "process"], ["-n", "2", "-P", "thread"], ["-n", "5"]]


class Project(Started):
    """A directory with a spec of three NICs and two targets, and ROMs of its own to build from."""

    def __init__(self, top: Path, doit: Run, sets: dict[str, Path]) -> None:
        self.top, self.doit, self.sets = top, doit, sets
        self.roms, self.out = top / "roms", top / "out/usr/share/qemu"
        self.state = top / "out/.romforge/state.json"
        shutil.copytree(sets["new"], self.roms)
        self.started: list[subprocess.Popen[str]] = []
        self.write()

    def write(self, text: str = "", size: str = "256KiB") -> None:
        named = "\n".join(f'{nic} = "{ids}"' for nic, ids in NICS.items())
        (self.top / "romspec.toml").write_text(
            spec_text(self.roms, nics=named, extra=text).replace("256KiB", size)
        )

    def right(self, version: str = "new") -> dict[str, bytes]:
        """The files that must come of it: those of the set."""
        return {name: (self.sets[version] / name).read_bytes() for name in NAMES}

    def bytes(self) -> dict[str, bytes]:
        return (
            {path.name: path.read_bytes() for path in self.out.iterdir()}
            if self.out.is_dir()
            else {}
        )

    def manifests(self) -> list[str]:
        return [(self.top / f"out/{target}.manifest.json").read_text() for target in ("efi", "pxe")]

    def build(self, *arguments: str, **environment: str) -> str:
        """Runs doit, which must do; returns its last line."""
        done = self.doit(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    def swap(self, name: str = "efi-e1000.rom", version: str = "old") -> None:
        """Puts another release's ROM in the place of an input."""
        shutil.copy(self.sets[version] / name, self.roms)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_roms.write_sets(tmp_path_factory.mktemp("sets"), NICS)


@pytest.fixture
def project(tmp_path: Path, doit: Run, sets: dict[str, Path]) -> Iterator[Project]:
    made = Project(tmp_path, doit, sets)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("version", ["old", "oldest"], ids=["the same size", "another size"])
def test_content_that_changes_under_an_equal_mtime_is_seen(project: Project, version: str):
    project.build()
    path = project.roms / "efi-e1000.rom"
    before = path.stat()
    project.swap(version=version)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size == before.st_size) == (
        before.st_mtime_ns,
        version == "old",
    )
    assert project.build().startswith("2 built, 4 up to date")
    assert project.bytes()["efi-e1000.rom"].rstrip(b"\xff") == path.read_bytes().rstrip(b"\xff")


@pytest.mark.parametrize("ticked", [False, True])
def test_times_that_may_be_had_twice_do_not_vouch_for_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticked: bool
):
    """On many kernels a file that changes in the tick of its reading keeps its mtime and ctime.

    Size and inode may stay the same, too.
    """
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    before = path.stat()
    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: before.st_ctime_ns + ticked)
    data, state = fingerprint.read_file(path)
    assert data == b"abc"
    path.write_bytes(b"abd")
    monkeypatch.setattr("os.stat", lambda *_, **__: before)
    assert fingerprint.is_unchanged(str(path), state) == ticked
    monkeypatch.undo()
    assert not fingerprint.is_unchanged(str(path), state)


def test_the_content_of_a_target_is_compared_and_not_its_existence(project: Project):
    project.build()
    for name in NAMES:
        times = (project.out / name).stat()
        (project.out / name).write_bytes(b"x" * times.st_size)
        os.utime(project.out / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert project.build().startswith("6 built, 0 up to date")
    assert project.bytes() == project.right()


def test_a_target_replaced_by_an_older_file_of_the_same_size_is_redone(project: Project):
    """As ``cp -p`` or ``tar x`` would put it there."""
    project.build()
    shutil.copy2(project.out / "efi-pcnet.rom", project.out / "efi-e1000.rom")
    assert project.build().startswith("1 built, 5 up to date")
    assert project.bytes() == project.right()


def test_state_lost_by_a_kill_costs_work_alone(project: Project):
    """Killed when some files are there: doit has saved nothing of that."""
    process = project.start("doit", **project.held(2))
    project.wait_for(lambda: len(project.bytes()) > 1, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(project.bytes()) < 6
    assert project.build().startswith("6 built, 0 up to date")
    assert project.bytes() == project.right()


def test_state_older_than_the_files_is_not_believed(project: Project):
    """Built as A and saved. Built as B, and killed before doit saves. Then A is wanted again.

    doit's state says that A is done.
    """
    project.build()
    project.write(size="512KiB")
    process = project.start("doit", **project.held())
    project.wait_for(
        lambda: any(len(data) == 512 << 10 for data in project.bytes().values()), process
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.write()
    project.build()
    assert project.bytes() == project.right()


def test_lost_state_is_work_alone(project: Project):
    project.build()
    before = {path.name: path.stat().st_mtime_ns for path in project.out.iterdir()}
    shutil.rmtree(project.top / "out/.romforge")
    assert project.build().startswith("6 built, 0 up to date")
    assert {path.name: path.stat().st_mtime_ns for path in project.out.iterdir()} == before


@pytest.mark.parametrize("second", ["doit", "romforge"])
@pytest.mark.parametrize(
    "first", [[], ["-n", "2", "-P", "process"], ["-n", "2", "-P", "thread"]], ids=" ".join
)
def test_a_second_build_is_told_who_holds_the_lock(
    project: Project, romforge: Run, first: list[str], second: str
):
    process = project.start("doit", *first, **project.held())
    project.wait_for(project.bytes, process)
    done = project.doit() if second == "doit" else romforge("build")
    assert done.returncode == 1
    assert re.search(
        rf"out: another build is running there: process {process.pid}, "
        r"since \d\d:\d\d:\d\d; wait for it",
        done.stderr,
    )
    assert process.poll() is None
    assert project.build(ROMFORGE_OUT="other").endswith("other")
    project.let_go()
    output = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert project.bytes() == project.right()
    assert project.build().startswith("0 built, 6 up to date")


def test_a_second_build_with_a_reporter_of_doits_own_is_refused_too(project: Project):
    """It takes no lock at its start, but no step runs without."""
    process = project.start("doit", **project.held())
    project.wait_for(project.bytes, process)
    before = project.bytes()
    done = project.doit("-r", "console", "rom:usr/share/qemu/pxe-vmxnet3.rom")
    assert done.returncode in (1, 2)
    assert f"another build is running there: process {process.pid}" in done.stdout + done.stderr
    assert process.poll() is None
    assert "pxe-vmxnet3.rom" not in before
    project.let_go()
    assert process.wait(timeout=PATIENCE) == 0


def test_listing_tasks_does_not_wait_for_a_build(project: Project):
    process = project.start("doit", **project.held())
    project.wait_for(project.bytes, process)
    assert "rom:usr/share/qemu/efi-e1000.rom" in project.doit("list", "--all").stdout
    assert process.poll() is None
    project.let_go()
    assert process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize("reporter", [[], ["-r", "console"]], ids=["", "console"])
@pytest.mark.parametrize("parallel", PARALLEL, ids=" ".join)
def test_jobs_at_once_build_the_same(project: Project, parallel: list[str], reporter: list[str]):
    project.build(*parallel, *reporter)
    assert project.bytes() == project.right()
    assert project.build().startswith("0 built, 6 up to date")
    (project.out / "efi-pcnet.rom").unlink()
    project.build(*parallel, *reporter)
    assert project.bytes() == project.right()
    assert project.build(*parallel).startswith("0 built, 6 up to date")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_jobs_at_once_work_with_every_start_method(project: Project, method: str):
    """spawn and forkserver, the default from Python 3.14, send tasks to the workers by pickle."""
    dodo = (project.top / "dodo.py").read_text()
    first = f'import multiprocessing\nmultiprocessing.set_start_method("{method}")\n'
    (project.top / "dodo.py").write_text(dodo.replace("import sys\n", f"import sys\n{first}"))
    project.write(size="128KiB")
    done = project.doit("-n", "2", "-P", "process")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "3 failed, 3 built, 0 up to date, in out",
    ), done.stderr
    project.write()
    assert project.build("-n", "2", "-P", "process").startswith("3 built, 3 up to date")
    assert project.bytes() == project.right()
    assert project.build().startswith("0 built, 6 up to date")


@pytest.mark.parametrize("reporter", [[], ["-r", "console"]], ids=["", "console"])
@pytest.mark.parametrize("parallel", [[], *PARALLEL], ids=" ".join)
def test_a_rom_that_fails_beside_others_fails_alone(
    project: Project, parallel: list[str], reporter: list[str]
):
    project.write(
        "[target.over]\ndir = 'over'\nfile = '{nic}.rom'\nimages = ['pcbios', 'x86_64-efi']\n"
        "nics = ['pcnet']\nbucket = 'pxe'"
    )
    (project.roms / "efi-vmxnet3.rom").write_bytes(b"no ROM")
    done = project.doit(*parallel, *reporter)
    assert done.returncode == 1 if not reporter else done.returncode in (1, 2)
    right = {name: data for name, data in project.right().items() if "vmxnet3" not in name}
    assert project.bytes() == right
    if not reporter:
        assert done.stdout.splitlines()[-1] == "3 failed, 4 built, 0 up to date, in out"
        assert "1,024 bytes (0x400) over its bucket of 128 KiB" in done.stderr
        (entry,) = json.loads((project.top / "out/over.manifest.json").read_text())["roms"]
        assert [image["size"] for image in entry["images"]] == [130_560, 1_536]


def test_romforge_build_takes_jobs(project: Project, romforge: Run):
    done = romforge("build", "--jobs", "3")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "6 built, 0 up to date, in out")
    assert project.bytes() == project.right()


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes what the state says of each task, in the file's last line; it is sound JSON still."""

    def act(path: Path) -> None:
        head, line, text = path.read_bytes().rpartition(b"\n")
        tasks = json.loads(text)
        assert tasks
        for saved in tasks.values():
            change(saved)
        path.write_bytes(head + line + json.dumps(tasks).encode())

    return act


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"garbage\n" * 99),
    "zeros": lambda path: path.write_bytes(bytes(8192)),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all but the end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "sqlite": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4080)),
    "a list": lambda path: path.write_text("[1]"),
    "null": lambda path: path.write_text("null"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "no UTF-8": lambda path: path.write_bytes(b'{"\xff": {}}'),
    "values are a list": changed(lambda saved: saved.update({"_values_:": []})),
    "no values": changed(lambda saved: saved.clear()),
    "no outputs": changed(lambda saved: saved["_values_:"].pop("outputs")),
    "no inputs": changed(lambda saved: saved["_values_:"].pop("inputs")),
    "no entry": changed(lambda saved: saved["_values_:"].pop("entry")),
    "outputs are a list": changed(lambda saved: saved["_values_:"].update(outputs=[])),
    "no output": changed(lambda saved: saved["_values_:"].update(outputs={})),
    "empty states": changed(
        lambda saved: saved["_values_:"].update(
            outputs={name: [] for name in saved["_values_:"]["outputs"]}
        )
    ),
    "states are numbers": changed(
        lambda saved: saved["_values_:"].update(
            inputs=dict.fromkeys(saved["_values_:"]["inputs"], 1)
        )
    ),
    "an entry that is no JSON": changed(lambda saved: saved["_values_:"].update(entry="{")),
    "a dangling link": dangling,
}


@pytest.mark.parametrize("breakage", list(BREAKAGES))
def test_broken_state_costs_work_alone(project: Project, breakage: str):
    project.build()
    (project.out / "efi-e1000.rom").write_bytes(b"no ROM")
    right = project.manifests()
    BREAKAGES[breakage](project.state)
    project.build()
    assert project.bytes() == project.right()
    assert project.manifests() == right
    assert project.build().startswith("0 built, 6 up to date")


def test_state_with_a_flipped_bit_costs_work_alone(project: Project):
    """25 bits, none of which may come through to a ROM, a manifest or a traceback."""
    project.build()
    data, right = project.state.read_bytes(), project.manifests()
    dice = random.Random("bits")
    wrong = []
    for place in sorted(dice.sample(range(len(data)), 25)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << dice.randrange(7)
        project.state.write_bytes(flipped)
        try:
            project.build()
            assert project.bytes() == project.right()
            assert project.manifests() == right
        except AssertionError as error:
            about = data[place - 40 : place].decode() + ">" + data[place : place + 20].decode()
            wrong.append(f"byte {place}, {about}: {str(error).splitlines()[-1][:200]}")
            project.state.unlink(missing_ok=True)
            project.build()
    assert not wrong, "\n".join(wrong)


def test_a_directory_in_place_of_the_state_is_told_and_the_work_is_done(project: Project):
    (project.state / "inside").mkdir(parents=True)
    done = project.doit()
    assert done.returncode == 0
    assert (
        "doit's state is not saved: out/.romforge/state.json: cannot be written: Is a directory"
        in done.stderr
    )
    assert project.bytes() == project.right()


EDITED = """
import os, threading
from pathlib import Path
from romforge.base import fingerprint
read = fingerprint.read_file
new = Path({other!r}).read_bytes()
def edited(path, *rest):
    done = read(path, *rest)
    if path == Path({path!r}) and done[0] != new:
        {how}
    return done
fingerprint.read_file = edited
"""
IN_PLACE = "path.write_bytes(new)"
REPLACED = (
    'part = Path(f"{path}-{os.getpid()}-{threading.get_ident()}"); '
    "part.write_bytes(new); part.replace(path)"
)


@pytest.mark.parametrize("arguments", [[], *PARALLEL, ["-r", "console"]], ids=" ".join)
@pytest.mark.parametrize("how", [IN_PLACE, REPLACED], ids=["in place", "replaced"])
def test_an_input_edited_while_its_task_runs_is_not_believed(
    project: Project, arguments: list[str], how: str
):
    """The edit comes right after the bytes were read; the next run must see that they changed."""
    path, other = project.roms / "efi-e1000.rom", project.sets["old"] / "efi-e1000.rom"
    first = project.doit(
        *arguments, **project.patched(EDITED.format(path=str(path), other=str(other), how=how))
    )
    # with -n another task may read half an edit
    assert first.returncode == 0 or ("-n" in arguments and how == IN_PLACE), first.stderr
    assert path.read_bytes() == other.read_bytes()
    # with -n the other of the two tasks that read the file may have read it after the edit
    if "-n" not in arguments:
        assert project.bytes()["efi-e1000.rom"] == project.right()["efi-e1000.rom"]
    project.build(*arguments)
    assert project.bytes()["efi-e1000.rom"] == other.read_bytes()
    assert project.bytes()["pxe-e1000.rom"] == (project.sets["old"] / "pxe-e1000.rom").read_bytes()
    assert project.build().startswith("0 built, 6 up to date")


def test_an_output_edited_while_its_task_ends_is_not_believed(project: Project):
    """The edit comes between the rename and the look at what was installed."""
    code = """
from romforge.base import output_files
write = output_files.write_output
def spoilt(out, path, data):
    place = write(out, path, data)
    if path.endswith("efi-e1000.rom"):
        place.write_bytes(b"x" * len(data))
    return place
output_files.write_output = spoilt
"""
    project.build(**project.patched(code))
    project.build()
    assert project.bytes() == project.right()


def test_an_input_that_never_rests_is_told(project: Project):
    code = """
import os
from romforge.base import fingerprint
fstat = os.fstat
class Restless:
    count = 0
def changing(handle):
    found = fstat(handle)
    if os.readlink(f"/proc/self/fd/{handle}").endswith("efi-e1000.rom"):
        Restless.count += 1
        os.utime(f"/proc/self/fd/{handle}", ns=(Restless.count, Restless.count))
    return found
fingerprint.os.fstat = changing
"""
    done = project.doit(**project.patched(code))
    assert done.returncode == 1
    assert (
        "efi-e1000.rom: changes while it is read; wait until its writer has finished" in done.stderr
    )


def test_the_console_reporter_works(project: Project):
    lines = project.doit("-r", "console").stdout.splitlines()
    assert sum(line.startswith(".  rom:") for line in lines) == 6
    assert project.bytes() == project.right()
    lines = project.doit("-r", "console").stdout.splitlines()
    assert sum(line.startswith("-- rom:") for line in lines) == 6
    (project.out / "pxe-pcnet.rom").unlink()
    lines = project.doit("-r", "console").stdout.splitlines()
    assert [line for line in lines if line.startswith(".  rom:")] == [
        ".  rom:usr/share/qemu/pxe-pcnet.rom"
    ]


@pytest.mark.parametrize("reporter", ["zero", "json", "executed-only", "error-only"])
def test_doits_other_reporters_work(project: Project, reporter: str):
    assert project.doit("-r", reporter).returncode == 0
    assert project.bytes() == project.right()
    assert project.build().startswith("0 built, 6 up to date")


def test_a_build_asked_for_always_is_done_always(project: Project):
    project.build()
    assert project.build("-a").startswith("6 built, 0 up to date")
    assert project.bytes() == project.right()


def test_an_ignored_task_is_left_out_and_told_by_doit(project: Project):
    rom = "rom:usr/share/qemu/efi-e1000.rom"
    project.build("ignore", rom)
    project.build()
    assert set(project.bytes()) == NAMES - {"efi-e1000.rom"}
    project.build("forget", rom)
    project.build()
    assert project.bytes() == project.right()


def test_doit_from_another_directory_builds_in_that_of_the_spec(project: Project):
    """``doit -f PATH/dodo.py`` with ROMSPEC relative to where doit was started."""
    (project.top / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "doit", "-f", "../dodo.py"],
        cwd=project.top / "elsewhere",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(TOP / "src"),
            "ROMSPEC": "../romspec.toml",
            "ROMFORGE_OUT": "mine",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {
        path.name for path in (project.top / "elsewhere/mine/usr/share/qemu").iterdir()
    } == NAMES


def orphaned(project: Project) -> int:
    """Kills doit, and not its two workers, while they are at work on ROMs of 256 KiB.

    They go on when they are let go. Returns the session's number.
    """
    code = f"""
import os, time
from romforge.rom import assembly
fit = assembly.fit_bucket
def held(*arguments, **options):
    open("out/at-work", "w").close()
    end = time.monotonic() + {2 * PATIENCE}
    while not os.path.exists("go") and time.monotonic() < end:
        time.sleep(0.005)
    return fit(*arguments, **options)
assembly.fit_bucket = held
"""
    process = project.start("doit", "-n", "2", "-P", "process", **project.patched(code))
    project.wait_for((project.top / "out/at-work").exists, process)
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGKILL
    return process.pid


def test_a_worker_that_outlives_its_killed_build_installs_nothing_more(project: Project):
    """What it makes of an old spec must not land on what a newer build has made."""
    session = orphaned(project)
    project.write(size="512KiB")
    project.build()
    before = {
        name: (len(data), (project.out / name).stat().st_ino)
        for name, data in project.bytes().items()
    }
    project.let_go()
    for one in all_gone(lambda: processes(session)):
        os.kill(one, signal.SIGKILL)
    assert {
        name: (len(data), (project.out / name).stat().st_ino)
        for name, data in project.bytes().items()
    } == before


def test_no_worker_outlives_its_killed_build_for_long(project: Project):
    """They would wait for ever for the next task."""
    session = orphaned(project)
    project.let_go()
    left = all_gone(lambda: processes(session))
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert not left


def processes(session: int) -> dict[int, str]:
    """The processes of a session, by their number: each with its name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found[int(path.parent.name)] = name
    return found
