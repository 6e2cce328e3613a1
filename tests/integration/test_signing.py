# SPDX-License-Identifier: GPL-2.0-or-later
"""Drivers that are signed for Secure Boot: by both tools, through the wrap, and in firmware."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom, pe, rom_check
from romforge.plan.steps import Signing
from romforge.sources import signing
from tests.support import builders, linked
from tests.support.compilers import CCACHE_PROGRAMS
from tests.support.project import PATIENCE, Run, run

E1000 = PciId(0x8086, 0x100E)
SNAKEOIL = Path("/usr/share/ovmf")  # a key that Debian's firmware for tests trusts
FIRMWARE = Path("/usr/share/AAVMF")
SPEC = """spec = 1
[source.ipxe]
tree = "tree"
config = "qemu"
[platform.pcbios]
[platform.{arch}-efi]
[nic.e1000]
id = "8086:100e"
[target.packed]
dir = "packed"
file = "{{nic}}.rom"
images = ["pcbios", "{arch}-efi"]
level = "fast"
{sign}
[target.stored]
dir = "stored"
file = "{{nic}}.rom"
images = ["{arch}-efi"]
level = "stored"
{sign}
[target.plain]
dir = "plain"
file = "{{nic}}.rom"
images = ["{arch}-efi"]
level = "fast"
"""
SIGN = 'sign = {{ key = "{key}", certificate = "{certificate}" }}'


def make_key(directory: Path, name: str) -> None:
    """Makes a key and a certificate that signs itself."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    command += ["-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.crt"]
    subprocess.run(command, check=True, capture_output=True)


class Project:
    """A project with minipxe and three targets: signed and packed, signed and stored, unsigned."""

    def __init__(self, top: Path, romforge: Run) -> None:
        self.top, self.romforge = top, romforge

    def write(self, key: str = "db.key", certificate: str = "db.crt", arch: str = "x86_64") -> None:
        sign = SIGN.format(key=key, certificate=certificate)
        (self.top / "romspec.toml").write_text(SPEC.format(arch=arch, sign=sign))

    def build(self, environment: Mapping[str, str] | None = None, status: int = 0) -> str:
        done = self.romforge("build", **(environment or {}))
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rom(self, target: str) -> bytes:
        return (self.top / f"out/{target}/e1000.rom").read_bytes()

    def driver(self, target: str) -> bytes:
        """The driver of a ROM, as firmware takes it out."""
        return option_rom.driver_of(option_rom.parse_rom(self.rom(target)).images[-1])

    def verify(self, driver: bytes) -> bool:
        """Whether both tools find the signature of a driver right."""
        path = self.top / "driver.efi"
        path.write_bytes(driver)
        commands: Sequence[Sequence[str | Path]] = (
            ["sbverify", "--cert", self.top / "db.crt", path],
            ["osslsigncode", "verify", "-CAfile", self.top / "db.crt", "-in", path],
        )
        statuses = [
            subprocess.run(command, capture_output=True, check=False).returncode
            for command in commands
        ]
        assert len(set(map(bool, statuses))) == 1, statuses
        return not any(statuses)


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a project whose images are built; it has no ROM, and nothing was signed."""
    top = tmp_path_factory.mktemp("unsigned")
    make_key(top, "db")
    linked.minipxe(top / "tree")
    (top / "romspec.toml").write_text(SPEC.format(arch="x86_64", sign=""))
    done = run([sys.executable, "-m", "romforge", "build"], top)
    assert done.returncode == 0, done.stderr
    for target in ("packed", "stored", "plain"):
        shutil.rmtree(top / "out" / target)
    return top


@pytest.fixture
def project(unsigned: Path, tmp_path: Path, romforge: Run) -> Project:
    """A copy of that project, whose spec has signatures."""
    shutil.copytree(unsigned, tmp_path, symlinks=True, dirs_exist_ok=True)
    made = Project(tmp_path, romforge)
    made.write()
    return made


def without(top: Path, *programs: str) -> str:
    """A PATH on which these programs are missing; objects come from the cache of all tests."""
    directory = top / f"without-{'-'.join(programs)}"
    directory.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            link = directory / program.name
            if program.name not in programs and not link.is_symlink():
                link.symlink_to(program)
    return f"{CCACHE_PROGRAMS}:{directory}"


@pytest.mark.slow
@pytest.mark.parametrize("missing", [(), ("osslsigncode",), ("sbsign", "sbverify")])
def test_the_signature_of_either_tool_survives_the_wrap(project: Project, missing: tuple[str, ...]):
    """Packed or stored, with only one of the tools or with both."""
    environment = {"PATH": without(project.top, *missing)} if missing else {}
    project.build(environment)
    sign = Signing(str(project.top / "db.key"), str(project.top / "db.crt"))
    unsigned = project.driver("plain")
    assert pe.certificate_table(unsigned) is None
    for target in ("packed", "stored"):
        driver = project.driver(target)
        table = pe.certificate_table(driver)
        assert table is not None
        assert table.stop == len(driver)
        assert project.verify(driver)
        assert rom_check.find_faults(project.rom(target)) == []
        changed = bytearray(driver)
        changed[pe.HEADERS_WITHIN // 2] ^= 1
        assert not project.verify(bytes(changed))
        with pytest.raises(RomforgeError, match="does not verify with"):
            signing.verify_driver(bytes(changed), sign, project.top / "out")
    (entry,) = json.loads((project.top / "out/packed.manifest.json").read_text())["roms"]
    tool = "sbsign" if missing == ("osslsigncode",) else "osslsigncode"
    assert entry["signed"] == {"tool": tool, "reproducible": False}
    legacy = option_rom.parse_rom(project.rom("packed")).images[0]
    assert legacy.kind.is_legacy


@pytest.mark.slow
def test_with_an_epoch_the_signature_is_the_same_in_every_build(project: Project):
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    project.build(epoch)
    first = project.rom("packed"), project.rom("stored")
    shutil.rmtree(project.top / "out")
    project.build(epoch)
    assert (project.rom("packed"), project.rom("stored")) == first
    assert project.romforge("lock", **epoch).returncode == 0
    assert (project.top / "romspec.lock").read_text().count("sha256") == 3


@pytest.mark.slow
def test_another_key_signs_again_and_the_same_one_does_not(project: Project):
    """The driver itself is not built again. A lock has no digest of what differs in every build."""
    project.build()
    assert "0 built, 3 up to date" in project.build()
    make_key(project.top, "db")
    table = project.build()
    assert "2 built, 1 up to date" in table
    assert project.verify(project.driver("packed"))
    assert project.romforge("lock").returncode == 0
    assert "sha256" not in (project.top / "romspec.lock").read_text()


def encrypted(top: Path) -> tuple[str, str]:
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", "db.key", "-out", "k.key"]
    subprocess.run(command, cwd=top, check=True, capture_output=True)
    return "k.key", "db.crt"


def encrypted_traditionally(top: Path) -> tuple[str, str]:
    command = ["openssl", "rsa", "-aes256", "-traditional", "-passout", "pass:x"]
    command += ["-in", "db.key", "-out", "k.key"]
    subprocess.run(command, cwd=top, check=True, capture_output=True)
    return "k.key", "db.crt"


def of_another(top: Path) -> tuple[str, str]:
    make_key(top, "other")
    return "other.key", "db.crt"


def in_der(top: Path) -> tuple[str, str]:
    command = ["openssl", "x509", "-in", "db.crt", "-outform", "DER", "-out", "der.crt"]
    subprocess.run(command, cwd=top, check=True)
    return "db.key", "der.crt"


def damaged(top: Path) -> tuple[str, str]:
    text = (top / "db.key").read_text()
    (top / "k.key").write_text(text[:300] + text[400:])
    return "k.key", "db.crt"


WRONG: dict[str, tuple[Callable[[Path], tuple[str, str]], str]] = {
    "encrypted": (encrypted, "the key is encrypted, and a build cannot ask for its password"),
    "encrypted traditionally": (encrypted_traditionally, "the key is encrypted"),
    "of another certificate": (of_another, "is not the key of the certificate"),
    "swapped": (lambda top: ("db.crt", "db.key"), "db.crt: has no PRIVATE KEY in PEM"),
    "in DER": (in_der, "der.crt: has no CERTIFICATE in PEM"),
    "missing": (lambda top: ("none.key", "db.crt"), "none.key: there is no such file"),
    "a directory": (lambda top: ("tree", "db.crt"), "tree: is not a file"),
    "damaged": (damaged, "cannot sign with"),
}


@pytest.mark.slow
def test_a_key_that_cannot_sign_is_told_in_words(project: Project, tmp_path: Path):
    """By each tool alone: their own messages differ."""
    paths = {
        "osslsigncode": without(tmp_path, "sbsign", "sbverify"),
        "sbsign": without(tmp_path, "osslsigncode"),
    }
    for name, (make, words) in WRONG.items():
        project.write(*make(project.top))
        for tool, path in paths.items():
            text = project.build({"PATH": path}, status=1)
            assert words in text, (name, tool, text)
            assert "Enter" not in text
            assert not (project.top / "out/packed/e1000.rom").exists()
    project.write("none.key")
    done = project.romforge("check")
    assert done.returncode == 1
    assert "target.packed.sign: " in done.stdout + done.stderr


@pytest.mark.slow
def test_without_a_tool_the_packages_are_named(project: Project):
    path = without(project.top, "sbsign", "sbverify", "osslsigncode")
    text = project.build({"PATH": path}, status=1)
    assert "install the Debian package osslsigncode or sbsigntool" in text
    assert project.rom("plain")  # what needs no signature is built


@pytest.mark.slow
@pytest.mark.qemu
def test_firmware_refuses_an_unsigned_driver_and_runs_a_signed_one(tmp_path: Path, romforge: Run):
    """Debian's arm64 firmware with Secure Boot on, and the key that it trusts for tests.

    A driver that is not compressed must end where the image does: the same driver with padding
    behind it is refused, though its signature is right.
    """
    command = ["openssl", "pkey", "-in", f"{SNAKEOIL}/PkKek-1-snakeoil.key"]
    command += ["-passin", "pass:snakeoil", "-out", f"{tmp_path}/db.key"]
    subprocess.run(command, check=True)
    shutil.copy(SNAKEOIL / "PkKek-1-snakeoil.pem", tmp_path / "db.crt")
    linked.minipxe(tmp_path / "tree")
    project = Project(tmp_path, romforge)
    project.write(arch="arm64")
    project.build()
    driver = project.driver("stored")
    assert project.verify(driver)
    signed = option_rom.parse_rom(project.rom("stored")).images[0]
    assert isinstance(signed.header, option_rom.EfiHeader)
    gap = signed.header.efi_image_offset - 0x38
    assert gap > 0  # else the driver fills its blocks, and there is no padding to try
    with_padding = bytearray(signed.data[:0x38] + driver + bytes(gap))
    with_padding[0x16:0x18] = (0x38).to_bytes(2, "little")
    (note,) = rom_check.find_faults(bytes(with_padding))
    assert "follow the signature of the driver" in note.text
    roms = {
        "unsigned": project.rom("plain"),
        "packed": project.rom("packed"),
        "stored": project.rom("stored"),
        "padded": bytes(with_padding),
    }
    runs = {name: boot(tmp_path, name, rom) for name, rom in roms.items()}
    mark = "minipxe e1000 started"
    assert {name: mark in text for name, text in runs.items()} == {
        "unsigned": False,
        "packed": True,
        "stored": True,
        "padded": False,
    }


def boot(top: Path, name: str, rom: bytes) -> str:
    """What arm64 firmware with Secure Boot prints, until it refuses to start its own shell."""
    (top / f"{name}.rom").write_bytes(rom)
    shutil.copy(FIRMWARE / "AAVMF_VARS.snakeoil.fd", top / "variables.fd")
    flash = "if=pflash,format=raw,file="
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-m", "256"]
    command += ["-nodefaults", "-display", "none", "-serial", f"file:{top}/{name}.log"]
    command += ["-drive", f"{flash}{FIRMWARE}/AAVMF_CODE.snakeoil.fd,readonly=on"]
    command += ["-drive", f"{flash}{top}/variables.fd", "-netdev", "user,id=n,restrict=on"]
    command += ["-device", f"e1000,netdev=n,romfile={top}/{name}.rom"]
    log = top / f"{name}.log"
    with subprocess.Popen(command) as process:
        try:
            wait_for(log, "Security Violation", process)
        finally:
            process.kill()
    return log.read_text(errors="replace")


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not (log.is_file() and text in log.read_text(errors="replace")):
        assert process.poll() is None
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.2)


def test_a_signed_driver_ends_where_its_image_does_and_leaves_no_gap_when_compressed():
    """The blocks are as many as without the gap; a stream begins right behind the headers."""
    driver = builders.signed_driver()
    image = option_rom.parse_image(efi_image.wrap_driver(driver, E1000))
    assert option_rom.driver_of(image) == driver
    assert image.data.endswith(driver)
    packed = option_rom.repacked(image, b"stream")
    assert isinstance(packed.header, option_rom.EfiHeader)
    assert packed.header.efi_image_offset == 0x38
    assert option_rom.checksum(packed.data) == 0
