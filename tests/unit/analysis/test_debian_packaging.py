# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian packaging directory against a spec: each thing that it may lack, and what is hostile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from romforge.analysis.debian_packaging import check_packaging
from romforge.analysis.debian_source import Finding
from romforge.base.errors import UsageError
from romforge.plan import planner
from romforge.spec import loader

SPEC = """spec = 1
[source.ipxe]
tree = "ipxe"
[platform.pcbios]
[platform.arm64-efi]
[nic.e1000]
id = "8086:100e"
[nic.rtl8139]
id = "10ec:8139"
[target.pc]
dir = "usr/share/pc"
file = "pxe-{nic}.rom"
images = ["pcbios"]
[target.arm]
dir = "usr/share/arm"
file = "efi-{nic}.rom"
images = ["arm64-efi"]
default = false
[image.snp]
platform = "arm64-efi"
goal = "snponly.efi"
dir = "usr/lib/ipxe"
"""
PACKAGING = {
    "control": """Source: roms
Build-Depends: debhelper-compat (= 13)
Build-Depends-Indep: gcc,
 gcc-aarch64-linux-gnu <!nocross>

Package: roms-pc
Architecture: all

Package: roms-arm
Architecture: all

Package: roms-meta
Architecture: all
Depends: roms-arm, ${misc:Depends}
""",
    "roms-pc.install": "out/usr/share/pc usr/share\n",
    "roms-arm.install": "out/usr/share/arm/efi-*.rom usr/share/arm\n# more\nusr/lib/ipxe/s*\n",
    "tests/control": """Test-Command: debian/tests/boot target:pc
Features: test-name=boot-pc
Depends: roms-pc, qemu-system-x86 | qemu

Tests: arm
Depends: roms-meta, qemu-system-arm, qemu-efi-aarch64
""",
    "tests/boot": '#!/bin/sh\nromforge verify "$@"\n',
    "tests/arm": "#!/bin/sh\n# all\nromforge verify --quiet \\\n    nic:e1000 target:arm\n",
}
TEST = PACKAGING["tests/control"]


def check(
    top: Path, changed: Mapping[str, str | None] = MappingProxyType({}), out: Path = Path("out")
) -> list[Finding]:
    """The findings for the packaging with changed files, by their names; None removes one."""
    (top / "debian/tests").mkdir(parents=True)
    (top / "romspec.toml").write_text(changed.get("spec") or SPEC)
    for name, text in {**PACKAGING, **changed}.items():
        if text is not None and name != "spec":
            (top / "debian" / name).write_text(text)
    loaded = loader.load_spec(top / "romspec.toml")
    return check_packaging(top / "debian", loaded, planner.make_plan(loaded), out)


def test_nothing_is_found_where_all_is_there(tmp_path: Path):
    assert check(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "text", "place", "severity", "message", "remedy"),
    [
        (
            "roms-pc.install",
            "out/usr/share/pc/pxe-e*.rom\n",
            "roms-pc.install:1",
            "error",
            "no .install file takes usr/share/pc/pxe-rtl8139.rom",
            "add to {debian}/roms-pc.install:\n  out/usr/share/pc/pxe-rtl8139.rom usr/share/pc",
        ),
        (
            "roms-arm.install",
            "out/usr/lib/ipxe\nout/usr/lib/ipxe/* usr\n",
            "control:9",
            "error",
            "no .install file takes usr/share/arm/efi-e1000.rom and 1 more file",
            "add to {debian}/roms-arm.install:\n  out/usr/share/arm usr/share",
        ),
        (
            "roms-arm.install",
            "out/usr/share/arm\n",
            "control:6",
            "error",
            "no .install file takes usr/lib/ipxe/snponly.efi",
            "add to {debian}/roms-pc.install:\n  out/usr/lib/ipxe usr/lib",
        ),
        (
            "roms-pc.install",
            "out/usr/share/pc\n\nout/usr/share/pcc usr/share\n",
            "roms-pc.install:3",
            "error",
            "nothing in the output root has such a path when all is built",
            "remove the line, or correct it to a path that `romforge plan` shows",
        ),
        (
            "roms.install",
            "README\n",
            "roms.install:1",
            "error",
            "debhelper ignores this file: {debian}/control has no package roms"
            ' (did you mean "roms-pc"?)',
            'add a paragraph "Package: roms" there, or rename the file',
        ),
        (
            "install",
            "README\n",
            "install:1",
            "error",
            "debhelper ignores this file, since there is {debian}/roms-pc.install",
            "move its lines to {debian}/roms-pc.install",
        ),
        (
            "control",
            PACKAGING["control"].replace("gcc,\n gcc-aarch64-linux-gnu <!nocross>", "gcc"),
            "control:3",
            "error",
            "Build-Depends-Indep has no gcc-aarch64-linux-gnu, by which [platform.arm64-efi] is"
            " built",
            "add to it:\n  gcc-aarch64-linux-gnu,",
        ),
        (
            "control",
            PACKAGING["control"].replace("gcc,\n", "gcc-riscv64-linux-gnu,\n"),
            "control:3",
            "warning",
            "Build-Depends-Indep has gcc-riscv64-linux-gnu, which no platform of the spec needs",
            "remove it, unless the package builds something else by it",
        ),
        (
            "tests/control",
            TEST.partition("\n\n")[0],
            "tests/control:1",
            "error",
            "no autopkgtest boots a ROM of target:arm",
            "add a paragraph:\n  Test-Command: debian/tests/boot target:arm\n  Depends: roms-arm,"
            " gcc-aarch64-linux-gnu, qemu, qemu-efi-aarch64, qemu-system-arm",
        ),
        (
            "tests/control",
            TEST.replace("roms-meta, qemu-system-arm, qemu-efi-aarch64", "\n roms-pc"),
            "tests/control:6",
            "error",
            "arm boots target:arm without roms-arm, qemu-efi-aarch64, qemu-system-arm",
            "add to its Depends, behind roms-pc:\n  , roms-arm, qemu-efi-aarch64, qemu-system-arm",
        ),
        (
            "tests/control",
            TEST.replace("target:pc", "target:pc target:pcc"),
            "tests/control:1",
            "error",
            'the spec has no "target:pcc"',
            "name one of its targets, or remove the word",
        ),
        (
            "tests/control",
            TEST.replace("Tests: arm", "Tests: arm, amr"),
            "tests/control:5",
            "error",
            "there is no {debian}/tests/amr",
            "write it, or remove amr from Tests",
        ),
        (
            "tests/control",
            None,
            "control:1",
            "error",
            "there is no {debian}/tests/control, so no autopkgtest boots the ROMs of the packages",
            "write {debian}/tests/control:\n  Test-Command: romforge verify all\n"
            "  Depends: @, qemu-efi-aarch64, qemu-system-arm, qemu-system-x86\n"
            "  Restrictions: allow-stderr",
        ),
        (
            "tests/arm",
            'for rom in a b; do romforge verify "rom:$rom"; done',
            "tests/control:5",
            "warning",
            "no autopkgtest boots a ROM of target:arm, unless arm does by a variable",
            "add a paragraph:\n  Test-Command: debian/tests/boot target:arm\n  Depends: roms-arm,"
            " gcc-aarch64-linux-gnu, qemu, qemu-efi-aarch64, qemu-system-arm",
        ),
    ],
)
def test_what_is_missing_is_found_alone(
    tmp_path: Path,
    file: str,
    text: str | None,
    place: str,
    severity: str,
    message: str,
    remedy: str,
):
    debian = tmp_path / "debian"
    (found,) = check(tmp_path, {file: text})
    assert found.file is not None
    shown = f"{found.file.relative_to(debian)}:{found.line}"
    assert (shown, found.severity) == (place, severity)
    assert found.message == message.format(debian=debian)
    assert found.remedy == remedy.format(debian=debian)


@pytest.mark.parametrize(
    "files",
    [
        {"roms-pc.install": "usr/share/pc"},
        {"roms-pc.install": "debian/tmp/usr/share/pc usr/share"},
        {"roms-pc.install": "./out//usr/share/[p]?/{pxe,efi}-*.rom usr/share/pc"},
        {"roms-pc.install": "out/usr/*/pc/*.rom ${DEB_HOST_MULTIARCH}\nout/pc.manifest.json x"},
        {"roms-pc.install": None, "install": "out/usr/share/pc"},
        {"roms-pc.install": "build/usr/share/pc", "rules": "export ROMFORGE_OUT := build\n"}
        | {"roms-arm.install": "build/usr usr"},
        {
            "tests/control": "Test-Command: romforge verify all\nDepends: @, qemu-system, \n"
            " qemu-efi-aarch64"
        },
        {"tests/control": TEST.replace("target:pc", "")},  # the default targets
        {"tests/arm": "doit 'verify:usr/share/arm/efi-e1000.rom:structure'"},
        {"spec": SPEC.replace("[platform.arm64-efi]", '[platform.arm64-efi]\nmake = { CC = "x" }')},
    ],
)
def test_other_ways_to_write_it_are_known(tmp_path: Path, files: dict[str, str | None]):
    assert check(tmp_path, files) == []


def test_an_executable_list_cannot_be_read(tmp_path: Path):
    """That is no pass: what no other list takes is a warning."""
    check(tmp_path)
    program = tmp_path / "debian/roms-arm.install"
    program.chmod(0o755)
    loaded = loader.load_spec(tmp_path / "romspec.toml")
    plan = planner.make_plan(loaded)
    found = check_packaging(tmp_path / "debian", loaded, plan, Path("out"))
    assert [one.severity for one in found] == ["note", "warning", "warning"]
    assert "is a program" in found[0].message
    assert "unless a program does" in found[1].message


def test_an_absolute_output_root_in_the_source_package_is_known(tmp_path: Path):
    assert check(tmp_path, out=tmp_path / "out") == []


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("control", "", 1),
        ("control", "Package: x\n", 1),
        ("control", "Source: x\n", 1),
        ("control", "Source: x\n\nPackage: x\n\nPackage: x\n", 5),
        ("control", "Source: x\n\nPackage: ../x\n", 3),
        ("control", "Source: x\nBuild-Depends: a,\n b c\n\nPackage: x\n", 3),
        ("control", "no field\n", 1),
        ("tests/control", "", 1),
        ("tests/control", "Depends: @\n", 1),
        ("tests/control", "Tests: arm\nDepends: a b\n", 2),
        ("tests/control", "Test-Command: a\x00/b\n", 1),
    ],
)
def test_a_broken_file_is_a_finding_with_its_line(tmp_path: Path, file: str, text: str, line: int):
    (one,) = check(tmp_path, {file: text})
    assert (one.file, one.line, one.severity) == (tmp_path / "debian" / file, line, "error")
    assert one.message
    assert one.remedy


def test_what_is_no_packaging_is_refused(tmp_path: Path):
    check(tmp_path)
    loaded = loader.load_spec(tmp_path / "romspec.toml")
    plan = planner.make_plan(loaded)
    for name, words in (
        ("absent", "there is no directory {}/absent; name the directory of a source package"),
        (".", "{} has no control; write --debian {}/debian"),
    ):
        with pytest.raises(UsageError) as caught:
            check_packaging(tmp_path / name, loaded, plan, Path("out"))
        assert words.replace("{}", str(tmp_path)) in str(caught.value)


def test_hostile_lists_end_in_findings(tmp_path: Path):
    """Braces that stand for millions of names, patterns that cost much, a FIFO, no UTF-8."""
    check(tmp_path)
    debian = tmp_path / "debian"
    braces = "out/" + "{a,b}" * 40
    (debian / "roms-pc.install").write_text(f"{braces} x\n{'*a' * 2000}/x y\n[ z\n")
    (debian / "roms-arm.install").write_bytes(b"\xff\n")
    os.mkfifo(debian / "roms-meta.install")
    (debian / "tests/arm").unlink()
    (debian / "tests/arm").symlink_to("arm")
    loaded = loader.load_spec(tmp_path / "romspec.toml")
    plan = planner.make_plan(loaded)
    found = check_packaging(debian, loaded, plan, Path("out"))
    messages = " ".join(one.message for one in found)
    for words in ("not valid UTF-8", "is no file", "nothing in the output root", "there is no"):
        assert words in messages


@pytest.mark.parametrize("word", ["x/" * 9999, "y" * 9999, "'", "../../../../dev/zero", "/"])
@pytest.mark.parametrize("field", ["Test-Command", "Tests", "Tests-Directory"])
def test_hostile_tests_end_in_findings(tmp_path: Path, field: str, word: str):
    text = f"{field}: {word}\n"
    if field == "Tests-Directory":
        text += "Tests: arm\n"
    found = check(tmp_path, {"tests/control": text})
    assert "no autopkgtest boots a ROM of target:arm" in [one.message for one in found]


def test_a_test_of_a_target_that_is_gone_boots_no_other(tmp_path: Path):
    lost = TEST.replace("target:pc", "target:gone")
    found = check(tmp_path, {"tests/control": lost, "tests/arm": "romforge verify target:arm"})
    assert sorted(one.message for one in found) == [
        "no autopkgtest boots a ROM of target:pc",
        'the spec has no "target:gone"',
    ]
