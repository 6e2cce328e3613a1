# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file of several a QEMU opens, in both orders of its search path, and what is a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.analysis import rom_lookup
from romforge.analysis.rom_lookup import Lookup
from romforge.base.arch import Arch
from romforge.plan import planner
from romforge.spec import loader
from romforge.verify.rom_search import QemuView
from tests.support import builders

SPEC = """spec = 1
[source.roms]
roms = "roms"
[platform.pcbios]
[platform.x86_64-efi]
[platform.arm64-efi]
[nic.e1000]
id = "8086:100e"
[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
[target.qemu-aarch64]
dir = "usr/share/qemu-aarch64"
file = "efi-{nic}.rom"
images = ["arm64-efi"]
"""
COMMON, OWN = "/usr/share/qemu", "/usr/share/qemu-aarch64"


def put(root: Path, path: str, *images: bytes, size: int = 1 << 17) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join(images).ljust(size, b"\xff"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The two sets of the spec, in different buckets."""
    put(tmp_path, f"{COMMON}/efi-e1000.rom", builders.legacy(last=False), builders.efi())
    arm = builders.efi(machine=builders.ARM64)
    put(tmp_path, f"{OWN}/efi-e1000.rom", arm, size=1 << 16)
    return tmp_path


def look(
    root: Path,
    directories: list[str],
    *,
    file: str | None = "efi-e1000.rom",
    arch: Arch | None = Arch.ARM64,
    machine: str = "virt",
    text: str = SPEC,
) -> Lookup:
    (root / "romspec.toml").write_text(text)
    spec = loader.load_spec(root / "romspec.toml")
    view = QemuView("qemu", arch, machine, (), tuple(directories), {"e1000": file})
    return rom_lookup.look_up(spec, planner.make_plan(spec), view, root)


def opened(found: Lookup) -> tuple[str | None, list[str], bool]:
    """The path that is opened, those that it wins over, and whether it has an image."""
    (nic,) = found.nics
    path = nic.opened.path if nic.opened else None
    return path, [other.path for other in nic.instead_of], nic.has_image


def test_its_own_directory_first(root: Path):
    """The file with its image wins, and nothing is wrong; the bucket is that of this file."""
    found = look(root, [OWN, COMMON])
    own, common = "usr/share/qemu-aarch64/efi-e1000.rom", "usr/share/qemu/efi-e1000.rom"
    assert opened(found) == (own, [common], True)
    assert found.faults == ()
    (nic,) = found.nics
    assert nic.opened
    assert (nic.opened.bucket, nic.opened.images, nic.target) == (
        1 << 16,
        ("arm64",),
        "qemu-aarch64",
    )


def test_the_common_directory_first(root: Path):
    """The common file wins and has no image for arm64: it hides the one that has."""
    found = look(root, [COMMON, OWN])
    own, common = "usr/share/qemu-aarch64/efi-e1000.rom", "usr/share/qemu/efi-e1000.rom"
    assert opened(found) == (common, [own], False)
    (fault,) = found.faults
    assert f"{common} has no image for arm64, but hides {own}, which has one" in fault


def test_the_common_directory_is_the_fallback(root: Path):
    """Where its own directory lacks the file, the common one has it; a fault: it has no image."""
    (root / "usr/share/qemu-aarch64/efi-e1000.rom").unlink()
    found = look(root, [OWN, COMMON])
    common = "usr/share/qemu/efi-e1000.rom"
    assert opened(found) == (common, [], False)
    (fault,) = found.faults
    assert "e1000: usr/share/qemu-aarch64/efi-e1000.rom is not there, so qemu opens" in fault
    assert f"{common}, which has no image for arm64" in fault


def test_a_directory_that_is_never_searched_is_a_fault(root: Path):
    """With the three remedies; not for an architecture that the target has no image for."""
    (fault,) = look(root, [COMMON]).faults
    assert fault.startswith("target.qemu-aarch64: qemu never looks into usr/share/qemu-aarch64")
    for remedy in (f"-L {OWN}", f"--firmwarepath={OWN}:{COMMON}", f"link its files from {COMMON}"):
        assert remedy in fault
    assert look(root, [COMMON], arch=Arch.X86_64).faults == ()
    (fault,) = look(root, [OWN], arch=Arch.X86_64).faults
    assert "target.qemu: qemu never looks into usr/share/qemu;" in fault


def test_a_target_that_is_not_built_is_not_missed(root: Path):
    text = SPEC + "default = false\n"
    assert len(look(root, [COMMON], text=text).faults) == 1
    (root / "usr/share/qemu-aarch64/efi-e1000.rom").unlink()
    assert look(root, [COMMON], text=text).faults == ()


def test_a_directory_that_only_the_spec_names_is_missed(root: Path):
    """A target of stubs has no architecture but by [qemu.ARCH]."""
    text = SPEC.replace('["arm64-efi"]', '["stub"]')
    assert look(root, [COMMON], text=text).faults == ()
    text += '[qemu.arm64]\nfirmware_path = ["usr/share/qemu-aarch64/", "usr/share/qemu"]\n'
    found = look(root, [COMMON], text=text)
    assert "never looks into usr/share/qemu-aarch64" in found.faults[0]
    assert "expects qemu to look into usr/share/qemu-aarch64 and usr/share/qemu" in found.notes[0]
    assert look(root, [OWN, COMMON], text=text).notes == ()


def test_a_missing_file_is_a_fault_with_its_remedy(root: Path):
    """QEMU's own words, and where the file is, is built, or may come from."""
    (root / "usr/share/qemu/efi-e1000.rom").unlink()
    missing = 'e1000: qemu would not start with -device e1000: failed to find romfile "{}"; '
    fault, _ = look(root, [COMMON]).faults
    own = "usr/share/qemu-aarch64/efi-e1000.rom"
    assert fault == missing.format("efi-e1000.rom") + (
        f"it is only in {own}, where this QEMU does not look"
    )
    (root / own).unlink()
    fault, *_ = look(root, [COMMON]).faults
    assert "build or install usr/share/qemu/efi-e1000.rom" in fault
    fault, *_ = look(root, [COMMON], file="pxe-e1000.rom").faults
    assert fault.startswith(missing.format("pxe-e1000.rom") + "add it to a target")
    assert look(root, [COMMON], file=None).nics[0].opened is None
    assert all("romfile" not in fault for fault in look(root, [COMMON], file=None).faults)


def test_an_empty_file_is_a_fault(root: Path):
    put(root, "usr/share/qemu/efi-e1000.rom", size=0)
    (fault,) = look(root, [COMMON], arch=Arch.X86_64).faults
    assert 'romfile "efi-e1000.rom" is empty: usr/share/qemu/efi-e1000.rom' in fault


def test_links_are_followed_as_if_the_root_were_the_root(root: Path):
    """An absolute link stays below it, of a file or of a directory; a broken one is no file."""
    file = root / "usr/share/qemu/efi-e1000.rom"
    file.unlink()
    file.symlink_to(f"{OWN}/efi-e1000.rom")
    found = look(root, [COMMON, OWN])
    assert opened(found)[::2] == ("usr/share/qemu/efi-e1000.rom", True)
    (root / "usr/lib").symlink_to("/usr/share/qemu-aarch64")
    assert opened(look(root, ["/usr/lib"]))[0] == "usr/lib/efi-e1000.rom"
    file.unlink()
    file.symlink_to("efi-e1000.rom")
    assert opened(look(root, [COMMON, OWN]))[0] == "usr/share/qemu-aarch64/efi-e1000.rom"


def test_a_directory_below_the_root_is_itself(root: Path):
    """One outside is where it will be installed."""
    found = look(root, [f"{root}{OWN}", COMMON])
    assert found.directories == ("usr/share/qemu-aarch64", "usr/share/qemu")
    assert opened(found)[0] == "usr/share/qemu-aarch64/efi-e1000.rom"


KEPT = (
    SPEC
    + """[target.old]
dir = "usr/share/qemu"
file = "efi-{nic}-256k.rom"
images = ["pcbios", "x86_64-efi"]
machines = ["pc-i440fx-?.*"]
"""
)


@pytest.mark.parametrize(
    ("machine", "file", "words"),
    [
        ("pc-i440fx-9.2", "efi-e1000-256k.rom", None),
        ("pc-i440fx-10.0", "efi-e1000.rom", None),
        (
            "pc-i440fx-9.2",
            "efi-e1000.rom",
            "guests with the machine type pc-i440fx-9.2 are to use "
            "usr/share/qemu/efi-e1000-256k.rom, but qemu asks for efi-e1000.rom and opens "
            "usr/share/qemu/efi-e1000.rom; start such guests with romfile=",
        ),
        (
            "pc-i440fx-10.0",
            "efi-e1000-256k.rom",
            "opens usr/share/qemu/efi-e1000-256k.rom for the machine type pc-i440fx-10.0, "
            "but target.old is only for pc-i440fx-?.*;",
        ),
    ],
)
def test_a_machine_type_must_get_the_set_that_serves_it(
    root: Path, machine: str, file: str, words: str | None
):
    put(root, "usr/share/qemu/efi-e1000-256k.rom", builders.legacy())
    found = look(root, [COMMON], file=file, arch=Arch.X86_64, machine=machine, text=KEPT)
    assert len(found.faults) == (words is not None)
    assert words is None or words in found.faults[0]
