# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan: a pure function of the spec, and all that its steps say."""

from __future__ import annotations

import builtins
import io
import os
import pathlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from romforge import build, specfile
from romforge import plan as planning
from romforge.errors import RomforgeError, SpecError
from romforge.plan import DEFAULT_FILES, Fetch, Plan
from romforge.spec import Spec, expand
from tests.conftest import TOP, spec_text
from tests.test_schema import WHOLE

SOURCES = """[source.one]
package = "ipxe-qemu"
[source.two]
roms = "roms"
[source.three]
roms = "debs/ipxe-qemu.deb"
[source.four]
roms = "/srv/roms"
[source.tree]
tree = "../ipxe"
"""

NICS = "".join(f'[nic.{name}]\nid = "{ids}"\n' for name, ids in {"b": "10ec:8139", "a": "8086:100e", "twin": "8086:100e"}.items())


def load(directory: Path, text: str) -> Spec:
    path = directory / "romspec.toml"
    path.write_text(text)
    return specfile.load(path)


def plan(directory: Path, text: str) -> Plan:
    return planning.make(load(directory, text))


def target(name: str, extra: str, images: str = '"pcbios"', file: str = "{nic}.rom") -> str:
    return f'[target.{name}]\ndir = "{name}"\nfile = "{file}"\nimages = [{images}]\n{extra}\n'


def spec(*targets: str, sources: str = SOURCES, platforms: str = "[platform.pcbios]\n[platform.arm64-efi]\n") -> str:
    return "spec = 1\n" + sources + platforms + NICS + '[bucket.b]\nsize = "64KiB"\n' + "".join(targets)


def test_the_default_targets_are_those_that_a_plain_doit_builds(tmp_path):
    """All but those that say default = false, in the spec's order; the others are planned all the same."""
    made = plan(
        tmp_path,
        spec(target("z", 'source = "one"'), target("y", 'source = "one"\ndefault = false'), target("x", 'source = "one"\ndefault = true')),
    )
    assert made.default == ("z", "x")
    assert list(made.targets) == ["z", "y", "x"]
    assert len(made.targets["y"]) == 3


@pytest.mark.parametrize(
    ("nics", "wanted"),
    [
        ("", ["b", "a", "twin"]),
        ('nics = "*"', ["b", "a", "twin"]),
        ('nics = ["twin", "b"]', ["twin", "b"]),
        ("nics = []", []),
    ],
)
def test_which_nics_a_target_makes_roms_for(tmp_path, nics, wanted):
    """All in the spec's order, or those listed in the list's order."""
    made = plan(tmp_path, spec(target("t", f'source = "one"\n{nics}')))
    assert [rom.nic for rom in made.targets["t"]] == wanted
    assert list(made.roms()) == list(made.targets["t"])


def test_two_nics_with_equal_ids_have_a_rom_each(tmp_path):
    """QEMU has several models of one device."""
    roms = plan(tmp_path, spec(target("t", 'source = "one"'))).targets["t"]
    assert {rom.nic: (rom.ids, rom.path) for rom in roms if rom.ids == (0x8086, 0x100E)} == {
        "a": ((0x8086, 0x100E), "t/a.rom"),
        "twin": ((0x8086, 0x100E), "t/twin.rom"),
    }


def test_two_nics_with_equal_ids_cannot_share_a_file(tmp_path):
    """A pattern of the IDs alone is refused for them."""
    with pytest.raises(SpecError, match=r't/8086100e" for twin, and for a too'):
        load(tmp_path, spec(target("t", 'source = "one"', file="{vendor}{device}")))


def test_the_source_of_an_image_is_the_platform_s_before_the_target_s(tmp_path):
    """platform.source, else target.source."""
    platforms = '[platform.pcbios]\n[platform.arm64-efi]\nsource = "two"\n'
    made = plan(tmp_path, spec(target("t", 'source = "four"', '"arm64-efi", "pcbios"'), platforms=platforms))
    assert [(pick.platform, pick.source) for pick in made.targets["t"][0].picks] == [("arm64-efi", "two"), ("pcbios", "four")]


def test_the_only_source_needs_no_naming(tmp_path):
    """Where there is one, all images are from it."""
    made = plan(tmp_path, spec(target("t", "", '"pcbios", "arm64-efi"'), sources='[source.only]\nroms = "roms"\n'))
    assert {pick.source for rom in made.roms() for pick in rom.picks} == {"only"}


def test_what_a_pick_asks_for(tmp_path):
    """Legacy code for the PC BIOS, else a machine; the order is that of the target's images."""
    legacy, efi = plan(tmp_path, spec(target("t", 'source = "four"', '"pcbios", "arm64-efi"'))).targets["t"][0].picks
    assert (legacy.legacy, efi.legacy, efi.machine) == (True, False, 0xAA64)
    assert (efi.tree, efi.root, efi.files) == (False, "/srv/roms", DEFAULT_FILES)


def test_where_sources_lie(tmp_path, monkeypatch):
    """Paths of the spec are relative to the spec; what a package brings lies below the output root."""
    monkeypatch.setenv("HOME", "/home/of/someone")
    sources = SOURCES + '[source.home]\nroms = "~/roms"\n'
    names = ["one", "two", "three", "four", "tree", "home"]
    made = plan(tmp_path, spec(*(target(name, f'source = "{name}"') for name in names), sources=sources))
    assert {rom.picks[0].source: rom.picks[0].root for rom in made.roms()} == {
        "one": ".romforge/source/one",
        "two": f"{tmp_path}/roms",
        "three": ".romforge/source/three",
        "four": "/srv/roms",
        "tree": f"{tmp_path.parent}/ipxe",
        "home": "/home/of/someone/roms",
    }


def test_only_sources_that_are_used_are_fetched(tmp_path):
    """And only packages and .debs are; a directory is there already."""
    assert plan(tmp_path, spec(target("t", 'source = "two"'))).fetches == ()
    assert plan(tmp_path, spec(target("t", 'source = "one"\nnics = []'))).fetches == ()
    made = plan(tmp_path, spec(target("t", 'source = "three"'), target("u", 'source = "one"'), target("v", 'source = "four"')))
    assert made.fetches == (
        Fetch("one", "ipxe-qemu", None, None, ".romforge/source/one"),
        Fetch("three", None, f"{tmp_path}/debs/ipxe-qemu.deb", None, ".romforge/source/three"),
    )
    assert [fetch.task for rom in made.targets["t"] for fetch in made.fetches_of(rom)] == ["source:three"] * 3
    assert made.fetches_of(made.targets["v"][0]) == []


def test_a_tree_is_planned_and_refused_when_built(tmp_path):
    """The plan knows trees; building them is for a later version, which the step says."""
    made = plan(tmp_path, spec(target("t", 'source = "tree"'), target("u", 'source = "four"')))
    step = made.targets["t"][0]
    assert (step.picks[0].tree, step.picks[0].source, made.fetches) == (True, "tree", ())
    with pytest.raises(RomforgeError, match=r"source tree: this version builds no iPXE tree"):
        build.build_rom(step, tmp_path / "out")


def test_the_files_of_a_source_replace_the_known_places(tmp_path):
    """Patterns in the spec's order; the step fills them in for its NIC."""
    sources = '[source.only]\nroms = "roms"\nfiles = ["x/{nic}-{vendor}.{device}", "{target}", "plain"]\n'
    rom = plan(tmp_path, spec(target("t", ""), sources=sources)).targets["t"][0]
    assert rom.picks[0].files == ("x/{nic}-{vendor}.{device}", "{target}", "plain")
    assert [expand(file, rom.nic, rom.ids, rom.target) for file in rom.picks[0].files] == ["x/b-10ec.8139", "t", "plain"]


@pytest.mark.parametrize(
    ("directory", "file", "wanted"),
    [
        ("usr/share/qemu", "efi-{nic}.rom", "usr/share/qemu/efi-b.rom"),
        ("./usr//share/./qemu/", "./{nic}.rom", "usr/share/qemu/b.rom"),
        (".", "{nic}.rom", "b.rom"),
        ("a", "{target}/{vendor}/{device}/{nic}{nic}", "a/t/10ec/8139/bb"),
    ],
)
def test_the_path_of_a_rom_is_normalised(tmp_path, directory, file, wanted):
    """One file has one name, by which its task is called."""
    text = spec(target("t", 'source = "one"', file=file)).replace('dir = "t"', f'dir = "{directory}"')
    rom = plan(tmp_path, text).targets["t"][0]
    assert (rom.path, rom.task) == (wanted, f"rom:{wanted}")


def test_bucket_padding_and_ids_reach_the_step(tmp_path):
    """All that a step depends on, but for the content of files, stands in it."""
    extra = '[nic.c]\nid = "1af4:1000"\naccept_ids = ["1AF4:1041"]\n[bucket.c]\nsize = "128KiB"\npad = false\n'
    made = plan(
        tmp_path,
        spec(
            extra,
            target("t", 'source = "one"\nnics = ["c"]\nbucket = "c"\nfix_ids = true'),
            target("u", 'source = "one"\nbucket = "b"'),
            target("v", 'source = "one"'),
        ),
    )
    rom = made.targets["t"][0]
    assert (rom.ids, rom.accept_ids, rom.fix_ids) == ((0x1AF4, 0x1000), ((0x1AF4, 0x1041),), True)
    assert (rom.bucket, rom.pad) == (128 << 10, False)
    assert (made.targets["u"][0].bucket, made.targets["u"][0].pad) == (64 << 10, True)
    assert (made.targets["v"][0].bucket, made.targets["v"][0].pad) == (None, False)


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails whatever asks the file system."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"the file system was asked: {arguments}")

    with monkeypatch.context() as patch:
        for module, names in {
            builtins: ["open"],
            io: ["open"],
            os: ["open", "stat", "lstat", "listdir", "scandir", "access", "readlink", "mkdir", "getcwd", "chdir"],
            os.path: ["exists", "isfile", "isdir", "realpath"],
            pathlib.Path: ["open", "stat", "exists", "resolve", "is_file", "is_dir", "iterdir"],
        }.items():
            for name in names:
                patch.setattr(module, name, refuse)
        yield


@pytest.fixture(params=["whole", "sources", "checkout", "small"])
def good(request: pytest.FixtureRequest, tmp_path: Path) -> Spec:
    names = ["one", "two", "three", "four", "tree"]
    texts = {
        "whole": WHOLE,
        "sources": spec(*(target(name, f'source = "{name}"') for name in names)),
        "checkout": (TOP / "romspec.toml").read_text(),
        "small": spec_text("roms"),
    }
    return load(tmp_path, texts[request.param])


def test_the_plan_asks_nothing_of_the_file_system(good, no_files):
    """It is made with every way to files shut."""
    assert planning.make(good).targets


def test_the_same_spec_gives_the_same_plan(good, tmp_path, monkeypatch):
    """Whatever the working directory; steps compare and hash by what they say."""
    first = planning.make(good)
    monkeypatch.chdir("/")
    second = planning.make(specfile.load(tmp_path / "romspec.toml"))
    assert first == second
    assert repr(first) == repr(second)
    assert len(set(first.roms())) == len(list(first.roms())) == len({rom.path for rom in first.roms()})
    assert {hash(rom) for rom in first.roms()} == {hash(rom) for rom in second.roms()}


def test_steps_are_frozen(good):
    """No step can be changed once it is planned."""
    made = planning.make(good)
    for step in (made, next(made.roms()), next(made.roms()).picks[0]):
        with pytest.raises(AttributeError):
            step.path = "x"  # type: ignore[misc, union-attr]
