# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that an image is built from, as make recorded them, and the changes that affect it."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.sources.ipxe import dependencies
from romforge.sources.ipxe.dependencies import DependencyFiles, RecordedLink
from romforge.sources.ipxe.worktree import Changes

RECORDS = {
    "drivers/net/realtek.c": (
        "realtek_DEPS += drivers/net/realtek.c include/pci.h \\\n include/ipxe/net.h\n"
        "include/pci.h:\n"
    ),
    "drivers/net/intel.c": "intel_DEPS += drivers/net/intel.c include/pci.h\ninclude/pci.h:\n",
    "drivers/net/virtio-net.c": "virtio-net_DEPS += drivers/net/virtio-net.c include/virtio.h\n",
    "arch/x86/core/setjmp.S": "setjmp_DEPS += arch/x86/core/setjmp.S include/setjmp.h\n",
    "core/version.c": "version_DEPS += core/version.c config/branding.h\n",
}
OBJECTS = "realtek", "setjmp"
USES = frozenset(
    {
        "drivers/net/realtek.c",
        "include/pci.h",
        "include/ipxe/net.h",
        "arch/x86/core/setjmp.S",
        "core/version.c",
    }
)


@pytest.fixture
def records(tmp_path: Path) -> DependencyFiles:
    for source, text in RECORDS.items():
        path = tmp_path / "bin/deps" / f"{source}.d"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return DependencyFiles(tmp_path / "bin")


def test_a_link_uses_the_files_of_its_objects_and_of_its_version(records: DependencyFiles):
    """Not of its device: the driver for rtl8139 is realtek.c, and so is the object."""
    assert records.of_link(["realtek", "setjmp"]) == sorted(
        {
            *("drivers/net/realtek.c", "include/pci.h", "include/ipxe/net.h"),
            *("arch/x86/core/setjmp.S", "include/setjmp.h", "core/version.c", "config/branding.h"),
        }
    )


def test_the_files_of_a_link_are_unknown_if_an_object_has_no_record(records: DependencyFiles):
    assert records.of_link(["realtek", "unknown"]) is None


def test_the_directory_of_an_object_is_that_of_the_recorded_source(records: DependencyFiles):
    """Other architectures may have a source of the same name elsewhere."""
    assert records.directory("setjmp") == "arch/x86/core"
    assert records.directory("virtio_net") == "drivers/net"
    assert records.directory("unknown") == ""


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("a_DEPS += a.c b.h\n", True),
        ("a_DEPS += a.c \\\n b.h\nb.h:\n", True),
        ("", False),
        ("a_DEPS += a.c b", False),
        ("a_DEPS += a.c \\\n", False),
    ],
)
def test_a_truncated_record_is_detected(tmp_path: Path, text: str, complete: bool):
    (tmp_path / "a.c.d").write_text(text)
    assert dependencies.is_complete(tmp_path / "a.c.d") == complete


def reasons(
    tmp_path: Path, records: DependencyFiles, uses: frozenset[str] | None = USES, **paths: str
) -> list[str]:
    """Why the image of rtl8139 is built again, after a file each was changed, added or removed."""
    sets = []
    for verb in ("changed", "added", "removed"):
        sets.append({paths[verb]} if verb in paths else set())
    changes = Changes(sets[0], sets[1], sets[2], touched=False)
    link = RecordedLink("10ec8139", OBJECTS, uses)
    src, old_src, linked = tmp_path / "src", tmp_path / "old", tmp_path / "none.tmp"
    return list(dependencies.reasons_of_link(changes, link, records, src, old_src, linked))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("drivers/net/realtek.c", "drivers/net/realtek.c changed (used by realtek)"),
        ("include/pci.h", "include/pci.h changed (used by realtek)"),
        ("drivers/net/intel.c", None),
        ("include/virtio.h", None),
        ("config/qemu/README", None),
        ("doxygen.cfg", None),
        ("Makefile.efi", "Makefile.efi changed"),
        ("scripts/efi.lds", "scripts/efi.lds changed"),
        ("util/elf2efi.c", "util/elf2efi.c changed"),
        ("util/parserom.pl", "util/parserom.pl changed"),
    ],
)
def test_a_changed_file_affects_the_images_that_use_it(
    tmp_path: Path, records: DependencyFiles, path: str, reason: str | None
):
    """The objects that use it are named. A document affects no image, a makefile every one."""
    expected = [reason] if reason else []
    assert reasons(tmp_path, records, changed=path) == expected


def test_any_changed_file_affects_an_image_whose_files_are_unknown(
    tmp_path: Path, records: DependencyFiles
):
    expected = ["drivers/net/intel.c changed"]
    assert reasons(tmp_path, records, None, changed="drivers/net/intel.c") == expected


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("drivers/net/new.c", 'PCI_ROM ( 0x1234, 0x5678, "new", "New", 0 ),\n', None),
        (
            "drivers/net/new.c",
            'PCI_ROM ( 0x10ec, 0x8139, "new", "New", 0 ),\n',
            "names the device of 10ec8139",
        ),
        ("core/realtek.c", "", "compiles to an object realtek, which is in the image"),
        ("arch/x86/include/pci.h", "", "may be included instead of include/pci.h"),
        ("include/new.h", "", None),
        ("NOTES.txt", "", None),
        ("core/.new.c.swp", "", None),
    ],
)
def test_a_new_file_affects_an_image_that_it_could_become_part_of(
    tmp_path: Path, records: DependencyFiles, path: str, text: str, reason: str | None
):
    (tmp_path / "src" / path).parent.mkdir(parents=True)
    (tmp_path / "src" / path).write_text(text)
    expected = [f"{path} was added, and {reason}"] if reason else []
    assert reasons(tmp_path, records, added=path) == expected


def test_a_new_makefile_affects_every_image(tmp_path: Path, records: DependencyFiles):
    assert reasons(tmp_path, records, added="arch/x86/Makefile.more") == [
        "arch/x86/Makefile.more was added"
    ]


@pytest.mark.parametrize(
    ("text", "affects"),
    [
        ("int shared ( int a ) {\n\treturn a;\n}\n", True),
        ("int __attribute__ (( weak )) shared ( int a ) {\n", True),
        ("struct thing shared = {\n", True),
        ("static int shared ( int a ) {\n", False),
        ("extern int shared ( int a );\n", False),
        ("int other ( void ) {\n\treturn shared ( 1 );\n}\n", False),
    ],
)
def test_a_new_source_that_may_define_a_symbol_of_the_image_affects_it(
    tmp_path: Path,
    records: DependencyFiles,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    affects: bool,
):
    """The linker could take the symbol from it."""
    monkeypatch.setattr(dependencies.UnusedFiles, "_link_symbols", lambda self: {"shared", "main"})
    (tmp_path / "src/core").mkdir(parents=True)
    (tmp_path / "src/core/new.c").write_text(text)
    assert bool(reasons(tmp_path, records, added="core/new.c")) == affects
