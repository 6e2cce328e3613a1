# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge compat`: which file QEMU would open, and what a larger romsize= does, as in QEMU."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from romforge.analysis import compat
from romforge.base import nic_models
from romforge.base.arch import BY_NAME, Arch
from romforge.base.programs import MissingTool
from romforge.formats import option_rom, stub_image
from romforge.spec.value_types import MACHINES_ALL
from romforge.verify import boot, cases, migration, qemu
from romforge.verify.boot import CheckFailed, NicSetup
from romforge.verify.cases import Proof
from tests.support import builders, matrix
from tests.support.machines import COUNTING_MACHINES
from tests.support.project import PATIENCE, Run

PROOF = Proof(
    rom="e1000.rom",
    column="from-old",
    kind=cases.MIGRATE,
    arch=Arch.X86_64,
    default=False,
    nic="e1000",
    device="e1000",
    ids=builders.E1000,
    accept_ids=(),
    images=(),
    bucket=None,
    mark=None,
    baseline=None,
    needs=(),
    timeout=PATIENCE,
)


def on(machine: str) -> Proof:
    """The proof of a migration on one of QEMU's machines."""
    return PROOF._replace(machine=machine, arch=cases.machine_arch(machine))


def rom(bucket: int) -> bytes:
    return builders.legacy().ljust(bucket, b"\xff")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An output root in which the same names lie in several directories, of other sizes."""
    for path, bucket in {
        "qemu/efi-e1000.rom": 1 << 18,
        "ipxe/efi-e1000.rom": 1 << 17,
        "ipxe/efi-virtio.rom": 1 << 17,
        "arm/efi-e1000.rom": 1 << 16,
    }.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(rom(bucket))
    return tmp_path


def told(done: Any) -> dict[str, tuple[int | None, int | None, bool]]:
    def bucket(side: dict[str, int] | None) -> int | None:
        return side["bucket"] if side else None

    return {
        row["file"]: (bucket(row["old"]), bucket(row["new"]), row["migrates"])
        for row in json.loads(done.stdout)["verdicts"]
    }


def test_of_a_spec_the_file_counts_that_qemu_opens(layout: Path, romforge: Run):
    """The first of a name in the order of the search."""
    (layout / "a.toml").write_text('spec = 1\n[qemu.x86_64]\nfirmware_path = ["qemu", "ipxe"]\n')
    (layout / "b.toml").write_text('spec = 1\n[qemu.x86_64]\nfirmware_path = ["ipxe", "qemu"]\n')
    done = romforge("compat", "--json", "a.toml", "b.toml")
    assert done.returncode == 1
    small, large = 1 << 17, 1 << 18
    assert told(done) == {
        "efi-e1000.rom": (large, small, False),
        "efi-virtio.rom": (small, small, True),
    }
    assert romforge("compat", "a.toml", "a.toml").returncode == 0


def test_architectures_have_search_paths_of_their_own(layout: Path, romforge: Run):
    (layout / "a.toml").write_text(
        'spec = 1\n[qemu.x86_64]\nfirmware_path = ["ipxe"]\n'
        '[qemu.arm64]\nfirmware_path = ["arm", "ipxe"]\n'
    )
    done = romforge("compat", "--json", "a.toml", "a.toml")
    assert {name: old for name, (old, _, _) in told(done).items()} == {
        "arm64/efi-e1000.rom": 1 << 16,
        "arm64/efi-virtio.rom": 1 << 17,
        "x86_64/efi-e1000.rom": 1 << 17,
        "x86_64/efi-virtio.rom": 1 << 17,
    }


SMALL, LARGE = 1 << 17, 1 << 18
STUB = option_rom.parse_image(stub_image.make_stub(builders.E1000), 0)
IMAGES: dict[str, Callable[..., bytes]] = {
    "legacy": builders.legacy,
    "x86_64": builders.efi,
    "arm64": functools.partial(builders.efi, machine=builders.ARM64),
    "stub": lambda last: option_rom.rewrite(STUB, last=last).data,
}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("qemu:ipxe", "qemu:ipxe", {"e1000": (LARGE, LARGE, True), "virtio": (SMALL, SMALL, True)}),
        (
            "qemu:ipxe",
            "ipxe:qemu",
            {"e1000": (LARGE, SMALL, False), "virtio": (SMALL, SMALL, True)},
        ),
        ("/ipxe/:qemu", "ipxe", {"e1000": (SMALL, SMALL, True), "virtio": (SMALL, SMALL, True)}),
        ("ipxe:qemu", "qemu", {"e1000": (SMALL, LARGE, False), "virtio": (SMALL, None, False)}),
        ("qemu", "none:ipxe", {"e1000": (LARGE, SMALL, False), "virtio": (None, SMALL, True)}),
    ],
)
def test_each_side_has_a_search_path_of_its_own(
    layout: Path, romforge: Run, old: str, new: str, expected: dict[str, tuple[Any, ...]]
):
    """The first of a name counts on each side; a file of the old side alone is a failure."""
    done = romforge("compat", "--json", "--old-path", old, "--new-path", new, "out", "out")
    assert told(done) == {f"efi-{nic}.rom": row for nic, row in expected.items()}
    assert done.returncode == int(not all(row[2] for row in expected.values()))
    text = romforge("compat", "--old-path", old, "--new-path", new, "out", "out").stdout
    lost = 'QEMU would not start there: failed to find romfile "efi-virtio.rom"'
    assert (lost in text) == (expected["virtio"][1] is None)


def test_a_search_path_holds_of_a_package_a_lock_and_a_spec(layout: Path, romforge: Run):
    """The paths in a .deb and in a lock are those of its files; a spec's lie below its root."""
    package = layout / "package"
    (layout / "out").rename(package)
    (package / "DEBIAN").mkdir()
    control = "Package: roms\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: a\n"
    (package / "DEBIAN/control").write_text(control)
    build = ["dpkg-deb", "--build", "--root-owner-group", str(package), str(layout / "roms.deb")]
    subprocess.run(build, check=True, capture_output=True)
    shutil.rmtree(package / "DEBIAN")
    package.rename(layout / "out")
    entry = '[rom."{}/efi-e1000.rom"]\nbucket = {}\nused = 512\nimages = [{}]\n'
    image = '{ kind = "legacy", size = 512, ids = "8086:100e" }'
    locked = [entry.format("qemu", LARGE, image), entry.format("ipxe", SMALL, image)]
    (layout / "a.lock").write_text("lock = 1\n" + "".join(locked))
    (layout / "a.toml").write_text('spec = 1\n[qemu.x86_64]\nfirmware_path = ["arm"]\n')
    for path, bucket in {"qemu:ipxe": LARGE, "ipxe:qemu": SMALL}.items():
        for name in ("roms.deb", "a.lock", "a.toml", "out"):
            paths = "--old-path", path, "--new-path", "qemu"
            done = romforge("compat", "--json", *paths, name, "out")
            assert told(done)["efi-e1000.rom"][0] == bucket, name


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--old-path", "a:b", "out", "out"], 1, "in a and b; it has some in arm, ipxe and qemu"),
        (["--old-path", "qemu", "out/qemu/efi-e1000.rom", "out"], 2, "no directories to search"),
        (["--new-path", "qemu:", "out", "out"], 2, "'qemu:' is not a list of directories"),
        (["--new-path", "../qemu", "out", "out"], 2, "'../qemu' is not a list of directories"),
    ],
    ids=["nothing there", "a ROM", "an empty part", "above the root"],
)
def test_a_wrong_search_path_is_told(
    layout: Path, romforge: Run, arguments: list[str], status: int, words: str
):
    done = romforge("compat", *arguments)
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not define where QEMU looks for ROMs"),
        ('[qemu.x86]\nfirmware_path = ["qemu"]', '"x86" is not a known architecture'),
        ('[qemu.x86_64]\nfirmware_path = ["empty"]', "holds no *.rom file in the directories of"),
        ("[qemu.x86_64]", "missing: directories below the output root"),
    ],
    ids=["no table", "no architecture", "nothing built", "no path"],
)
def test_a_spec_that_tells_nothing_is_told(layout: Path, romforge: Run, text: str, words: str):
    (layout / "a.toml").write_text(f"spec = 1\n{text}\n")
    done = romforge("compat", "a.toml", "out")
    assert (done.returncode > 0, words in done.stderr) == (True, True), done.stderr


@pytest.mark.parametrize(
    ("old", "new", "statuses"),
    [
        ("legacy x86_64", "legacy x86_64", (0, 0, 0)),
        ("legacy x86_64", "legacy x86_64 arm64", (0, 0, 0)),
        ("legacy x86_64", "x86_64", (3, 0, 1)),
        ("legacy x86_64", "x86_64 legacy", (0, 0, 0)),
        ("x86_64 stub", "x86_64", (0, 0, 0)),
        ("x86_64", "", (3, 0, 1)),
        ("", "x86_64", (0, 0, 0)),
    ],
    ids=["the same", "more", "fewer", "reordered", "a stub", "no image", "none before"],
)
def test_there_is_a_verdict_on_migration_and_one_on_booting_again(
    tmp_path: Path, romforge: Run, old: str, new: str, statuses: tuple[int, int, int]
):
    """All these files have one bucket. The last statuses are those of one verdict alone."""
    for name, kinds in (("old", old.split()), ("new", new.split())):
        parts = []
        for number, kind in enumerate(kinds, start=1):
            parts.append(IMAGES[kind](last=number == len(kinds)))
        (tmp_path / f"{name}.rom").write_bytes(b"".join(parts).ljust(SMALL, b"\xff"))
    found = [
        romforge("compat", *words, "old.rom", "new.rom").returncode
        for words in ((), ("--only", "migrates"), ("--only", "boots"))
    ]
    assert tuple(found) == statuses
    done = romforge("compat", "old.rom", "new.rom")
    lost = "started again, a guest has no legacy image to boot from"
    assert (lost in done.stdout) == (new == "x86_64" and "legacy" in old)


def test_a_bucket_that_changed_is_status_1_though_boots_are_lost_too(layout: Path, romforge: Run):
    (layout / "old.rom").write_bytes(builders.legacy().ljust(SMALL, b"\xff"))
    (layout / "new.rom").write_bytes(builders.efi().ljust(LARGE, b"\xff"))
    done = romforge("compat", "--json", "old.rom", "new.rom")
    (row,) = json.loads(done.stdout)["verdicts"]
    assert (done.returncode, row["migrates"], row["boots"]) == (1, False, False)
    assert "Size mismatch" in row["reason"]
    assert "has no legacy image" in row["images"]


def test_files_of_one_name_are_paired_by_their_directories(layout: Path, romforge: Run):
    """And where that is not enough, each that QEMU may open is compared, and said to be."""
    shutil.copytree(layout / "out", layout / "moved/share")
    done = romforge("compat", "--json", "out", "moved")
    rows = json.loads(done.stdout)["verdicts"]
    assert [(row["migrates"], row["ambiguity"]) for row in rows] == [(True, "")] * 4
    shutil.rmtree(layout / "moved/share/arm")
    done = romforge("compat", "--json", "out", "moved")
    failing = [row for row in json.loads(done.stdout)["verdicts"] if not row["migrates"]]
    assert [row["file"] for row in failing] == [
        f"arm/efi-e1000.rom -> share/{place}/efi-e1000.rom" for place in ("ipxe", "qemu")
    ]
    words = "QEMU may open share/ipxe/efi-e1000.rom or share/qemu/efi-e1000.rom on the new host"
    for row in failing:
        assert row["ambiguity"] == f"{words}; --new-path tells where it looks"
    (layout / "one").mkdir()
    (layout / "one/efi-e1000.rom").write_bytes(rom(LARGE))
    done = romforge("compat", "one", "out")
    assert done.returncode == 1
    assert done.stdout.count("one/") == 0
    assert done.stdout.count("QEMU may open") == 3


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("machine", COUNTING_MACHINES)
@pytest.mark.parametrize(
    ("old", "new"), [(1 << 18, 1 << 18), (1 << 18, 1 << 19), (1 << 19, 1 << 18), (1 << 17, 1 << 18)]
)
def test_the_verdict_is_qemu_s_on_every_machine(tmp_path: Path, machine: str, old: int, new: int):
    """As default ROM, under the name that QEMU asks for; a refusal is the error of `compat`."""
    before, after = (compat.RomFile(size, ("legacy",)) for size in (old, new))
    (verdict,) = compat.compare_sets({"efi-e1000.rom": before}, {"efi-e1000.rom": after})
    assert verdict.migrates == (old == new)
    proof = on(machine)._replace(default=True)
    if verdict.migrates:
        seen = migration.prove_migration(proof, rom(old), rom(new), tmp_path, tmp_path / "cache")
        assert "went on" in seen
        return
    with pytest.raises(CheckFailed) as refused:
        migration.prove_migration(proof, rom(old), rom(new), tmp_path, tmp_path / "cache")
    assert str(refused.value) == f"migration: {verdict.reason.replace('00:02.0', '00:03.0')}"
    machine_of_guest = (tmp_path / "source" / qemu.COMMAND).read_text()
    assert f"-M {'virt' if machine in BY_NAME else machine} " in machine_of_guest


@pytest.mark.qemu
@pytest.mark.parametrize("machine", MACHINES_ALL)
def test_blocks_have_the_names_that_compat_gives_them(tmp_path: Path, machine: str):
    """For all NICs that QEMU has default ROMs for, on every machine."""
    (tmp_path / "nic.rom").write_bytes(rom(1 << 17))
    options = list(migration._MACHINES[machine])
    for slot, (nic, ids) in enumerate(matrix.IDS.items(), start=2):
        device = nic_models.device_of(nic, ids)
        options += ["-device", f"{device},addr={slot},romfile=nic.rom"]
    options += ["-S", "-bios", str(tmp_path / "nic.rom")]  # which does not run
    with qemu.start(qemu.MACHINES[cases.machine_arch(machine)], options, tmp_path) as guest:
        shown = guest.monitor.ask("human-monitor-command", **{"command-line": "info ramblock"})
    names = {name for name in shown.split() if name.startswith("0000:")}
    expected = set()
    for slot, nic in enumerate(matrix.IDS, start=2):
        expected.add(compat._block(f"efi-{nic}.rom").replace("00:02.0", f"00:{slot:02x}.0"))
    assert {name for name in names if name.endswith(".rom")} == expected


@pytest.mark.slow
@pytest.mark.qemu
def test_what_no_guest_migrates_with_is_no_failure_of_the_rom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A device that QEMU does not have, and one that QEMU does not migrate."""
    proof = on("riscv64")
    unknown = proof._replace(device="no-such-nic,x=y")
    with pytest.raises(
        MissingTool,
        match=r"^qemu-system-riscv64 has no -device no-such-nic, so no guest migrates with it$",
    ):
        migration.prove_migration(unknown, rom(2048), rom(2048), tmp_path, tmp_path / "cache")
    rocker = (*migration._NETWORK, "-device", "rocker")
    monkeypatch.setattr(migration, "_NETWORK", rocker)
    with pytest.raises(
        MissingTool, match=r"^no guest migrates with -device e1000: .* non-migratable device"
    ):
        migration.prove_migration(proof, rom(2048), rom(2048), tmp_path, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize(
    ("old", "new", "side"), [(1 << 18, 1 << 17, "destination"), (1 << 17, 1 << 18, "source")]
)
def test_what_is_said_of_romsize_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int, new: int, side: str
):
    """Without romsize= QEMU refuses with the error that `compat` gives.

    With it on the side that `compat` names, QEMU migrates the guest.
    """
    before, after = (compat.RomFile(size, ("legacy",)) for size in (old, new))
    (verdict,) = compat.compare_sets({"efi-e1000.rom": before}, {"efi-e1000.rom": after})
    with pytest.raises(CheckFailed) as refused:
        migration.prove_migration(
            PROOF, rom(old), rom(new), tmp_path / "refused", tmp_path / "cache"
        )
    assert str(refused.value) == f"migration: {verdict.reason.replace('00:02.0', '00:03.0')}"
    larger = max(old, new)
    sides = {"destination": "migrates to a QEMU started with", "source": "guests started with"}
    assert verdict.romsize.startswith(f"{sides[side]} romsize={larger}")

    def enlarged(proof: Proof, data: bytes, directory: Path, machine: tuple[str, ...]) -> NicSetup:
        found = boot.nic_setup(proof, data, directory, machine)
        return (
            found
            if directory.name != side
            else found._replace(
                options=[*found.options[:-1], f"{found.options[-1]},romsize={larger}"]
            )
        )

    monkeypatch.setattr(migration, "nic_setup", enlarged)
    assert "went on" in migration.prove_migration(
        PROOF, rom(old), rom(new), tmp_path / "enlarged", tmp_path / "cache"
    )
