# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge verify` and `doit verify`: what they prove, what they report, and that no QEMU is left.

Most tests use minipxe's ROMs, whose legacy code shows its mark in half a second. Boots over the
network take ten seconds.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from romforge.base.arch import Arch
from romforge.base.image_kind import LEGACY, ImageKind
from romforge.base.pci_id import PciId
from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import boot, cases, corruptions, qemu, runner
from romforge.verify.boot import CheckFailed
from romforge.verify.cases import Proof
from romforge.verify.qemu import MACHINES
from tests.support import builders, firmware
from tests.support.machines import COUNTING_MACHINES
from tests.support.project import PATIENCE, TOP, Run, Started, all_gone, run, spec_text, users

pytestmark = [pytest.mark.slow, pytest.mark.qemu]

MARK = 'mark = "minipxe {nic} {vendor}:{device} build"\n'
NICS = '[nic.e1000]\nid = "8086:100e"\n[nic.rtl8139]\nid = "10ec:8139"\n'
BIOS = '[target.qemu]\ndir = "qemu"\nfile = "efi-{nic}.rom"\nimages = ["pcbios"]\nbucket = "efi"\n'
BIOS += 'level = "fast"\n'  # of the tests with EFI images


def spec(more: str = "", target: str = BIOS, mark: str = MARK) -> str:
    source = f'spec = 1\n[source.ipxe]\ntree = "{TOP}/vendor/minipxe"\n{mark}'
    platforms = (
        "[platform.pcbios]\n[platform.i386-efi]\n[platform.x86_64-efi]\n[platform.arm64-efi]\n"
    )
    return f'{source}{platforms}{NICS}[bucket.efi]\nsize = "256KiB"\n{target}{more}'


class Project(Started):
    """A directory with a spec, and the QEMUs whose working directory is below it."""

    def __init__(self, top: Path, romforge: Run, doit: Run) -> None:
        self.top, self.romforge, self.doit = top, romforge, doit
        self.started: list[subprocess.Popen[str]] = []
        self.write(spec())

    def write(self, text: str) -> None:
        (self.top / "romspec.toml").write_text(text)

    def verify(self, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
        """The outcomes by ROM and column."""
        done = self.romforge("verify", "--json", *arguments)
        assert done.returncode == status, done.stderr
        rows = {}
        for row in json.loads(done.stdout)["proofs"]:
            rows[f"{row['rom']}:{row['column']}{row['control']}"] = row
        return rows

    def guests(self) -> dict[int, str]:
        """The processes of QEMU whose working directory is below ours, with their names."""
        names = {}
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                directory = os.readlink(f"/proc/{pid}/cwd")
                if name.startswith("qemu") and directory.startswith(str(self.top)):
                    names[int(pid)] = name
        return names

    def enough(self, rom: str = "qemu/efi-e1000.rom") -> int:
        """A timeout in seconds: several times what the longest proof of a ROM takes now."""
        longest = max(row["seconds"] for row in self.verify(f"rom:{rom}").values())
        return 2 + int(5 * longest)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output root in which the images of most tests are built, and nothing is proven."""
    top = tmp_path_factory.mktemp("built")
    for text in (ENDLESS, spec()):
        (top / "romspec.toml").write_text(text)
        done = run([sys.executable, "-m", "romforge", "build"], top)
        assert done.returncode == 0, done.stderr
    return top / "out"


@pytest.fixture
def project(built: Path, tmp_path: Path, romforge: Run, doit: Run) -> Iterator[Project]:
    shutil.copytree(built, tmp_path / "out", symlinks=True)
    made = Project(tmp_path, romforge, doit)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    for pid in made.guests():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# Proofs


def test_minipxe_runs_on_each_machine_stripped_and_whole(project: Project):
    """Its mark under SeaBIOS, OVMF of both sizes and AAVMF, with and without what is stripped.

    Only the drivers for x86_64 and arm64 are stripped.
    """
    stripped, whole = ["x86_64", "arm64"], ["i386", "x86_64", "arm64"]
    downgraded = 'config = "qemu"\n'
    for archs, strip in ((stripped, downgraded), (whole, f'{downgraded}strip = "none"\n')):
        images = json.dumps(["pcbios", *(f"{arch}-efi" for arch in archs)])
        target = f'[target.qemu]\ndir = "qemu"\nfile = "efi-{{nic}}.rom"\nimages = {images}\n'
        target += 'nics = ["e1000"]\nbucket = "efi"\nlevel = "fast"\n'
        text = spec('[verify]\nroms = ["romfile"]\n', target=target)
        project.write(
            text.replace(
                "[platform.x86_64-efi]\n[platform.arm64-efi]\n",
                f"[platform.x86_64-efi]\n{strip}[platform.arm64-efi]\n{strip}",
            )
        )
        rows = project.verify()
        columns = ["structure", *(f"{arch}-romfile" for arch in ["bios", *archs])]
        states = {row["column"]: row["state"] for row in rows.values()}
        assert states == dict.fromkeys(columns, "passed")


WITHOUT_QEMU = """
import sys
def hook(event, arguments):
    if event == "subprocess.Popen" and "qemu-system" in str(arguments[1]):
        raise OSError("a guest is started")
sys.addaudithook(hook)
"""


def test_a_proof_is_not_run_again(project: Project):
    """Until its ROM changes. doit uses the same records."""
    shutil.copytree(
        TOP / "vendor/minipxe", project.top / "tree", ignore=shutil.ignore_patterns("bin*")
    )
    project.write(spec().replace(f"{TOP}/vendor/minipxe", "tree"))
    first = project.verify()
    assert not any(row["before"] for row in first.values())
    assert len(first) == 6
    done = project.romforge("verify", "--json", **project.patched(WITHOUT_QEMU))
    assert done.returncode == 0, done.stderr
    assert all(
        row["before"] and row["state"] == "passed" for row in json.loads(done.stdout)["proofs"]
    )
    done = project.doit("verify")
    assert (done.returncode, "0 proven, 6 proven before" in done.stdout) == (0, True), done.stdout
    (project.top / "out/qemu/efi-e1000.rom").unlink()  # is built again, with the same bytes
    assert all(row["before"] for row in project.verify().values())
    driver = project.top / "tree/src/drivers/net/intel.c"
    driver.write_text(f"{driver.read_text()}\nint e1000_changed = 1;\n")
    third = project.verify()
    assert {name for name, row in third.items() if not row["before"]} == {
        name for name in third if "e1000" in name
    }


def test_a_plain_doit_runs_no_proof(project: Project):
    """A selection by name runs only the selected proofs."""
    assert "verify" not in project.doit().stdout
    listed = project.doit("list", "--all").stdout
    assert "verify:qemu/efi-e1000.rom:bios-default" in listed
    done = project.doit("verify:qemu/efi-e1000.rom:structure", "verify:*rtl8139*default")
    assert (done.returncode, "2 proven" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_stub_satisfies_every_qemu(project: Project):
    """It has no faults and its bucket's size, and each machine starts with it and ignores it."""
    target = (
        '[target.stub]\ndir = "stub"\nfile = "efi-{nic}.rom"\nimages = ["stub"]\nbucket = "efi"\n'
    )
    project.write(spec('[verify]\nstart = ["x86_64", "arm64", "riscv64"]\n', target=target))
    rows = project.verify()
    assert len(rows) == 2 * (1 + 3 * 2)
    assert {row["state"] for row in rows.values()} == {"passed"}
    rom = project.top / "out/stub/efi-e1000.rom"
    assert len(rom.read_bytes()) == 256 << 10
    done = project.romforge("inspect", rom)
    assert (done.returncode, "stub" in done.stdout) == (0, True), done.stdout
    assert "no faults" in done.stdout
    assert "note" not in done.stdout


def test_guests_migrate_from_the_lock_and_older_sets(project: Project):
    """Each is a column; where the bucket grew, the reason is QEMU's own message."""
    assert project.romforge("build").returncode == 0
    assert project.romforge("lock").returncode == 0
    old = project.top / "old"
    shutil.copytree(project.top / "out/qemu", old)
    (old / "efi-rtl8139.rom").write_bytes((old / "efi-rtl8139.rom").read_bytes() * 2)
    source = f'[source.old]\nroms = "{old}"\n[verify]\nboot = []\nmigrate_from = ["old", "lock"]\n'
    text = spec(source).replace('dir = "qemu"', 'dir = "qemu"\nsource = "ipxe"')
    project.write(text)
    rows = project.verify(status=1)
    states = {
        name.removeprefix("qemu/efi-"): row["state"] for name, row in rows.items() if "from" in name
    }
    assert states == {
        "e1000.rom:from-old": "passed",
        "e1000.rom:from-old-q35": "passed",
        "e1000.rom:from-lock": "passed",
        "e1000.rom:from-lock-q35": "passed",
        "rtl8139.rom:from-old": "failed",
        "rtl8139.rom:from-old-q35": "failed",
        "rtl8139.rom:from-lock": "passed",
        "rtl8139.rom:from-lock-q35": "passed",
    }
    assert (
        "Size mismatch: 0000:00:03.0/rtl8139.rom: 0x80000 != 0x40000"
        in rows["qemu/efi-rtl8139.rom:from-old"]["text"]
    )
    (old / "efi-e1000.rom").unlink()
    rows = project.verify("nic:e1000", status=1)
    assert (
        "has no efi-e1000.rom, which a guest could run with"
        in rows["qemu/efi-e1000.rom:from-old"]["text"]
    )


def test_guests_migrate_from_two_images_to_six_on_every_machine(project: Project):
    """If the bucket is the same. A bucket too large is refused, by all machines of the spec."""
    archs = [Arch.I386, Arch.X86_64, Arch.ARM64, Arch.RISCV64, Arch.LOONG64]

    def chain(archs: list[Arch]) -> bytes:
        images = [builders.legacy(last=False)]
        for arch in archs:
            images.append(builders.efi(machine=arch.machine, last=arch is archs[-1]))
        return b"".join(images).ljust(256 << 10, b"\xff")

    for name, images in (("old", [Arch.X86_64]), ("new", archs)):
        (project.top / name).mkdir()
        (project.top / name / "efi-e1000.rom").write_bytes(chain(images))
    platforms = ["pcbios", *(f"{arch.ipxe_name}-efi" for arch in archs)]
    tables = "".join(f"[platform.{name}]\n" for name in platforms)
    tables += "".join(f'[source.{name}]\nroms = "{name}"\n' for name in ("old", "new"))
    tables += '[nic.e1000]\nid = "8086:100e"\n[bucket.efi]\nsize = "256KiB"\n'
    tables += '[target.qemu]\ndir = "qemu"\nfile = "efi-{nic}.rom"\nsource = "new"\n'
    tables += f'bucket = "efi"\nimages = {json.dumps(platforms)}\n'
    machines = json.dumps(COUNTING_MACHINES)
    tables += f'[verify]\nboot = []\nmigrate_from = ["old"]\nmigrate_on = {machines}\n'
    project.write(f"spec = 1\n{tables}")
    rows = project.verify()
    columns = {f"from-old-{name}" for name in COUNTING_MACHINES if name != "pc"} | {"from-old"}
    assert {row["column"] for row in rows.values()} == columns | {"structure"}
    for row in rows.values():
        assert row["state"] == "passed"
        if row["kind"] == cases.MIGRATE:
            assert re.fullmatch(r"counted to [0-9,]+, went on at [0-9,]+", row["text"])
    seen = project.romforge("compat", "old", "out/qemu")
    assert (seen.returncode, "migrates" in seen.stdout) == (0, True)

    rows = project.verify("--controls")
    controls = [row for row in rows.values() if row["kind"] == cases.MIGRATE]
    assert {row["column"] for row in controls} == columns
    for row in controls:
        assert (row["control"], row["state"]) == (corruptions.TOO_LARGE, "passed")
        message = "Size mismatch: 0000:00:03.0/e1000.rom: 0x40000 != 0x80000: Invalid argument"
        assert row["text"] == f"fails as it must: migration: {message}"


# Dependencies of a proof


def test_another_qemu_or_firmware_is_proven_again(project: Project):
    """Even with the same version, name, size and times; but not the same bytes in a new file."""
    qemu_path = shutil.which("qemu-system-x86_64")
    real = qemu.find_firmware(MACHINES[Arch.X86_64])
    code, variables = project.top / "code.fd", project.top / "variables-template.fd"
    shutil.copyfile(real.code, code)
    shutil.copyfile(real.variables, variables)
    program = project.top / "bin/qemu-system-x86_64"
    program.parent.mkdir()
    script = f'#!/bin/sh\n# a\nexec {qemu_path} "$@"\n'
    program.write_text(script)
    program.chmod(0o755)
    descriptor = {
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(code)},
            "nvram-template": {"filename": str(variables)},
        },
        "targets": [{"architecture": "x86_64"}],
        "features": [],
    }
    (project.top / "firmware").mkdir()
    (project.top / "firmware/50.json").write_text(json.dumps(descriptor))
    environment = project.patched(
        "from pathlib import Path\n"
        "from romforge.verify import qemu\n"
        f"qemu._DESCRIPTORS = (Path({str(project.top / 'firmware')!r}),)\n"
    )
    first = project.top / "first"
    first.mkdir()
    environment["PATH"] = f"{first}:{program.parent}:{os.environ['PATH']}"
    target = BIOS.replace('"pcbios"', '"pcbios", "x86_64-efi"')
    project.write(spec('[verify]\nroms = ["romfile"]\n', target=target))

    def proven_again() -> set[str]:
        """The columns that a run of verify proves again."""
        done = project.romforge("verify", "--json", "rom:qemu/efi-e1000.rom", **environment)
        assert done.returncode == 0, done.stderr
        return {row["column"] for row in json.loads(done.stdout)["proofs"] if not row["before"]}

    def change(path: Path, old: bytes, new: bytes) -> None:
        """Replaces the last occurrence of ``old`` in a file, which keeps its times."""
        status = path.stat()
        data = path.read_bytes()
        offset = data.rindex(old)
        path.write_bytes(data[:offset] + new + data[offset + len(old) :])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    boots_of_both = {"bios-romfile", "x86_64-romfile"}
    assert proven_again() == {"structure", *boots_of_both}
    assert proven_again() == set()
    change(program, b"# a", b"# b")
    assert proven_again() == boots_of_both
    change(variables, b"\xff", b"\xfe")  # in its unused part
    assert proven_again() == {"x86_64-romfile"}
    code.write_bytes(code.read_bytes())
    assert proven_again() == set()
    for part, other in ((code, real.code), (variables, variables)):
        moved = part.with_suffix(".new")
        shutil.copyfile(other, moved)
        os.replace(moved, part)
    assert proven_again() == set()
    shutil.copy(program, first)  # a QEMU that comes earlier in PATH
    assert proven_again() == boots_of_both


# Failures


def test_a_failed_proof_keeps_its_console_and_command(project: Project):
    """The command can be pasted into a shell. The next run of verify tries again."""
    project.write(
        spec(
            f"[verify]\ntimeout = {project.enough()}\n",
            mark='mark = "some text that nothing shows"\n',
        )
    )
    done = project.romforge("verify", "rom:qemu/efi-e1000.rom")
    assert done.returncode == 1
    assert re.search(r"qemu/efi-e1000.rom +ok [0-9.]+ s +FAILED +FAILED", done.stdout), done.stdout
    assert '"some text that nothing shows"' in done.stderr
    console = re.search(r"^  console (\S+)", done.stderr, re.MULTILINE)
    command = re.search(r"^  command (.+)", done.stderr, re.MULTILINE)
    assert console
    assert command
    assert "minipxe e1000" in Path(console[1]).read_text()
    Path(console[1]).write_text("")
    process = subprocess.Popen(
        ["sh", "-c", f"exec timeout {PATIENCE} sh -c {json.dumps(command[1])}"],
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE
    while "minipxe e1000" not in Path(console[1]).read_text() and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "minipxe e1000" in Path(console[1]).read_text()
    project.write(spec())
    assert {row["state"] for row in project.verify().values()} == {"passed"}
    assert not list((project.top / "out/.romforge/verify").rglob("console.log"))


def test_a_guest_that_hangs_is_killed_after_its_timeout(project: Project):
    project.write(
        spec('[verify]\ntimeout = 1\nroms = ["romfile"]\n', mark='mark = "nothing"\n').replace(
            '"pcbios"]', '"x86_64-efi"]'
        )
    )
    rows = project.verify("rom:qemu/efi-e1000.rom", status=1)
    assert (
        'the console does not show "nothing" within 1 s'
        in rows["qemu/efi-e1000.rom:x86_64-romfile"]["text"]
    )
    assert not project.guests()


def test_a_rom_that_is_not_as_in_the_spec_fails(tmp_path: Path):
    """Each message names what is wrong: the images, IDs, bucket, or a fault."""
    text = spec_text("roms")
    (tmp_path / "romspec.toml").write_text(text)
    loaded = loader.load_spec(tmp_path / "romspec.toml")
    proof = cases.make_proofs(loaded, planner.make_plan(loaded))[0]
    images = builders.legacy(last=False) + builders.efi()
    good = images.ljust(256 << 10, b"\xff")
    assert runner.structure(proof, good) == "2 images, 256 KiB"
    bad = {
        "holds legacy, and the spec asks for legacy, x86_64": builders.legacy().ljust(
            256 << 10, b"\xff"
        ),
        "carries 8086:100f, the NIC is 8086:100e": (
            builders.legacy(PciId(0x8086, 0x100F), last=False)
            + builders.efi(ids=PciId(0x8086, 0x100F))
        ).ljust(256 << 10, b"\xff"),
        "QEMU gives it 512 KiB, its bucket is 256 KiB": good + b"\xff",
        "the checksum is": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "the file is empty": b"",
    }
    for message, data in bad.items():
        with pytest.raises(CheckFailed, match="structure") as raised:
            runner.structure(proof, data)
        assert message in str(raised.value)


def test_debian_s_own_ids_boot_only_as_default_rom(releases: dict[str, Path], tmp_path: Path):
    """Why `fix_ids` is needed: SeaBIOS skips 0000:0000; QEMU corrects it only in a default ROM."""
    proof = bios_proof("ne2k_pci", PciId(0x10EC, 0x8029))
    data = (releases["sid"] / "efi-ne2k_pci.rom").read_bytes()
    with pytest.raises(
        CheckFailed,
        match=r"boot: the boot file did not run: the firmware says .*; "
        r"iPXE printed nothing.*No bootable device",
    ):
        boot.prove_boot(proof, data, tmp_path / "by-hand", tmp_path / "cache")
    assert (
        boot.prove_boot(
            proof._replace(default=True), data, tmp_path / "default", tmp_path / "cache"
        )
        == "booted by legacy image"
    )


def bios_proof(device: str, ids: PciId) -> Proof:
    return Proof(
        "x.rom",
        "bios",
        cases.BIOS,
        Arch.X86_64,
        False,
        device,
        device,
        ids,
        (),
        (ImageKind(LEGACY),),
        None,
        None,
        None,
        (),
        60,
    )


def path_without(project: Project, *missing: str) -> str:
    """A PATH without some programs, and without assemblers for other machines."""
    directory = project.top / "bin"
    directory.mkdir()
    for path in (*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()):
        link = directory / path.name
        if path.name in missing or path.name.endswith("-as") or os.path.lexists(link):
            continue
        link.symlink_to(path)
    return str(directory)


ROM = "qemu/efi-e1000.rom"
STARTS = spec('[verify]\nroms = ["romfile"]\nstart = ["arm64"]\n')
BIOS_COLUMN, START_COLUMN = "bios-romfile", "starts-arm64-romfile"


@pytest.mark.parametrize(
    ("missing", "package", "column"),
    [
        ("qemu-system-x86_64", "qemu-system-x86", BIOS_COLUMN),
        ("qemu-system-aarch64", "qemu-system-arm", START_COLUMN),
        ("as", "binutils", BIOS_COLUMN),
    ],
)
def test_what_a_missing_tool_would_prove_is_neither_passed_nor_failed(
    project: Project, missing: str, package: str, column: str
):
    """Without QEMU, or the tools for boot programs. The next run of verify tries again."""
    project.write(STARTS)
    path = path_without(project, missing)
    assert project.romforge("build").returncode == 0
    reason = f"{missing}: not found; install the Debian package {package}"
    done = project.romforge("verify", "--json", "--junit", "junit.xml", f"rom:{ROM}", PATH=path)
    rows = {row["column"]: row for row in json.loads(done.stdout)["proofs"]}
    assert done.returncode == 0, done.stderr
    assert (rows[column]["state"], rows[column]["text"]) == ("not provable here", reason)
    others = {name: row["state"] for name, row in rows.items() if name != column}
    assert others == dict.fromkeys({"structure", BIOS_COLUMN, START_COLUMN} - {column}, "passed")
    suite = ElementTree.parse(project.top / "junit.xml").getroot()
    assert [suite.get(name) for name in ("failures", "errors", "skipped")] == ["0", "0", "1"]
    assert [skipped.get("message") for skipped in suite.iter("skipped")] == [reason]
    done = project.romforge("verify", "--strict", f"rom:{ROM}", PATH=path)
    assert done.returncode == 1
    assert re.search(r"efi-e1000.rom +.*not provable", done.stdout), done.stdout
    assert f"1 proof not provable here: {reason}\n" in done.stdout
    assert "1 not provable here, 0 proven, 2 proven before" in done.stdout
    assert project.romforge("report", "-o", "report.html").returncode == 0
    page = (project.top / "report.html").read_text()
    assert "not provable here" in page
    assert reason in page
    rows = project.verify(f"rom:{ROM}")
    assert {row["state"] for row in rows.values()} == {"passed"}
    assert [row["column"] for row in rows.values() if not row["before"]] == [column]
    done = project.romforge("verify", "--strict", f"rom:{ROM}")
    assert done.returncode == 0, done.stdout


def test_a_failure_counts_although_another_proof_is_not_provable(project: Project):
    project.write(STARTS.replace(MARK, 'mark = "nothing"\n').replace("roms", "timeout = 1\nroms"))
    path = path_without(project, "qemu-system-aarch64")
    done = project.romforge("verify", "--json", f"rom:{ROM}", PATH=path)
    states = {row["column"]: row["state"] for row in json.loads(done.stdout)["proofs"]}
    assert done.returncode == 1
    assert (states[BIOS_COLUMN], states[START_COLUMN]) == ("failed", "not provable here")


def test_controls_that_need_a_missing_tool_do_not_pass(project: Project):
    project.write(STARTS)
    path = path_without(project, "qemu-system-x86_64")
    done = project.romforge("verify", "--controls", "--json", PATH=path)
    states: dict[str, set[str]] = {}
    for row in json.loads(done.stdout)["proofs"]:
        states.setdefault(row["kind"], set()).add(row["state"])
    assert done.returncode == 0
    assert states == {
        "structure": {"passed"},
        "bios": {"not provable here"},
        "start": {"passed"},
    }


def test_an_interface_is_proven_where_the_firmware_has_no_network_stack(
    project: Project, releases: dict[str, Path]
):
    """The network boot is not provable there, which counts as a failure with --strict."""
    real = qemu.find_firmware(MACHINES[Arch.X86_64])
    code = project.top / "code.fd"
    data = Path(real.code).read_bytes()
    code.write_bytes(firmware.without_driver(data, firmware.MANAGED_NETWORK_DRIVER))
    text = spec_text(releases["sid"], nics='e1000 = "8086:100e"').partition("[target.pxe]")[0]
    project.write(f'{text}[verify]\nboot = ["x86_64"]\nroms = ["romfile"]\nsnp = true\n')
    environment = project.patched(
        "from romforge.verify import qemu\n"
        f"firmware = qemu.Firmware({str(code)!r}, {real.variables!r})\n"
        "qemu.find_firmware = lambda machine: firmware\n"
    )
    done = project.romforge("verify", "--json", "--strict", **environment)
    rows = {row["column"]: row for row in json.loads(done.stdout)["proofs"]}
    assert done.returncode == 1, done.stderr
    assert {column: row["state"] for column, row in rows.items()} == {
        "structure": "passed",
        "x86_64-romfile": "not provable here",
        **{f"{kind}-x86_64": "passed" for kind in ("snp", "nics", "hotplug", "exit")},
    }
    assert rows["x86_64-romfile"]["text"].startswith(f"the firmware {code} has no network stack")


def test_proofs_of_a_rom_that_cannot_be_built_are_not_run(project: Project):
    project.write(spec().replace('size = "256KiB"', 'size = "4KiB"'))
    rows = project.verify(status=1)
    assert {row["state"] for row in rows.values()} == {"not run"}


def test_an_unknown_selection_is_reported(project: Project):
    done = project.romforge("verify", "nic:e100")
    assert (done.returncode, 'did you mean "nic:e1000"?' in done.stderr) == (2, True), done.stderr


# Output


def test_outcomes_are_written_for_other_programs(project: Project):
    """JUnit's XML and JSON agree. The XML has the message of the failure."""
    project.write(
        spec(
            f'[verify]\ntimeout = {project.enough()}\nroms = ["romfile"]\n',
            mark='mark = "minipxe e1000"\n',
        )
    )
    done = project.romforge("verify", "--json", "--junit", "junit.xml")
    rows = json.loads(done.stdout)["proofs"]
    suite = ElementTree.parse(project.top / "junit.xml").getroot()
    assert (done.returncode, suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        1,
        "4",
        "1",
        "0",
    )
    cases = {f"{case.get('classname')}:{case.get('name')}": case for case in suite}
    assert set(cases) == {f"{row['rom']}:{row['column']}" for row in rows}
    failed = cases["qemu/efi-rtl8139.rom:bios-romfile"]
    failure = failed.find("failure")
    assert failure is not None
    assert "does not show" in (failure.get("message") or "")
    assert float(failed.get("time") or 0) > 0
    assert "minipxe" in (failed.findtext("system-out") or "")  # the end of the guest's console
    assert project.romforge("report", "-o", "page.html").returncode == 1
    page = (project.top / "page.html").read_text()
    (console,) = re.findall(r"<pre[^>]*>([^<]*)</pre>", page)
    assert html.unescape(console).strip() == (failed.findtext("system-out") or "").strip()
    assert suite.get("timestamp")
    assert {
        case.find("system-out") is not None for name, case in cases.items() if "e1000" in name
    } == {True}


def test_a_terminal_shows_the_matrix(project: Project, built: Path):
    """During the run and complete at its end, also on a terminal with only ASCII."""
    command = f"cd {project.top} && PYTHONPATH={TOP}/src {sys.executable} -m romforge verify"
    for locale in ("C.UTF-8", "C"):
        shutil.rmtree(project.top / "out")
        shutil.copytree(built, project.top / "out", symlinks=True)
        environment = users({"LC_ALL": locale, "TERM": "xterm", "COLUMNS": "150"})
        done = subprocess.run(
            ["script", "-qec", command, "/dev/null"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)
        assert re.search(
            r"qemu/efi-rtl8139.rom +ok [0-9.]+ s +ok [0-9.]+ s +ok [0-9.]+ s", plain
        ), plain
        assert "6 proven, 0 proven before" in plain


# Interrupted runs

# The guest shows nothing and does not end. A guest with the legacy image would end.
ENDLESS = spec('[verify]\nroms = ["romfile"]\n', mark='mark = "nothing"\n').replace(
    '"pcbios"]', '"x86_64-efi"]'
)


@pytest.mark.parametrize("group", [True, False], ids=["to all", "to romforge alone"])
def test_an_interrupt_leaves_no_guest(project: Project, group: bool):
    """The status is 130, and there is a message. The next run proves what is missing."""
    project.write(ENDLESS)
    assert project.romforge("build").returncode == 0
    process = project.start("romforge", "verify")
    project.wait_for(project.guests, process)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT) if group else os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "romforge: interrupted" in errors
    assert "Traceback" not in output + errors
    assert not all_gone(project.guests)
    project.write(spec())
    assert {row["state"] for row in project.verify().values()} == {"passed"}


@pytest.mark.parametrize(
    "command",
    [("romforge", "verify"), ("doit", "-n2", "-P", "process", "verify")],
    ids=["threads", "processes"],
)
def test_a_kill_leaves_no_guest(project: Project, command: tuple[str, ...]):
    project.write(ENDLESS)
    assert project.romforge("build").returncode == 0
    process = project.start(*command)
    project.wait_for(project.guests, process)
    os.killpg(process.pid, signal.SIGKILL) if "doit" in command else process.kill()
    process.communicate(timeout=PATIENCE)
    assert not all_gone(project.guests)
    project.write(spec())
    assert {row["state"] for row in project.verify().values()} == {"passed"}


# Controls


def test_each_kind_of_proof_fails_with_corrupted_roms(project: Project, releases: dict[str, Path]):
    """All controls, with NICs of two vendors. OVMF could boot one of them with its own driver."""
    nics = 'e1000 = "8086:100e"\nvirtio = "1af4:1000"'
    text = spec_text(releases["sid"], nics=nics).partition("[target.pxe]")[0]
    text += f'fix_ids = true\nsource = "roms"\n[source.old]\nroms = "{releases["trixie"]}"\n'
    # A legacy image with a flipped bit may hang until its time is over, so BIOS has less of it.
    bios = '[verify]\nboot = ["bios"]\nroms = ["default"]\n'
    project.write(f"{text}{bios}timeout = {PATIENCE}\n")
    enough = project.enough("usr/share/qemu/efi-virtio.rom")
    uefi = '[verify]\nboot = ["x86_64"]\nroms = ["romfile"]\nsnp = true\nstart = ["arm64"]\n'
    uefi += 'migrate_from = ["old"]\n'
    rows: list[dict[str, Any]] = []
    for proofs, seconds in ((bios, enough), (uefi, PATIENCE)):
        project.write(f"{text}{proofs}timeout = {3 * seconds}\n")  # a control has a third of it
        rows += project.verify("--controls").values()
    assert {row["state"] for row in rows} == {"passed"}
    assert all(row["text"].startswith("fails as it must: ") for row in rows)
    expected: set[tuple[str, str]] = set()
    for name, control in corruptions.CONTROLS.items():
        expected.update((kind, name) for kind in control.kinds)
    assert {(row["kind"], row["control"]) for row in rows} == expected
    assert sum(row["control"] == corruptions.ALONE for row in rows) == 2  # both NICs
    others = {row["kind"]: row["text"] for row in rows if row["control"] == corruptions.ANOTHER}
    assert others[cases.UEFI].startswith(
        "fails as it must: driver: the boot file did not run: the firmware says "
        '"UEFI Interactive Shell"; '
        "no driver is bound to the NIC, although the firmware loaded one from its ROM"
    )
    # All but ExitBootServices is as in the proof: frames arrive, and what the NIC writes is seen.
    (stays,) = [row["text"] for row in rows if row["control"] == corruptions.STAYS]
    assert re.match(r"fails as it must: memory: 82540em\.efidrv: after .* bytes of boot", stays)


def test_a_control_fails_if_the_proof_passes(project: Project):
    """Also if the proof fails for another reason than the control's."""
    project.write(spec("[verify]\nboot = []\n"))
    environment = project.patched(
        "from romforge.verify import corruptions as c\n"
        "def keep(chain, data, proof): return c.CorruptedRom(data)\n"
        "c.CONTROLS[c.TOO_LARGE] = c.CONTROLS[c.TOO_LARGE]._replace(corrupt=keep)\n"
        "c.CONTROLS[c.EMPTY] = c.CONTROLS[c.EMPTY]._replace(checks=('boot',))\n"
    )
    done = project.romforge("verify", "--controls", **environment)
    assert done.returncode == 1
    assert "control: passes, though the ROM is corrupted: 1 image, 256 KiB" in done.stderr
    assert (
        "control: fails for another reason than boot: structure: the ROM is not sound"
        in done.stderr
    )
