# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiler launchers: builds through Debian's ccache and distcc, and through scripts.

There are two distccd of our own. The scripts note what they are called for.

All results are compared with those of a build without a launcher.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import distccd
from tests.support.distccd import Servers
from tests.support.forge import NOTE, Forge, new_forge
from tests.support.project import PATIENCE, TOP, users

pytestmark = pytest.mark.slow

PLATFORMS = "pcbios", "x86_64-efi", "arm64-efi"
NATIVE_AND_CROSS = dict.fromkeys(("pcbios", "arm64-efi"), "")  # they have all sources between them
UNSEEN = {"core/embedded.c", "crypto/certstore.c"}  # sources of minipxe with .incbin
UNCACHED = "env CCACHE_DISABLE=1 $(CC)"  # how the makefile has them compiled
COUNT = """#!/bin/sh
printf '%s\\n' "$*" >> "$HOME/calls"
exec "$@"
"""
# A daemon of a launcher: it outlives the build, and holds what it inherited.
DAEMON = f"""#!/bin/sh
if mkdir "$HOME/begun" 2>/dev/null; then
    setsid sleep {2 * PATIENCE} &
    until grep -q sleep /proc/$!/comm; do :; done  # a shell until then, with our own handles
    ls -l /proc/$!/fd > "$HOME/handles"
    env > "$HOME/environment"
    echo $! > "$HOME/daemon"
fi
exec "$@"
"""
FLAGS = NOTE.replace("exec", 'printf "%s\\n" "$MAKEFLAGS" >> "$HOME/flags"\nexec')


def spec(
    forge: Forge,
    toolchain: str = "",
    platforms: dict[str, str] | None = None,
    source: str = 'tree = "tree"',
) -> None:
    forge.spec(
        platforms or dict.fromkeys(PLATFORMS, ""), source=source, extra=f"[toolchain]\n{toolchain}"
    )


def script(forge: Forge, text: str = COUNT, name: str = "launch") -> Path:
    path = forge.top / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def calls(forge: Forge) -> list[str]:
    """What the counting script was called with since the last look."""
    log = forge.top / "calls"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def sources(lines: list[str]) -> set[str]:
    """What was compiled; make also has the compiler list what a source includes, by -M."""
    words = [word for line in lines if " -M " not in line for word in line.split()]
    return {word for word in words if re.fullmatch(r"[\w/-]+\.[cS]", word)}


def all_sources(forge: Forge, pattern: str) -> set[str]:
    """Those of the platforms that are built; host tools have a compiler of their own."""
    names = {str(path.relative_to(forge.src)) for path in forge.src.rglob(pattern)}
    return {
        name for name in names if not name.startswith(("util/", "arch/riscv64/", "arch/loong64/"))
    }


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge where nothing was built yet."""
    made = new_forge(tmp_path_factory, FLAGS)
    spec(made)
    return made


@pytest.fixture(scope="module")
def plain(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge with ROMs that were built without a launcher."""
    made = empty.copy(tmp_path_factory.mktemp("plain"))
    made.build()
    assert len(made.roms()) == 6
    return made


@pytest.fixture(scope="module")
def silent(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """The same of a makefile that excludes no source from the cache.

    The makefile has a part in iPXE's build ID.
    """
    made = empty.copy(tmp_path_factory.mktemp("silent"))
    spec(made, platforms=NATIVE_AND_CROSS)
    made.edit("Makefile.housekeeping", UNCACHED, "$(CC)")
    made.build()
    return made


@pytest.fixture
def forge(empty: Forge, tmp_path: Path) -> Forge:
    return empty.copy(tmp_path)


@pytest.fixture
def uncached(empty: Forge, tmp_path: Path) -> Forge:
    """A forge with the compilers themselves, for launchers that look for them."""
    empty.copy(tmp_path)
    return Forge(tmp_path, empty.tools, cached=False)


@pytest.fixture
def built(plain: Forge, tmp_path: Path) -> Forge:
    return plain.copy(tmp_path)


def of_platforms(forge: Forge, *platforms: str) -> dict[str, bytes]:
    """The ROMs of some platforms."""
    return {name: rom for name, rom in forge.roms().items() if name.split("/")[0] in platforms}


# Any command


def test_a_command_of_ones_own_compiles_all_that_is_made_of_text_alone(forge: Forge, plain: Forge):
    """For native and cross compilers; not for sources for which the assembler reads other files."""
    script(forge)
    spec(forge, 'launcher = "./launch"')
    forge.build()
    assert forge.roms() == plain.roms()
    lines = calls(forge)
    # assembly is preprocessed alone, and then assembled
    assert sources(lines) == all_sources(forge, "*.c") - UNSEEN
    assert {line.split()[0] for line in lines} == {"gcc", "aarch64-linux-gnu-gcc"}
    for directory, compiler in (
        ("bin", "gcc"),
        ("bin-x86_64-efi", "gcc"),
        ("bin-arm64-efi", "aarch64-linux-gnu-gcc"),
    ):
        assert {line.split()[0] for line in lines if f" {directory}/intel.o" in line} == {compiler}


def test_the_makefile_may_keep_further_sources_from_it(forge: Forge):
    """It says so by CCACHE_DISABLE, and here not of those that we find ourselves."""
    script(forge)
    spec(forge, 'launcher = "./launch"', {"pcbios": ""})
    forge.edit(
        "Makefile.housekeeping", "$(BIN)/embedded.% : override CC", "$(BIN)/printf.% : override CC"
    )
    forge.edit(
        "Makefile.housekeeping", "$(BIN)/certstore.% : override CC", "$(BIN)/none.% : override CC"
    )
    forge.build()
    compiled = sources(calls(forge))
    assert "core/string.c" in compiled
    assert not compiled & (UNSEEN | {"core/printf.c"})


def test_the_words_of_a_launcher_are_its_own(forge: Forge):
    """Neither make nor a shell expands any of them; a compiler that the spec names is launched."""
    odd = ["a b", "$HOME", "$(CC)", "'\"`id`", "*"]
    script(
        forge,
        'printf "%s\\n" "$1" "$2" "$3" "$4" "$5" > "$HOME/words"\nshift 5\n'
        + COUNT.partition("\n")[2],
    )
    (forge.top / "launch").write_text("#!/bin/sh\n" + (forge.top / "launch").read_text())
    words = ", ".join("'''" + word + "'''" for word in ["./launch", *odd])
    spec(forge, f"launcher = [{words}]", {"pcbios": 'make = { CC = "$(CROSS_COMPILE)gcc -pipe" }'})
    forge.build()
    assert (forge.top / "words").read_text().splitlines() == odd
    assert all(line.startswith("gcc -pipe ") for line in calls(forge))


def test_a_platform_has_a_launcher_of_its_own_or_none(built: Forge):
    script(built)
    script(built, COUNT.replace("/calls", "/others"), "other")
    built.edit("drivers/net/intel.c", "Intel 82540EM", "Intel 82540EX")
    spec(
        built,
        'launcher = "./launch"',
        {"pcbios": 'launcher = ""', "x86_64-efi": "", "arm64-efi": 'launcher = "./other"'},
    )
    assert built.rewritten(built.build) == {f"{platform}/e1000.rom" for platform in PLATFORMS}
    assert {line.split(" -o ")[1].split("/")[0] for line in calls(built) if " -o " in line} == {
        "bin-x86_64-efi"
    }
    assert "bin-arm64-efi/intel.o" in (built.top / "others").read_text()


def test_another_launcher_redoes_nothing(built: Forge):
    """It changes no bytes, and neither do other jobs. A touched source is compiled through it."""
    script(built)
    built.asked()
    for text in (
        'launcher = "./launch"',
        'launcher = "ccache"\njobs = 7',
        'launcher = "nonesuch"',
        "",
    ):
        spec(built, text)
        assert built.why() == {}
        assert built.rewritten(built.build) == set()
    assert built.asked() == []
    spec(built, 'launcher = "./launch"')
    built.edit("drivers/net/intel.c", "Intel 82540EM", "Intel 82540EX")
    assert built.rewritten(built.build) == {f"{platform}/e1000.rom" for platform in PLATFORMS}
    assert sources(calls(built)) == {"drivers/net/intel.c", "core/version.c"}
    before = built.roms()
    spec(built)
    built.edit("drivers/net/intel.c", "Intel 82540EX", "Intel 82540EM")
    built.edit("drivers/net/intel.c", "Intel 82540EM", "Intel 82540EX")
    assert built.rewritten(built.build) == set()
    assert built.roms() == before


def test_what_stripping_took_out_is_told_with_a_launcher_too(built: Forge):
    """Though the images were built without one."""
    script(built)
    spec(built, 'launcher = "./launch"')
    done = built.romforge("stripped", "nic:e1000")
    assert done.returncode == 0, done.stderr


def test_a_compiler_that_fails_is_told_and_the_command_to_see_it_again_is_sound(forge: Forge):
    script(forge)
    spec(forge, 'launcher = "./launch"', {"pcbios": ""})
    forge.edit("core/printf.c", "#include", "#error told by the compiler\n#include")
    output = forge.failed()
    assert "error told by the compiler" in output
    match = re.search(r"to see it again: (.*)", output)
    assert match
    again = subprocess.run(
        ["bash", "-c", match[1]],
        cwd=forge.top,
        env=users(forge.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 2
    assert "error told by the compiler" in again.stderr


def test_a_launcher_that_is_missing_is_told_once_before_anything_is_built(forge: Forge):
    """The platform that goes without is built; `plan` tells it too."""
    spec(
        forge,
        'launcher = "./nonesuch -x"',
        {"pcbios": 'launcher = ""', "x86_64-efi": "", "arm64-efi": ""},
    )
    message = f"{forge.top}/nonesuch: not found; the spec names it as launcher"
    assert forge.romforge("plan").stdout.count(f"make with {message}\n") == 2
    assert forge.why()["make:ipxe/x86_64-efi"] == message
    output = forge.failed()
    assert output.count("not found") == 1
    assert f"make:ipxe/x86_64-efi and make:ipxe/arm64-efi: {message}" in output
    stubs = {name for name in forge.roms() if name.startswith("arm64-efi/")}
    assert len(stubs) == 1  # of the NIC whose driver needs port I/O, which no make builds
    assert {name.split("/")[0] for name in forge.roms().keys() - stubs} == {"pcbios"}
    assert [bin for bin, _ in forge.asked()] == ["bin"]


def test_a_daemon_that_a_launcher_starts_neither_holds_the_build_nor_any_of_its_jobs(
    forge: Forge, plain: Forge
):
    """It has no pipe of ours, does not know of the pool, and outlives the build."""
    script(forge, DAEMON)
    spec(forge, 'launcher = "./launch"', {"pcbios": ""})
    try:
        forge.build("-n", "4")  # which waits for the daemon no longer than patience lasts
        assert forge.roms() == of_platforms(plain, "pcbios")
        os.kill(daemon := int((forge.top / "daemon").read_text()), 0)
    finally:
        os.kill(daemon, signal.SIGKILL)
    assert "/dev/null" in (forge.top / "handles").read_text()
    assert "pipe:" not in (forge.top / "handles").read_text()
    names = {line.split("=")[0] for line in (forge.top / "environment").read_text().splitlines()}
    assert "PATH" in names
    assert not names & {"MAKEFLAGS", "MFLAGS"}


# ccache


def hits(forge: Forge) -> tuple[int, int]:
    """The compilations that ccache knew and those that it did not, since the last look."""
    output = subprocess.run(
        ["ccache", "--print-stats"],
        env=users(forge.environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    counts = {
        name: int(count) for name, count in (line.split("\t") for line in output.splitlines())
    }
    subprocess.run(["ccache", "-z"], env=users(forge.environment), check=True, capture_output=True)
    return counts["direct_cache_hit"] + counts["preprocessed_cache_hit"], counts["cache_miss"]


def with_ccache(forge: Forge, source: str = 'tree = "tree"') -> Forge:
    forge.environment["CCACHE_DIR"] = str(forge.top / "ccache")
    spec(forge, 'launcher = "ccache"', source=source)
    return forge


def test_with_ccache_another_output_root_is_built_out_of_the_cache(uncached: Forge, plain: Forge):
    """With the same bytes, cold and warm; of a native compiler and of a cross compiler."""
    with_ccache(uncached)
    spec(uncached, 'launcher = "ccache"', NATIVE_AND_CROSS)
    right = of_platforms(plain, *NATIVE_AND_CROSS)
    uncached.build()
    assert uncached.roms() == right
    known, new = hits(uncached)
    assert known <= 0.1 * new  # two NICs' version objects may be the same
    shutil.rmtree(uncached.top / "out")
    uncached.build(ROMFORGE_OUT="elsewhere/out")
    (uncached.top / "elsewhere/out").rename(uncached.top / "out")
    assert uncached.roms() == right
    known, new = hits(uncached)
    assert known > 0.9 * (known + new) > 50


def test_debugging_information_that_names_no_directory_comes_out_of_the_cache_too(uncached: Forge):
    """Without CCACHE_BASEDIR: by that the compiler would write other bytes for absolute paths."""
    with_ccache(uncached, 'tree = "tree"\nmake = { EXTRA_CFLAGS = "-ggdb3" }')
    uncached.build("rom:pcbios/e1000.rom")
    before = uncached.roms()
    hits(uncached)
    shutil.rmtree(uncached.top / "out")
    uncached.build("rom:pcbios/e1000.rom", ROMFORGE_OUT="elsewhere/out")
    (uncached.top / "elsewhere/out").rename(uncached.top / "out")
    assert uncached.roms() == before
    known, new = hits(uncached)
    assert known > 0.9 * (known + new) > 20


def test_an_embedded_file_is_never_that_of_an_earlier_build(uncached: Forge):
    """Though neither the makefile nor the source's text says that it is another one."""
    with_ccache(uncached)
    spec(uncached, 'launcher = "ccache"', {"pcbios": 'embed = ["script"]'})
    uncached.edit("Makefile.housekeeping", UNCACHED, "$(CC)")
    for word in (b"first", b"other"):
        (uncached.top / "script").write_bytes(b"echo " + word)
        shutil.rmtree(uncached.top / "out", ignore_errors=True)
        uncached.build()
        assert word in uncached.code("pcbios/e1000.rom")


# distcc


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with distccd.running(tmp_path, jobs=2) as made:
        yield made


def test_distcc_compiles_on_other_machines(uncached: Forge, silent: Forge, servers: Servers):
    """All sources but those with .incbin, to the same bytes; it also gives the number of jobs."""
    spec(uncached, 'launcher = "distcc"\njobs = "distcc"', NATIVE_AND_CROSS)
    uncached.edit("Makefile.housekeeping", UNCACHED, "$(CC)")
    uncached.build(DISTCC_HOSTS=servers.hosts, DISTCC_FALLBACK="0")
    assert uncached.roms() == silent.roms()
    assert min(len(servers.compiled(0)), len(servers.compiled(1))) > 10
    compiled = servers.compiled(0) + servers.compiled(1)
    assert set(compiled) >= all_sources(uncached, "*.c") - UNSEEN
    assert not set(compiled) & UNSEEN
    assert "COMPILE_ERROR" not in "".join(log.read_text() for log in servers.logs)
    assert {line.split()[0] for line in (uncached.top / "flags").read_text().splitlines()} == {
        "-j4"
    }


def test_the_compilers_error_is_told_and_not_what_distcc_says_of_it(
    uncached: Forge, servers: Servers
):
    """Which comes first, in many lines; where there is nothing else to tell, it is told."""
    spec(uncached, 'launcher = "distcc"', {"pcbios": ""})
    output = uncached.failed(DISTCC_HOSTS=f"127.0.0.1:{distccd.free_port()}", DISTCC_FALLBACK="0")
    assert "failed to distribute and fallbacks are disabled" in output
    uncached.edit("core/printf.c", "#include", "#error told by the compiler\n#include")
    output = uncached.failed(DISTCC_HOSTS=servers.hosts)
    assert output.count("\n  core/printf.c:") == 1
    assert output.count("error: #error told by the compiler") == 1
    assert "distcc[" not in output


# The last compilations of a build wait until both servers are dead.
AWAIT_DEATHS = f"""case "$*" in *" -c "*) ;; *) exec /usr/bin/distcc "$@" ;; esac
echo "$*" >> "$HOME/calls"
[ -e "$HOME/killed" ] || [ $(wc -l < "$HOME/calls") -lt 70 ] ||
    timeout {PATIENCE} sh -c 'until [ -e "$HOME/killed" ]; do sleep 0.02; done'"""


def test_a_server_that_dies_in_the_midst_of_a_build_changes_nothing(
    uncached: Forge, plain: Forge, servers: Servers
):
    """Nor the other one, a while later: distcc then compiles here."""
    spec(uncached, 'launcher = "distcc"', NATIVE_AND_CROSS)
    path = uncached.wrap("distcc", f'#!/bin/sh\n{AWAIT_DEATHS}\nexec /usr/bin/distcc "$@"\n')
    environment = users(uncached.environment | {"DISTCC_HOSTS": servers.hosts, "PATH": path})
    process = subprocess.Popen(
        [sys.executable, "-m", "doit"],
        cwd=uncached.top,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    for number, some in ((0, 5), (1, 15)):
        wait_for(lambda: len(servers.compiled(number)) >= some, process)  # noqa: B023
        servers.kill(number)
    (uncached.top / "killed").touch()
    assert process.poll() is None
    assert process.wait(PATIENCE) == 0, process.stderr and process.stderr.read()
    assert uncached.roms() == of_platforms(plain, *NATIVE_AND_CROSS)
    left = {path.stem for path in (uncached.top / "out").rglob("bin*/*.o")} - {
        Path(name).stem for number in (0, 1) for name in servers.compiled(number)
    }
    assert len(left) > 5


def wait_for(what: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)


# The pool of jobs


@pytest.mark.parametrize(
    ("jobs", "arguments", "environment", "flag"),
    [
        ("7", [], {}, "-j7"),
        ("7", ["-n", "3"], {}, "-j3"),
        ("7", [], {"DEB_BUILD_OPTIONS": "parallel=5"}, "-j5"),
        ('"distcc"', [], {"DISTCC_HOSTS": "127.0.0.1:1/6 127.0.0.2:1/5"}, "-j11"),
        ('"distcc"', ["-n", "3"], {"DISTCC_HOSTS": "127.0.0.1:1/6"}, "-j3"),
        ('"distcc"', [], {"DISTCC_HOSTS": " "}, f"-j{len(os.sched_getaffinity(0))}"),
    ],
)
def test_the_spec_says_how_many_jobs_there_are_where_the_user_does_not(
    built: Forge, jobs: str, arguments: list[str], environment: dict[str, str], flag: str
):
    """Or distcc does, for its hosts; where it has none, that is told."""
    spec(built, f"jobs = {jobs}", {"pcbios": ""})
    built.edit("drivers/net/intel.c", "Intel 82540EM", "Intel 82540EX")
    (built.top / "flags").unlink()
    done = built.build(*arguments, **environment)
    assert {line.split()[0] for line in (built.top / "flags").read_text().splitlines()} == {flag}
    assert ("`distcc -j` printed no number of jobs" in done.stderr) is (
        environment.get("DISTCC_HOSTS") == " "
    )


def test_distcc_is_not_asked_where_there_is_nothing_to_make(built: Forge):
    spec(built, 'jobs = "distcc"')
    path = built.wrap("distcc", '#!/bin/sh\ntouch "$HOME/asked"\nexec /usr/bin/distcc "$@"\n')
    built.build(PATH=path)
    assert not (built.top / "asked").exists()
    (built.top / "out/pcbios/e1000.rom").unlink()
    built.build(PATH=path)
    assert not (built.top / "asked").exists()
    shutil.rmtree(built.work("pcbios"))
    built.build(PATH=path)
    assert (built.top / "asked").exists()


def test_compression_is_work_of_this_machine(forge: Forge):
    """It is not done by as many processes as there are jobs for distcc."""
    nics = "".join(
        f'[nic.n{number}]\nid = "8086:{number:04x}"\ngoal = "{name}"\n'
        for number, name in enumerate(NAMES)
    )
    (forge.top / "romspec.toml").write_text(
        'spec = 1\n[toolchain]\njobs = 16\n[source.ipxe]\ntree = "tree"\n'
        f"[platform.x86_64-efi]\n{nics}"
        '[target.t]\ndir = "t"\nfile = "{nic}.rom"\nimages = ["x86_64-efi"]\nfix_ids = true\n'
        'level = "fast"\n'
    )
    noted = forge.top / "compressions"
    (forge.top / "site").mkdir()
    (forge.top / "site/sitecustomize.py").write_text(COMPRESSIONS)
    forge.build(PYTHONPATH=f"{forge.top}/site:{TOP / 'src'}", NOTED=str(noted))
    edges = sorted(line.split() for line in noted.read_text().splitlines())
    assert len(edges) == 2 * len(NAMES)
    running = most = 0
    for _, edge in edges:
        running += 1 if edge == "begins" else -1
        most = max(most, running)
    assert most <= len(os.sched_getaffinity(0))


NAMES = "intel", "eepro100", "ne2k_pci", "pcnet", "realtek", "vmxnet3"
COMPRESSIONS = """
import os, time
from romforge.rom import compression_cache
process = compression_cache._compress_in_process
def note(edge):
    with open(os.environ["NOTED"], "a") as file:
        file.write(f"{time.monotonic_ns():020} {edge}\\n")
def noted(*arguments):
    note("begins")
    time.sleep(0.3)
    found = process(*arguments)
    note("ends")
    return found
compression_cache._compress_in_process = noted
"""
