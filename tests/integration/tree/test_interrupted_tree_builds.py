# SPDX-License-Identifier: GPL-2.0-or-later
"""Building from a tree that is killed, interrupted, damaged, edited or short of disk.

In the end the bytes are right: those that the tree's own make gives in a copy of the tree, one job
at a time. The tree is vendor/minipxe with fewer sources. Wrappers run its tools: first they do what
a test wants (``Project.hook``), and then ccache compiles. A test that needs a file system of its
own mounts a tmpfs, which takes root.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from romforge.base.fingerprint import sha256
from romforge.spec.model import Target
from tests.support import builders, compilers
from tests.support.disk import Disk, Set, differing, used
from tests.support.forge import SAME_ANYWHERE
from tests.support.minipxe import first_goals
from tests.support.project import PATIENCE, TOP, Run, Started, all_gone, run, users

pytestmark = pytest.mark.slow

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
PLATFORMS = {"pcbios": ("bin", "rom"), "x86_64-efi": ("bin-x86_64-efi", "efirom")}
E1000, RTL8139 = {"e1000": "8086100e"}, {"rtl8139": "10ec8139"}
# What the configuration alone asks for, and drivers: only intel.c and realtek.c stay.
LEFT_OUT = (
    *(f"net/{name}.c" for name in ("http", "lldp", "stp", "aoe", "dns", "eapol", "eth_slow")),
    *("usr/[!a]*.c", "drivers/net/[!ir]*.c", "drivers/bus/pci_settings.c"),
)
SWITCHED_OFF = r"#define (?:DOWNLOAD_|NET_PROTO_|SANBOOT_|PCI_|DIGEST_|CRC_)\w+\n"
# images are compared as make leaves them
STORED = 'level = "stored"\n' if "level" in Target.__dataclass_fields__ else ""


def spec_text(
    nics: dict[str, str] = E1000,
    source: str = "",
    efi: str = "",
    extra: str = "",
    platforms: Iterable[str] = PLATFORMS,
) -> str:
    """A spec whose ROMs are the tree's own images: one platform each, all roots, no rewrite."""
    named = "".join(f'[nic.{nic}]\nid = "{goal[:4]}:{goal[4:]}"\n' for nic, goal in nics.items())
    targets = "".join(
        f'[target.{name}]\ndir = "roms"\nfile = "{name}-{{nic}}.rom"\nimages = ["{name}"]\n{STORED}'
        for name in platforms
    )
    return f"""spec = 1
[source.ipxe]
tree = "tree"
{source}
[platform.pcbios]
[platform.x86_64-efi]
media = "efirom"
strip = "none"
{efi}
{named}{targets}{extra}"""


class Plain:
    """What the tree's own make gives for trees as they are, each built once."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.known: dict[str, Set] = {}

    def of(
        self,
        tree: Path,
        path: str,
        nics: dict[str, str],
        config: str,
        port: str,
        platforms: Iterable[str],
    ) -> Set:
        content = sorted(
            (str(file.relative_to(tree)), file.read_bytes())
            for file in tree.rglob("*")
            if file.is_file()
        )
        roms: Set = {}
        for name in platforms:
            digest = sha256(repr((content, nics, config, port, name)).encode())
            if digest not in self.known:
                self.known[digest] = self.made(tree, path, nics, config, port, name)
            roms |= self.known[digest]
        return roms

    def made(
        self, tree: Path, path: str, nics: dict[str, str], config: str, port: str, name: str
    ) -> Set:
        """What make gives for one platform."""
        directory, media = PLATFORMS[name]
        copy = self.top / f"plain-{len(self.known)}-{name}"
        shutil.copytree(tree, copy)
        if config:
            (copy / "src/config/local" / config).mkdir(parents=True)
            (copy / "src/config/local" / config / "console.h").write_text(
                f"#undef COMCONSOLE\n#define COMCONSOLE {port}\n"
            )
        goals = {nic: f"{directory}/{goal}.{media}" for nic, goal in nics.items()}
        environment = {"PATH": path, "HOME": "/nonexistent", **EPOCH}
        for words in (*first_goals(copy / "src", directory, config=config), goals.values()):
            command = ["make", SAME_ANYWHERE, f"CONFIG={config}", *words]
            subprocess.run(
                command, cwd=copy / "src", env=environment, check=True, capture_output=True
            )
        roms = {
            f"{name}-{nic}.rom": (copy / "src" / goal).read_bytes() for nic, goal in goals.items()
        }
        shutil.rmtree(copy)
        return roms


class Project(Started):
    """A directory with a tree, a spec of it, and wrappers of the tools that a tree needs."""

    def __init__(self, top: Path, plain: Plain) -> None:
        self.top, self.plain, self.tree, self.out = top, plain, top / "tree", top / "out"
        self.src, self.work = self.tree / "src", self.out / ".romforge/tree/ipxe"
        self.started: list[subprocess.Popen[str]] = []
        shutil.copytree(
            TOP / "vendor/minipxe",
            self.tree,
            ignore=shutil.ignore_patterns("bin*", "local", "zbin", "elf2efi", "efirom"),
        )
        for path in [path for pattern in LEFT_OUT for path in self.src.glob(pattern)]:
            path.unlink()
        general = self.src / "config/general.h"
        general.write_text(re.sub(SWITCHED_OFF, "", general.read_text()))
        (top / "bin").mkdir()
        for tool in ("gcc", "ld", "ar", "perl"):
            self.wrap(
                tool, compilers.EXEC_CACHED_GCC if tool == "gcc" else f"exec {shutil.which(tool)}"
            )
        self.path = f"{top / 'bin'}:{os.environ['PATH']}"
        self.hook("")
        self.write(spec_text())

    def wrap(self, tool: str, command: str) -> None:
        """Puts a tool's wrapper into PATH, for good: romforge rebuilds where a tool changes."""
        path = self.top / "bin" / tool
        path.write_text(f"""#!/bin/sh
TOP={self.top} TOOL={tool}
export CCACHE_DIR={compilers.CACHE}
. $TOP/hook
{command} "$@"
""")
        path.chmod(0o755)

    def hook(self, text: str) -> None:
        """Shell code that each tool runs before its work; it may do the work itself and exit."""
        (self.top / "hook.new").write_text(f"{text}\n")
        (self.top / "hook.new").replace(self.top / "hook")

    def write(self, text: str) -> None:
        (self.top / "romspec.toml").write_text(text)

    def right(
        self,
        nics: dict[str, str] = E1000,
        config: str = "",
        port: str = "",
        platforms: Iterable[str] = PLATFORMS,
    ) -> Set:
        return self.plain.of(self.tree, self.path, nics, config, port, platforms)

    def files(self, out: Path | None = None) -> Set:
        place = (out or self.out) / "roms"
        return {path.name: path.read_bytes() for path in place.iterdir()} if place.is_dir() else {}

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return self.start(*(command or ("doit",)), **{"PATH": self.path, **EPOCH, **environment})

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit status and all that was printed; a traceback fails the test."""
        output, errors = process.communicate(timeout=PATIENCE)
        said = output + (errors or "")
        assert "Traceback" not in said, said
        return process.returncode, said

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Exit status and all that was printed; a traceback fails the test."""
        words = [sys.executable, "-m", *(command or ("doit",))]
        done = run(words, self.top, **{"PATH": self.path, **EPOCH, **environment})
        return done.returncode, done.stdout + done.stderr

    def build(self, *command: str, **environment: str) -> str:
        """Runs a build, which must do; returns its last line."""
        status, output = self.run(*command, **environment)
        assert status == 0, output
        return next(line for line in output.splitlines() if " built, " in line)

    def check_built(self, right: Set) -> None:
        """A build does, and all files are right."""
        self.build()
        assert differing(self.files(), right) == []

    def clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def count(self, name: str) -> int:
        """The lines of a file that the hook writes."""
        path = self.top / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def alive(self) -> dict[int, str]:
        """The processes that work below our directory, but not doit: their numbers and names."""
        names = {}
        for pid in [int(name) for name in os.listdir("/proc") if name.isdecimal()]:
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd").startswith(f"{self.top}/"):  # a zombie has none
                    names[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        return names


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return Plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def project(tmp_path: Path, doit: Run, plain: Plain) -> Iterator[Project]:
    """``doit`` is asked for since it puts a dodo.py there."""
    made = Project(tmp_path, plain)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    for one in made.alive():
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


@pytest.fixture
def disk(project: Project) -> Iterator[Disk]:
    """Where the output root of ``project`` will be."""
    made = Disk(project.out)
    yield made
    made.umount()


# A compiler that does not end before its make does: a make would wait for it that is not told to
# end. One that had just begun when its make was killed ends, too.
ENDLESS = f"""
make=$PPID
while [ "$make" -gt 1 ] && [ "$(cat /proc/$make/comm)" != make ]; do
    make=$(cut -d " " -f 4 /proc/$make/stat)
done 2>/dev/null
turn=0
while [ "$make" -gt 1 ] && [ -d /proc/$make ] && [ $turn -lt {20 * PATIENCE} ]; do
    sleep 0.1
    turn=$((turn + 1))
done 2>/dev/null
"""
# not out of the cache: takes its time, as half-written files do
REALLY = '[ $TOOL != gcc ] || exec /usr/bin/gcc "$@"\n'
NOTED = (
    'case "$TOOL $*" in *" -c core/version.c"*);; '
    '"gcc "*" -c "*) echo "$*" >> $TOP/compiles;; esac\n'
)
# half an object lies in its place for a while
SLOWLY = """case "$TOOL $*" in "gcc "*" -c "*) for last; do :; done
    $COMPILER "$@" && cp $last $last.whole && head -c 300 $last.whole > $last && \
sleep 0.05 && mv $last.whole $last; exit;;
esac"""
COMPILES = 40  # in a build of two platforms, at least
ROUNDS = 2  # early in a build, and in its second half
VICTIMS: dict[str, tuple[str, ...]] = {
    "doit": (),
    "doit and its makes": ("make",),
    "make": ("make",),
    "compiler": ("gcc", "cc1", "as", "ld"),
}


def kill(
    project: Project,
    process: subprocess.Popen[str],
    names: tuple[str, ...],
    doit: bool,
    group: bool,
) -> bool:
    """Kills doit and all processes of a name, or one of them, each with its process group or not.

    Returns whether it could.
    """
    end = os.killpg if group else os.kill
    while process.poll() is None:
        pids = [pid for pid, name in project.alive().items() if name in names]
        if doit:
            process.send_signal(signal.SIGSTOP)  # lest it see its makes die
        for pid in [process.pid, *pids] if doit else pids[:1]:
            with suppress(ProcessLookupError):
                end(pid, signal.SIGKILL)
                if not doit:
                    return True
        if doit:
            return process.wait() == -signal.SIGKILL
    return False


@pytest.mark.parametrize("victim", list(VICTIMS))
def test_a_kill_at_any_moment_leaves_the_next_build_right(project: Project, victim: str):
    """Any part of a fresh build is killed: the next doit gives make's bytes, orphans end soon."""
    names = VICTIMS[victim]
    compiler = "ccache /usr/bin/gcc"
    if victim == "compiler":
        compiler = "/usr/bin/gcc"  # the processes that are to be killed
    dice = random.Random(f"kill {victim}")
    caught = 0
    for turn in range(ROUNDS):
        project.clear()
        (project.top / "compiles").unlink(missing_ok=True)
        project.hook(NOTED + SLOWLY.replace("$COMPILER", compiler))
        process = project.begin()
        moment = (turn + dice.random() / 2) / ROUNDS * COMPILES
        while project.count("compiles") < moment and process.poll() is None:
            time.sleep(0.005)
        time.sleep(dice.random() / (2 if moment < 1 else 20))
        killed = kill(
            project, process, names, "doit" in victim, group="make" in victim and turn == 0
        )
        if victim == "doit":
            project.hook(ENDLESS)
        status, output = project.end(process)
        left = all_gone(project.alive)
        assert not left, f"still at work after a kill: {left}"
        assert status in ((-signal.SIGKILL,) if "doit" in victim and killed else (0, 1)), output
        assert status != 1 or re.search("[kK]illed|make ended with status", output), output
        caught += status != 0
        project.hook("")
        project.check_built(project.right())
    assert caught >= ROUNDS - 1, "most builds had ended before they were killed"


# The compiler dies in the midst of an object, of a dependency file, and before it wrote any of it.
DIES = {
    "object": """case "$*" in *" -c core/string.c"*) if mkdir $TOP/died; then
    for last; do :; done; /usr/bin/gcc "$@"; head -c 300 $last > $last.half; \
mv $last.half $last; kill -9 $$
fi;; esac""",
    "dependencies": """case "$*" in *" -M "*" core/string.c") if mkdir $TOP/died; then
    /usr/bin/gcc "$@" > $TOP/whole; head -c 60 $TOP/whole; kill -9 $$
fi;; esac""",
    "no dependencies": """case "$*" in *" -M "*" core/string.c") \
if mkdir $TOP/died; then kill -9 $$; fi;; esac""",
}


@pytest.mark.parametrize("what", list(DIES))
def test_a_compiler_that_is_killed_as_it_writes_leaves_nothing_that_is_believed(
    project: Project, what: str
):
    """As by the OOM killer. Of dependencies make does not notice, since they go through a pipe.

    Without them make would not compile the source again when a header changes.
    """
    project.write(spec_text(platforms=["pcbios"]))
    project.hook(DIES[what])
    status, output = project.run()
    assert status == (1 if what == "object" else 0), output
    assert (project.top / "died").is_dir()
    right = project.right(platforms=["pcbios"])
    project.check_built(right)
    edit_header(project.src)
    project.check_built(project.right(platforms=["pcbios"]))


# A tree whose make ends at once, and whose ROM holds the names, modes and content of all its parts
SMALL_MAKEFILE = """\
COMPILE_c = $(CC)
bin/%.rom : ; @mkdir -p bin; find parts -type f -printf '%m ' -print -exec cat {} ';' \
| sort | perl rom.pl > $@
\t@echo "Linker script and memory map" > $@.tmp.map
$(shell mkdir -p bin)
"""
SMALL_ROM = """
local $/; open(B, "<base.rom"); $b = <B>; $t = <STDIN>; length($t) < 500 or die;
substr($b, 0x200, length($t)) = $t; \
substr($b, 6, 1) = chr((ord(substr($b, 6, 1)) - unpack("%8C*", $b)) % 256); print $b;
"""
DIE_AT = """
import os, signal, sys
left = int(os.environ.get("DIE_AT", 0))
log = os.environ.get("LOG")
CHANGES = "os.rename", "os.mkdir", "os.chmod", "os.utime", "os.symlink", "os.remove", "os.rmdir"
def hook(event, arguments):
    global left
    if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & 3):
        if ".romforge" in str(arguments[0]) or event in ("os.remove", "os.rmdir"):
            if log:
                file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.write(file, event.encode() + b"\\n")
                os.close(file)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


def sampled(operations: list[str], count: int) -> list[int]:
    """Numbers of operations: the first and last of each kind, and so many others; from 1 on."""
    numbers: set[int] = set()
    for kind in set(operations):
        numbers.add(operations.index(kind) + 1)
        numbers.add(len(operations) - operations[::-1].index(kind))
    others = [number for number in range(1, len(operations) + 1) if number not in numbers]
    dice = random.Random(f"operations {len(operations)}")
    return sorted(numbers.union(dice.sample(others, count)))


def small_tree(project: Project) -> Path:
    """Replaces the project's tree by one of a few files; returns the directory of its parts."""
    shutil.rmtree(project.src)
    parts = project.src / "parts"
    (parts / "sub").mkdir(parents=True)
    (project.src / "config").mkdir()
    (project.src / "base.rom").write_bytes(builders.legacy())
    texts = {
        "Makefile": SMALL_MAKEFILE,
        "rom.pl": SMALL_ROM,
        "config/general.h": "",
        "parts/text": "one\n",
        "parts/mode": "",
        "parts/sub/gone": "",
    }
    for name, text in texts.items():
        (project.src / name).write_text(text)
    # so that no tool is examined for what it can do
    source = 'config = "some"\nmake = { CC = "true", LD = "true", HOST_CC = "true" }'
    project.write(
        spec_text(
            source=source, extra="[config.some.general]\ndefine = ['SOME']\n", platforms=["pcbios"]
        )
    )
    return parts


def small_right(project: Project) -> Set:
    """What the small tree's own make gives; of modes a working tree knows two."""
    copy = project.top / "copy"
    shutil.copytree(project.src, copy)
    for path in copy.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    subprocess.run(["make", "bin/8086100e.rom"], cwd=copy, check=True, capture_output=True)
    data = (copy / "bin/8086100e.rom").read_bytes()
    shutil.rmtree(copy)
    return {"pcbios-e1000.rom": data}


def replace_tree(place: Path, by: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(by, place)


@pytest.mark.parametrize("built", [False, True], ids=["fresh", "an update"])
def test_a_kill_at_any_kind_of_file_operation_leaves_the_next_build_right(
    project: Project, built: bool
):
    """However far the sync came, the next doit has the tree's files and no other.

    That holds also where an edit is reverted then.
    """
    parts = small_tree(project)
    trees, before = (project.top / "old", project.top / "new"), project.top / "before"
    rights = [small_right(project)]
    shutil.copytree(project.src, trees[0])
    if built:
        project.check_built(rights[0])
        project.out.rename(before)
    (parts / "text").write_text("two\n")
    (parts / "mode").chmod(0o755)
    shutil.rmtree(parts / "sub")
    (parts / "new").mkdir()
    (parts / "new/added").write_text("three\n")
    rights.append(small_right(project))
    shutil.copytree(project.src, trees[1])
    environment = project.patched(DIE_AT)

    def build(**words: str) -> int:
        """Builds the edited tree upon what was built before; returns doit's status."""
        project.clear()
        if built:
            shutil.copytree(before, project.out, symlinks=True)
        replace_tree(project.src, trees[1])
        status, output = project.run(**environment, **words)
        assert status in (0, -signal.SIGKILL), output
        return status

    log = project.top / "operations"
    assert build(LOG=str(log)) == 0
    moments = sampled(log.read_text().splitlines(), count=6)
    killed = 0
    for turn, moment in enumerate(moments):
        killed += build(DIE_AT=str(moment)) != 0
        now = turn % 2
        replace_tree(project.src, trees[now])
        project.check_built(rights[now])
        assert list((project.out / ".romforge/tmp").iterdir()) == []
    assert killed >= len(moments) - 1 >= 10


def test_a_file_may_come_in_the_place_of_a_directory_and_the_reverse(project: Project):
    """The sync removes what is in the way first."""
    parts = small_tree(project)
    project.build()
    shutil.rmtree(parts / "sub")
    (parts / "sub").write_text("a file now\n")
    (parts / "text").unlink()
    (parts / "text").mkdir()
    (parts / "text/below").write_text("a file below\n")
    project.check_built(small_right(project))


SIZES = *(f"size={part}%" for part in (20, 70, 96)), "size=64m,nr_inodes=150"


def test_a_full_disk_is_told_and_with_more_room_the_bytes_are_right(project: Project, disk: Disk):
    """The smallest disk hardly holds the copy of the tree, the largest lacks a few pages.

    One lacks inodes.
    """
    right = project.right()
    disk.mount("size=64m")
    project.check_built(right)
    whole = used(project.out)
    for size in SIZES:
        disk.umount()
        disk.mount(re.sub(r"(\d+)%", lambda part: str(whole * int(part[1]) // 100), size))
        status, output = project.run()
        assert (status, "space left on" in output.lower()) == (1, True), f"{size}: {output}"
        assert all(data == right[name] for name, data in project.files().items())
        disk.remount("size=64m,nr_inodes=0")
        project.check_built(right)


FULL = """[ $TOOL != ar ] || [ -e $TOP/filled ] || {
    touch $TOP/filled; cat /dev/zero > $TOP/out/filler 2>&-; head -c 9999 /dev/zero | tr '\\0' '\\n'
    echo "ar: blib.a: No space left on device"; truncate -s -100K $TOP/out/filler; exit 1
}"""


def test_a_disk_too_full_for_the_log_is_told(project: Project, disk: Disk):
    """The report has no room either. Then there is room, since make removes incomplete files."""
    project.write(spec_text(platforms=["pcbios"]))
    disk.mount("size=4m")
    project.hook(FULL)
    status, output = project.run()
    (project.out / "filler").unlink()
    project.check_built(project.right(platforms=["pcbios"]))
    assert (status, "space left on" in output.lower()) == (1, True), output


AT_COMPILE = """case "$TOOL $*" in "gcc "*" -c "*)
    echo $PWD >> $TOP/compiling
    while [ ! -e $TOP/go ]; do sleep 0.02; done;;
esac"""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_driver(src: Path) -> None:
    edit(src / "drivers/net/intel.c", "0x5400", "0x5440")


def edit_header(src: Path) -> None:
    edit(
        src / "include/minipxe.h",
        "#endif",
        'static const char edited[] __attribute__ (( used )) = "edited";\n#endif',
    )


def edit_makefile(src: Path) -> None:
    """And a source comes, another goes."""
    edit(src / "Makefile", "VERSION_PATCH	= 0", "VERSION_PATCH	= 7")
    (src / "core/added.c").write_text("int added;\n")
    (src / "drivers/net/realtek.c").unlink()


@pytest.mark.parametrize(
    ("change", "nics"),
    [(edit_driver, E1000 | RTL8139), (edit_header, E1000 | RTL8139), (edit_makefile, E1000)],
)
def test_an_edit_while_make_runs_is_built_by_the_next_run(
    project: Project, change: Callable[[Path], None], nics: dict[str, str]
):
    """The edit comes after the sync: this run builds the tree without it, the next run with it.

    Then there is nothing to do.
    """
    project.write(spec_text(nics))
    before = project.right(nics)
    project.hook(AT_COMPILE)
    process = project.begin(DEB_BUILD_OPTIONS="parallel=4")
    compiling = project.top / "compiling"
    project.wait_for(
        lambda: compiling.exists() and len(set(compiling.read_text().split())) == 2, process
    )
    change(project.src)
    (project.top / "go").touch()
    status, output = project.end(process)
    assert status == 0, output
    assert differing(project.files(), before) == []
    project.hook("")
    after = project.right(nics)
    # the build ID sums up all objects, but a ROM without this driver is not made again for that
    if change is edit_driver:
        after = {name: (after if "e1000" in name else before)[name] for name in after}
    assert differing(before, after) != []
    project.check_built(after)
    assert project.build().startswith("0 built")


@pytest.mark.parametrize(
    ("command", "moment"), [("doit", 9), ("doit", 22), ("romforge build --jobs 1", 22)]
)
def test_an_interrupt_ends_with_words_and_keeps_what_was_compiled(
    project: Project, command: str, moment: int
):
    """^C during make ends with 130, and leaves no process.

    The next run compiles only what is missing, in the same working tree.
    """
    right = project.right()
    project.hook(NOTED)
    project.check_built(right)
    whole = project.count("compiles")
    project.clear()
    (project.top / "compiles").unlink()
    project.hook(NOTED + "sleep 0.05\n")
    process = project.begin(*command.split())
    project.wait_for(lambda: project.count("compiles") >= moment, process)
    os.killpg(process.pid, signal.SIGINT)
    project.hook(ENDLESS)
    status, output = project.end(process)
    assert (status, "romforge: interrupted" in output, all_gone(project.alive)) == (
        130,
        True,
        {},
    ), output
    # without those that no compiler makes, or make itself removes
    objects = project.work.rglob("bin*/*.o")
    kept = [
        path
        for path in objects
        if not path.name.startswith("version.") and ".ids." not in path.name
    ]
    trees = {path: path.stat().st_ino for path in project.work.glob("*/*/src")}
    (project.top / "compiles").unlink()
    project.hook(NOTED)
    project.check_built(right)
    assert trees == {path: path.stat().st_ino for path in trees}
    assert len(kept) >= moment // 2
    assert project.count("compiles") == whole - len(kept)


SLOW_TOOLS = """for last; do :; done
echo $last >> $TOP/slowed
/usr/bin/gcc "$@" -o $last.whole || exit
head -c 9000 $last.whole > $last && chmod 755 $last && sleep 0.1
cat $last.whole > $last && rm $last.whole; exit
"""
SETTINGS = [
    ("a", "0x3f8"),
    ("a", "0x2f8"),
    ("b", "0x3e8"),
]  # configurations, and what they have for a serial port


def test_platforms_at_once_never_touch_each_other(project: Project):
    """For a while a host tool is half written. In between, tools and configurations change."""
    dice = random.Random("platforms 0")
    project.wrap("slow-cc", SLOW_TOOLS)
    right = {(name, port): project.right(config=name, port=port) for name, port in SETTINGS}
    assert len({one["pcbios-e1000.rom"] for one in right.values()}) == len(SETTINGS)
    config, port = SETTINGS[0]
    for turn, change in enumerate(["tools", "configuration"] * 3):
        if change == "configuration":
            config, port = dice.choice([one for one in SETTINGS if one != (config, port)])
        for tool in ("elf2efi.c", "zbin.c") if change == "tools" else ():
            with (project.src / "util" / tool).open("a") as file:
                file.write(f"/* {turn} */\n")
        source = f'config = "{config}"\nmake = {{ HOST_CC = "slow-cc" }}'
        project.write(
            spec_text(
                E1000,
                source,
                extra=f"[config.{config}.console]\nset = {{ COMCONSOLE = '{port}' }}\n",
            )
        )
        project.build(DEB_BUILD_OPTIONS="parallel=4")
        assert differing(project.files(), right[config, port]) == [], f"round {turn}, {change}"
    assert project.count("slowed") >= 3 * 3


def test_directories_times_and_order_of_files_have_no_part_in_the_bytes(
    project: Project, tmp_path: Path
):
    """The same tree, deep down, with mtimes from 1970 to 2096 and inodes in another order.

    Its driver is built with roots left out, too, as by default.
    """
    dice = random.Random("order")
    top = tmp_path / "a" / ("deep" * 20) / "dir"
    top.mkdir(parents=True)
    other = Project(top, project.plain)
    shutil.copy(project.top / "dodo.py", top)
    files = {path: path.read_bytes() for path in other.tree.rglob("*") if path.is_file()}
    shutil.rmtree(other.tree)
    for path in dice.sample(list(files), len(files)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[path])
        os.utime(path, (0, dice.randrange(1, 4_000_000_000)))
    project.check_built(project.right())
    other.hook(REALLY)
    other.check_built(project.right())
    for one in (project, other):
        text = (
            spec_text(source='config = "qemu"', platforms=["x86_64-efi"])
            .replace('media = "efirom"\n', "")
            .replace("strip = ", "#")
        )
        one.write(text)
        one.build()
    assert differing(project.files(), other.files()) == []
    name = "x86_64-efi-e1000.rom"
    assert len(project.files()[name]) < len(project.right()[name]) - 8000


def test_surroundings_have_no_part_in_the_bytes(project: Project):
    """Umask, locale, time zone, home, and what dpkg-buildpackage and a make above set.

    There are four jobs, of which the tree's own make has one.
    """
    project.hook(REALLY)
    places = {
        "LC_ALL": "tr_TR.UTF-8",
        "LANG": "de_DE",
        "TZ": "Pacific/Kiritimati",
        "HOME": str(project.top),
    }
    flags = {
        "CFLAGS": "-O3 -g",
        "LDFLAGS": "-Wl,-z,now",
        "CPPFLAGS": "-DX",
        "MAKEFLAGS": "CC=false",
        "EXTRA_CFLAGS": "-g",
        "DEBUG": "e1000",
    }
    mask = project.patched("import os; os.umask(0o077)")
    project.build("romforge", "build", "--jobs", "4", **places, **flags, **mask)
    assert differing(project.files(), project.right()) == []


def test_the_clock_has_no_part_in_the_bytes(project: Project):
    """make and its tools a day later: by faketime if it is installed, else by another ``date``."""
    if later := shutil.which("faketime"):
        project.wrap("make", f"exec {later} '+1 day' {shutil.which('make')}")
    project.wrap("date", "exec /bin/date --date tomorrow")
    project.check_built(project.right())
    project.clear()
    project.build(SOURCE_DATE_EPOCH="")
    assert len(differing(project.files(), project.right())) == 2, (
        "a control: without the epoch the clock is in the bytes"
    )


def test_of_two_builds_in_an_output_root_the_second_says_who_holds_it(project: Project):
    """While the first's makes are at work, the second ends at once, and disturbs nothing."""
    project.hook(AT_COMPILE)
    first = project.begin()
    project.wait_for(lambda: project.count("compiling"), first)
    status, output = project.run()
    assert status == 1
    assert f"another build is running there: process {first.pid}" in output
    assert first.poll() is None
    (project.top / "go").touch()
    assert project.end(first)[0] == 0
    assert differing(project.files(), project.right()) == []
    assert project.build().startswith("0 built")


def test_two_builds_of_a_tree_in_two_output_roots_are_both_right(project: Project):
    """They share nothing but the user's tree, which neither writes."""
    before = {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in project.tree.rglob("*")
    }
    project.hook("sleep 0.03\n")
    roots = [project.top / "one", project.top / "other"]
    for process in [project.begin(ROMFORGE_OUT=str(root)) for root in roots]:
        status, output = project.end(process)
        assert status == 0, output
    assert [differing(project.files(root), project.right()) for root in roots] == [[], []]
    assert before == {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in project.tree.rglob("*")
    }


Damage = Callable[[Path], object]  # is given the working tree of pcbios


def another_format(work: Path) -> None:
    """A record that is sound JSON, with the digest of its text."""
    found = json.loads((work / "record.json").read_bytes().partition(b"\n")[2])
    text = json.dumps(found | {"format": 0, "goals": None}).encode()
    (work / "record.json").write_bytes(sha256(text).encode() + b"\n" + text)


def flipped(name: str, where: float | bytes) -> Damage:
    """Flips a bit of a file, so far into it, or where these bytes last stand."""

    def act(work: Path) -> None:
        data = bytearray((work / name).read_bytes())
        data[data.rindex(where) if isinstance(where, bytes) else int(len(data) * where)] ^= 4
        (work / name).write_bytes(data)

    return act


IMAGE = "src/bin/8086100e.rom"
DAMAGES: dict[str, Damage] = {
    "a record cut short": lambda work: os.truncate(work / "record.json", 3000),
    "a bit of the record": flipped("record.json", b"drivers/net/intel.c"),  # as used by the image
    "the record's last bit": flipped("record.json", 0.99999),
    "a record of another format": another_format,
    "a record that is a list": lambda work: (work / "record.json").write_bytes(
        sha256(b"[]").encode() + b"\n[]"
    ),
    "a build that did not end": lambda work: (work / "unfinished").touch(),
    "an image changed": flipped(IMAGE, 0.5),
    "an image removed": lambda work: (work / IMAGE).unlink(),
    "a stage of an image removed": lambda work: (work / f"{IMAGE}.tmp").unlink(),
    "blib.a removed": lambda work: (work / "src/bin/blib.a").unlink(),
    "an object removed": lambda work: (work / "src/bin/intel.o").unlink(),
    "the list of what an object is made of removed": lambda work: (
        work / "src/bin/deps/drivers/net/intel.c.d"
    ).unlink(),
    "the rules removed": lambda work: (work / "src/.romforge/rules.mk").unlink(),
    "the BIN directory removed": lambda work: shutil.rmtree(work / "src/bin"),
    "the working tree removed": shutil.rmtree,
    "the state removed": lambda work: shutil.rmtree(work.parents[3]),
}
SOURCES_LOST: dict[str, Damage] = {
    "the copy of the tree removed": lambda work: shutil.rmtree(work / "src"),
    "a copied source removed": lambda work: (work / "src/core/printf.c").unlink(),
}


@pytest.mark.parametrize("damages", [DAMAGES, SOURCES_LOST], ids=["state", "sources"])
def test_damage_to_a_working_tree_costs_work_alone(project: Project, damages: dict[str, Damage]):
    """The next doit is right, also where the source is edited meanwhile.

    So a build upon the damaged files would be wrong.
    """
    project.write(spec_text(platforms=["pcbios"]))
    source = project.src / "drivers/net/intel.c"
    texts = [source.read_text(), source.read_text().replace("0x5400", "0x5440")]
    rights = []
    for text in texts:
        source.write_text(text)
        rights.append(project.right(platforms=["pcbios"]))
    project.check_built(rights[1])
    wrong, now = [], 1
    for name, damage in damages.items():
        damage(project.work / "pcbios/plain")
        now = now if name.startswith("an image") else 1 - now
        source.write_text(texts[now])
        try:
            project.check_built(rights[now])
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
            project.clear()
            project.check_built(rights[now])
    assert not wrong, "\n".join(wrong)


# Counts the compilers that run at once, without those that were killed; the first wait until there
# are as many as there are to be.
COUNTED = f"""case "$TOOL $*" in "gcc "*" -c "*)
    mkdir -p $TOP/running/$$
    now=0; for one in $(ls $TOP/running); do kill -0 $one 2>/dev/null && now=$((now + 1)); done
    echo $now >> $TOP/seen
    [ $now -lt $(cat $TOP/jobs) ] || touch $TOP/met
    [ -e $TOP/met ] || timeout {PATIENCE} sh -c "until [ -e $TOP/met ]; do sleep 0.02; done"
    sleep 0.15; ccache /usr/bin/gcc "$@"; status=$?
    rmdir $TOP/running/$$; exit $status;;
esac"""


def most_at_once(project: Project) -> int:
    return max(int(line) for line in (project.top / "seen").read_text().splitlines())


@pytest.mark.parametrize("command", ["doit -n 4", "doit -n 1", "romforge build --jobs 4"])
def test_no_more_compilers_run_at_once_than_there_are_jobs(project: Project, command: str):
    """Two makes share the pool, and fill it."""
    project.hook(COUNTED)
    (project.top / "jobs").write_text(command[-1])
    project.build(*command.split())
    assert most_at_once(project) == int(command[-1])


BROKEN = 'make = { EXTRA_CFLAGS = "-fno-such" }'


@pytest.mark.parametrize(
    ("efi", "interrupted", "ends"), [("", False, 0), (BROKEN, False, 1), ("", True, 130)]
)
def test_the_pool_of_a_make_above_has_all_its_jobs_back(
    project: Project, efi: str, interrupted: bool, ends: int
):
    """All is well, a platform's make fails, or doit is interrupted.

    make counts its jobs as it ends, and reports those that are lost.
    """
    project.hook(COUNTED)
    (project.top / "jobs").write_text("3")
    project.write(spec_text(efi=efi))
    recipe = f"echo $$$$ > pid; exec {sys.executable} -m doit"
    (project.top / "Makefile").write_text(f"all: ; +@sh -c '{recipe}'; echo status $$?\n")
    environment = users({"PATH": project.path, **EPOCH})
    above = subprocess.Popen(
        ["make", "-j4"],
        cwd=project.top,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    project.started.append(above)
    if interrupted:
        project.wait_for(lambda: project.count("seen") > 10, above)
        os.kill(int((project.top / "pid").read_text()), signal.SIGINT)
    _, output = project.end(above)
    assert f"status {ends}\n" in output
    assert "jobserver" not in output
    assert 3 <= most_at_once(project) <= 4
