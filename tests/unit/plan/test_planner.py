# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan: a pure function of the spec, and all that its steps say."""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from romforge.base.errors import SpecError
from romforge.base.output_files import STATE
from romforge.base.pci_id import PciId
from romforge.plan import planner
from romforge.plan.image_requests import RomFileRequest, TreeRequest
from romforge.plan.planner import DEFAULT_FILES
from romforge.plan.steps import Fetch, Plan, StripOptions, TreeBuild, TreePlace
from romforge.spec import loader
from romforge.spec.model import Spec, expand_pattern
from tests.support.project import TOP, spec_text
from tests.support.specs import WHOLE

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

NICS = "".join(
    f'[nic.{name}]\nid = "{ids}"\n'
    for name, ids in {"b": "10ec:8139", "a": "8086:100e", "twin": "8086:100e"}.items()
)


def load(directory: Path, text: str) -> Spec:
    path = directory / "romspec.toml"
    path.write_text(text)
    return loader.load_spec(path, complete=False)


def plan(directory: Path, text: str) -> Plan:
    return planner.make_plan(load(directory, text))


def target(name: str, extra: str, images: str = '"pcbios"', file: str = "{nic}.rom") -> str:
    return f'[target.{name}]\ndir = "{name}"\nfile = "{file}"\nimages = [{images}]\n{extra}\n'


def spec(
    *targets: str,
    sources: str = SOURCES,
    platforms: str = "[platform.pcbios]\n[platform.arm64-efi]\n",
) -> str:
    return (
        "spec = 1\n"
        + sources
        + platforms
        + NICS
        + '[bucket.b]\nsize = "64KiB"\n'
        + "".join(targets)
    )


def test_the_default_targets_are_those_that_a_plain_doit_builds(tmp_path):
    """All but those with default = false, in the spec's order; the others are planned, too."""
    made = plan(
        tmp_path,
        spec(
            target("z", 'source = "one"'),
            target("y", 'source = "one"\ndefault = false'),
            target("x", 'source = "one"\ndefault = true'),
        ),
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
    assert {rom.nic: (rom.ids, rom.path) for rom in roms if rom.ids == PciId(0x8086, 0x100E)} == {
        "a": (PciId(0x8086, 0x100E), "t/a.rom"),
        "twin": (PciId(0x8086, 0x100E), "t/twin.rom"),
    }


def test_two_nics_with_equal_ids_cannot_share_a_file(tmp_path):
    """A pattern of the IDs alone is refused for them."""
    with pytest.raises(SpecError, match=r't/8086100e" for twin, and for a too'):
        load(tmp_path, spec(target("t", 'source = "one"', file="{vendor}{device}")))


def test_the_source_of_an_image_is_the_platform_s_before_the_target_s(tmp_path):
    """platform.source, else target.source."""
    platforms = '[platform.pcbios]\n[platform.arm64-efi]\nsource = "two"\n'
    made = plan(
        tmp_path, spec(target("t", 'source = "four"', '"arm64-efi", "pcbios"'), platforms=platforms)
    )
    assert [(request.platform, request.source) for request in made.targets["t"][0].requests] == [
        ("arm64-efi", "two"),
        ("pcbios", "four"),
    ]


def test_the_only_source_needs_no_naming(tmp_path):
    """Where there is one, all images are from it."""
    made = plan(
        tmp_path,
        spec(target("t", "", '"pcbios", "arm64-efi"'), sources='[source.only]\nroms = "roms"\n'),
    )
    assert {request.source for rom in made.roms() for request in rom.requests} == {"only"}


def test_what_a_pick_asks_for(tmp_path):
    """Legacy code for the PC BIOS, else a machine; the order is that of the target's images."""
    legacy, efi = (
        plan(tmp_path, spec(target("t", 'source = "four"', '"pcbios", "arm64-efi"')))
        .targets["t"][0]
        .requests
    )
    assert (legacy.kind, efi.kind, efi.kind.machine) == ("legacy", "arm64", 0xAA64)
    assert isinstance(efi, RomFileRequest)
    assert (efi.make, efi.root, efi.files) == (None, "/srv/roms", DEFAULT_FILES)


def test_where_sources_lie(tmp_path, monkeypatch):
    """The spec's paths are relative to the spec; what a package brings is below the output root."""
    monkeypatch.setenv("HOME", "/home/of/someone")
    sources = SOURCES + '[source.home]\nroms = "~/roms"\n'
    names = ["one", "two", "three", "four", "home"]
    made = plan(
        tmp_path, spec(*(target(name, f'source = "{name}"') for name in names), sources=sources)
    )
    roots = {rom.requests[0].source: str(rom.requests[0].place(Path("out"))) for rom in made.roms()}
    assert roots == {
        "one": "out/.romforge/source/one",
        "two": f"{tmp_path}/roms",
        "three": "out/.romforge/source/three",
        "four": "/srv/roms",
        "home": "/home/of/someone/roms",
    }


def test_only_sources_that_are_used_are_fetched(tmp_path):
    """And only packages and .debs are; a directory is there already."""
    assert plan(tmp_path, spec(target("t", 'source = "two"'))).fetches == ()
    assert plan(tmp_path, spec(target("t", 'source = "one"\nnics = []'))).fetches == ()
    made = plan(
        tmp_path,
        spec(
            target("t", 'source = "three"'),
            target("u", 'source = "one"'),
            target("v", 'source = "four"'),
        ),
    )
    assert made.fetches == (
        Fetch("one", "ipxe-qemu", None, None, ".romforge/source/one"),
        Fetch("three", None, f"{tmp_path}/debs/ipxe-qemu.deb", None, ".romforge/source/three"),
    )
    assert made.makes == ()
    assert plan(tmp_path, spec(target("t", 'source = "tree"'))).fetches == ()


def test_what_must_be_done_before_a_rom(tmp_path):
    """The fetch or make behind each of its images, each once, in the order of the steps.

    A directory needs nothing.
    """
    platforms = (
        "[platform.pcbios]\n"
        '[platform.arm64-efi]\nsource = "tree"\n'
        '[platform.x86_64-efi]\nsource = "tree"\n'
    )
    made = plan(
        tmp_path,
        spec(
            target("t", 'source = "three"', '"x86_64-efi", "pcbios", "arm64-efi"'),
            target("u", 'source = "four"'),
            target("v", 'source = "tree"'),
            target("w", 'source = "one"\nnics = ["b"]'),
            platforms=platforms,
        ),
    )
    needs = {
        name: {tuple(made.needs_of(rom.requests)) for rom in roms}
        for name, roms in made.targets.items()
    }
    assert needs == {
        "t": {("source:three", "make:tree/x86_64-efi", "make:tree/arm64-efi")},
        "u": {()},
        "v": {("make:tree/pcbios",)},
        "w": {("source:one",)},
    }
    both = plan(tmp_path, spec(target("t", 'source = "one"', '"pcbios", "arm64-efi"')))
    assert both.needs_of(both.targets["t"][0].requests) == ["source:one"]


def test_the_steps_are_in_the_order_of_need(tmp_path):
    """All fetches, makes and ROMs, each once, and none before what it needs."""
    made = plan(
        tmp_path, spec(*(target(name, f'source = "{name}"') for name in ("two", "tree", "one")))
    )
    tasks = [step.task for step in made.steps()]
    assert len(set(tasks)) == len(tasks) == 11
    for rom in made.roms():
        assert all(
            tasks.index(need) < tasks.index(rom.task) for need in made.needs_of(rom.requests)
        )


def test_what_a_selection_stands_for(tmp_path):
    """ROMs by target, NIC and path.

    A NIC's ROMs are those of the default targets, or of all targets if no default target has it.
    """
    made = plan(
        tmp_path,
        spec(
            target("t", 'source = "one"\nnics = ["a", "b"]'),
            target("u", 'source = "one"\nnics = ["a", "twin"]\ndefault = false'),
        ),
    )
    wanted = {
        (): ["t/a.rom", "t/b.rom"],
        ("all",): ["t/a.rom", "t/b.rom", "u/a.rom", "u/twin.rom"],
        ("target:u",): ["u/a.rom", "u/twin.rom"],
        ("nic:a",): ["t/a.rom"],
        ("nic:twin",): ["u/twin.rom"],
        ("rom:u/a.rom", "nic:b"): ["t/b.rom", "u/a.rom"],
        ("make:tree/pcbios",): [],
    }
    assert {given: [rom.path for rom in made.selected(given)] for given in wanted} == wanted


TREES = """[source.roms]
roms = "roms"
[source.ipxe]
tree = "../ipxe"
fallback = "mini"
make = { OF_BOTH = "source", OF_SOURCE = 1 }
[source.other]
tree = "/srv/ipxe"
[config.qemu.general]
define = ["DOWNLOAD_PROTO_HTTPS", "VLAN_CMD"]
undef = ["CONSOLE_SERIAL", "NEVER_DEFINED"]
set = { BANNER_TIMEOUT = 30, PRODUCT_NAME = '"a ROM"', QUIET = true, NOTHING = "" }
[config.qemu.console]
[config.plain]
"""


def trees(*targets: str, platform: str = "", source: str = "", others: str = "") -> str:
    """A spec over trees, with lines put into [platform.pcbios] and [source.ipxe]."""
    sources = TREES.replace('tree = "../ipxe"\n', f'tree = "../ipxe"\n{source}\n')
    return spec(
        others,
        *targets,
        sources=sources,
        platforms=f"[platform.pcbios]\n{platform}\n[platform.arm64-efi]\n",
    )


def the_make(directory: Path, **parts: str) -> TreeBuild:
    """The one make of a spec whose only target is of the PC BIOS's images."""
    (step,) = plan(directory, trees(target("t", 'source = "ipxe"'), **parts)).makes
    return step


def test_each_platform_of_a_tree_in_use_is_made_once(tmp_path):
    """All targets count, default or not.

    Existing ROMs, unused trees and targets without NICs need no make.
    """
    made = plan(
        tmp_path,
        trees(
            target("none", 'source = "other"\nnics = []', '"arm64-efi"'),
            target("t", 'source = "ipxe"'),
            target("u", 'source = "ipxe"\ndefault = false', '"arm64-efi", "pcbios"'),
            target("v", 'source = "other"'),
            target("w", 'source = "roms"', '"pcbios", "arm64-efi"'),
        ),
    )
    assert [(step.source, step.platform) for step in made.makes] == [
        ("ipxe", "pcbios"),
        ("ipxe", "arm64-efi"),
        ("other", "pcbios"),
    ]
    tasks = {(step.source, step.platform): step.task for step in made.makes}
    for rom in made.roms():
        assert [request.make for request in rom.requests] == [
            tasks.get((request.source or "", request.platform)) for request in rom.requests
        ]
    assert made.fetches == ()


def test_a_make_has_the_goals_of_all_its_roms_once(tmp_path):
    """Of all targets and NICs: a NIC's goal, or its IDs as iPXE writes them."""
    more = {
        "c": '"1AF4:00A0"',
        "d": '"1af4:1041"\ngoal = "virtio-net--1af41041"',
        "same": '"10ec:8029"\ngoal = "1af400a0"',
    }
    made = plan(
        tmp_path,
        trees(
            target("t", 'source = "ipxe"\nnics = ["twin", "a", "same"]'),
            target(
                "u",
                'source = "ipxe"\nnics = ["c", "a", "d"]\ndefault = false',
                '"pcbios", "arm64-efi"',
            ),
            target("v", 'source = "other"\nnics = ["b"]'),
            others="".join(f"[nic.{name}]\nid = {lines}\n" for name, lines in more.items()),
        ),
    )
    assert {rom.nic: rom.goal for rom in made.roms()} == {
        "twin": "8086100e",
        "a": "8086100e",
        "same": "1af400a0",
        "c": "1af400a0",
        "d": "virtio-net--1af41041",
        "b": "10ec8139",
    }
    goals = {step.task: step.goals for step in made.makes}
    assert goals == {
        "make:ipxe/pcbios": ("8086100e", "1af400a0", "virtio-net--1af41041"),
        "make:ipxe/arm64-efi": ("1af400a0", "8086100e", "virtio-net--1af41041"),
        "make:other/pcbios": ("10ec8139",),
    }


def test_an_image_of_a_tree_is_looked_for_where_it_is_made(tmp_path):
    """In the BIN directory of its make's directory, under the name of make's goal."""
    made = plan(
        tmp_path,
        trees(
            target("t", 'source = "ipxe"', '"pcbios", "arm64-efi"'),
            platform='bin = "bin-x86_64-pcbios"\nmedia = "mrom"',
        ),
    )
    makes = {step.task: step for step in made.makes}
    for request in made.targets["t"][0].requests:
        assert isinstance(request, TreeRequest)
        step = makes[request.make]
        assert request.root == f"{step.directory}/src/{step.bin}"
        assert request.file.format(goal="8086100e") == f"8086100e.{step.media}"
        assert request.kind.is_legacy == step.legacy
    assert [(step.bin, step.arch, step.media) for step in made.makes] == [
        ("bin-x86_64-pcbios", "x86_64", "mrom"),
        ("bin-arm64-efi", "arm64", "efidrv"),
    ]


def test_each_platform_source_and_configuration_has_a_directory_of_its_own(tmp_path):
    """All are below the state, and none is within another.

    A configuration may have the name that stands for the lack of one.
    """
    every = (
        target("t", 'source = "ipxe"', '"pcbios", "arm64-efi"'),
        target("u", 'source = "other"'),
    )
    directories = set()
    for config in ("", 'config = "qemu"', 'config = "plain"'):
        made = plan(tmp_path, trees(*every, platform=config))
        directories |= {step.directory for step in made.makes}
    # the other platform has no configuration, and stays where it is
    assert len(directories) == 3 * 2 + 1
    assert all(directory.startswith(f"{STATE}/") for directory in directories)
    assert not [one for one in directories for other in directories if one.startswith(f"{other}/")]


def test_a_platform_s_configuration_goes_before_its_source_s(tmp_path):
    """platform.config, else source.config, else none."""
    assert the_make(tmp_path).config is None
    assert the_make(tmp_path, source='config = "qemu"').config == "qemu"
    both = the_make(tmp_path, source='config = "qemu"', platform='config = "plain"')
    assert (both.config, both.headers) == ("plain", ())
    assert both.directory == the_make(tmp_path, platform='config = "plain"').directory


def test_variables_of_the_platform_go_before_those_of_the_source(tmp_path):
    """Both are given; where both set a value, the platform's counts, in any order."""
    step = the_make(tmp_path, platform='make = { OF_PLATFORM = true, OF_BOTH = "platform" }')
    assert dict(step.variables) == {"OF_BOTH": "platform", "OF_SOURCE": "1", "OF_PLATFORM": "1"}
    assert step == the_make(
        tmp_path, platform='make = { OF_BOTH = "platform", OF_PLATFORM = true }'
    )


def defined(text: str) -> dict[str, str]:
    """The macros that the C preprocessor has at the end of a text; a warning is an error."""
    command = ["cpp", "-undef", "-nostdinc", "-Werror", "-"]
    # the next command warns of nothing
    subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    done = subprocess.run([*command, "-dM"], input=text, capture_output=True, text=True, check=True)
    return {
        name: value
        for name, value in re.findall(r"^#define (\w+) ?(.*)$", done.stdout, re.MULTILINE)
        if not name.startswith("__")
    }


def test_a_header_defines_undefines_and_sets_its_macros(tmp_path):
    """Whatever iPXE's own header, which includes ours at its end, has said of them before."""
    headers = dict(the_make(tmp_path, source='config = "qemu"').headers)
    assert list(headers) == ["general", "console"]
    own = (
        "#define VLAN_CMD 1\n"
        "#define CONSOLE_SERIAL 1\n"
        "#define BANNER_TIMEOUT 20\n"
        "#define QUIET 0\n"
        "#define NEITHER 7\n"
    )
    wanted = {
        "DOWNLOAD_PROTO_HTTPS": "",
        "VLAN_CMD": "",
        "BANNER_TIMEOUT": "30",
        "PRODUCT_NAME": '"a ROM"',
        "QUIET": "1",
        "NOTHING": "",
    }
    assert defined(headers["general"]) == wanted
    assert defined(own + headers["general"]) == wanted | {"NEITHER": "7"}
    assert defined(own + headers["console"]) == defined(own)
    assert all(text.endswith("\n") for text in headers.values())


def test_files_to_embed_lie_beside_the_spec(tmp_path, monkeypatch):
    """Absolute paths in make's variables, in the spec's order; else there is no variable."""
    monkeypatch.setenv("HOME", "/home/of/someone")
    step = the_make(
        tmp_path,
        platform='embed = ["b.ipxe", "../x/a.ipxe"]\ncert = ["/srv/client.crt", "~/own.crt"]',
    )
    assert step.files == (
        ("EMBED", (f"{tmp_path}/b.ipxe", f"{tmp_path.parent}/x/a.ipxe")),
        ("CERT", ("/srv/client.crt", "/home/of/someone/own.crt")),
    )
    assert the_make(tmp_path, platform='trust = ["ca.crt"]').files == (
        ("TRUST", (f"{tmp_path}/ca.crt",)),
    )
    assert the_make(tmp_path).files == ()


@pytest.mark.parametrize(
    ("name", "lines", "wanted"),
    [
        ("pcbios", "", ("bin", "i386", "rom", True)),
        ("pcbios", 'media = "mrom"', ("bin", "i386", "mrom", True)),
        ("x86_64-pcbios", "", ("bin-x86_64-pcbios", "x86_64", "rom", True)),
        ("x86_64-efi", "", ("bin-x86_64-efi", "x86_64", "efidrv", False)),
        ("riscv64-efi", 'media = "efirom"', ("bin-riscv64-efi", "riscv64", "efirom", False)),
        ("signed", 'bin = "bin-arm64-efi-sb"', ("bin-arm64-efi-sb", "arm64", "efidrv", False)),
    ],
)
def test_what_make_builds_for_a_platform(tmp_path, name, lines, wanted):
    """BIN, architecture and medium: iPXE's usual ones, unless the platform says otherwise."""
    text = spec(
        target("t", "", f'"{name}"'),
        sources='[source.ipxe]\ntree = "ipxe"\n',
        platforms=f"[platform.{name}]\n{lines}\n",
    )
    (step,) = plan(tmp_path, text).makes
    assert (step.bin, step.arch, step.media, step.legacy) == wanted


def test_what_a_platform_leaves_out_is_left_to_the_build(tmp_path):
    """No toolchain but one that is asked for, no roots, no configuration."""
    step = the_make(tmp_path)
    assert (step.cross, step.config, step.headers, step.debug, step.strip, step.require) == (
        None,
        None,
        (),
        (),
        StripOptions(),
        (),
    )
    assert the_make(tmp_path, platform='cross = "x86_64-linux-gnu-"').cross == "x86_64-linux-gnu-"


@pytest.mark.parametrize(
    "line",
    [
        'bin = "bin-x86_64-pcbios"',
        'media = "mrom"',
        'cross = "i686-linux-gnu-"',
        'config = "plain"',
        "make = { V = 1 }",
        'strip = { drop = ["obj_wpa"] }',
        'strip = { keep = ["obj_wpa"] }',
        'require = ["snpnet"]',
        'embed = ["file"]',
        'trust = ["file"]',
        'cert = ["file"]',
        'debug = ["e1000"]',
        'debug = ["e1000:2"]',
    ],
)
def test_a_make_says_all_that_it_depends_on(tmp_path, line):
    """Each key of a platform that says how it is built makes another step, and each another one."""
    without, with_line = the_make(tmp_path), the_make(tmp_path, platform=line)
    assert repr(without) != repr(with_line)
    value = re.findall(r'"([^"]+)"', line)
    assert all(one in repr(with_line) for one in value)


def test_the_tree_is_built_before_its_fallback(tmp_path):
    """Both are in the step, the tree first; which of them is there only the build finds out."""
    tree, fallback = the_make(tmp_path).trees
    assert tree == TreePlace(f"{tmp_path.parent}/ipxe", "tree")
    assert fallback == TreePlace(f"{tmp_path}/mini", "fallback")
    made = plan(tmp_path, trees(target("t", 'source = "other"')))
    assert [step.trees for step in made.makes] == [(TreePlace("/srv/ipxe", "tree"),)]


def test_a_given_tree_stands_in_for_the_first_source_of_trees_alone(tmp_path):
    """And leaves it no fallback; other sources keep theirs, also where the first is not in use."""
    both = load(
        tmp_path,
        trees(
            target("t", 'source = "ipxe"', '"pcbios", "arm64-efi"'), target("u", 'source = "other"')
        ),
    )
    made = planner.make_plan(both, "/given")
    assert [(step.source, step.trees) for step in made.makes] == [
        ("ipxe", (TreePlace("/given", "override"),)),
        ("ipxe", (TreePlace("/given", "override"),)),
        ("other", (TreePlace("/srv/ipxe", "tree"),)),
    ]
    usual = planner.make_plan(both)
    assert [step._replace(trees=()) for step in made.makes] == [
        step._replace(trees=()) for step in usual.makes
    ]
    assert made._replace(makes=()) == usual._replace(makes=())
    other = load(tmp_path, trees(target("u", 'source = "other"')))
    assert planner.make_plan(other, "/given") == planner.make_plan(other)


def test_the_files_of_a_source_replace_the_known_places(tmp_path):
    """Patterns in the spec's order; the step fills them in for its NIC."""
    sources = (
        '[source.only]\nroms = "roms"\nfiles = ["x/{nic}-{vendor}.{device}", "{target}", "plain"]\n'
    )
    rom = plan(tmp_path, spec(target("t", ""), sources=sources)).targets["t"][0]
    request = rom.requests[0]
    assert isinstance(request, RomFileRequest)
    assert request.files == ("x/{nic}-{vendor}.{device}", "{target}", "plain")
    assert [expand_pattern(file, rom.nic, rom.ids, rom.target) for file in request.files] == [
        "x/b-10ec.8139",
        "t",
        "plain",
    ]


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
    text = spec(target("t", 'source = "one"', file=file)).replace(
        'dir = "t"', f'dir = "{directory}"'
    )
    rom = plan(tmp_path, text).targets["t"][0]
    assert (rom.path, rom.task) == (wanted, f"rom:{wanted}")


def test_bucket_padding_and_ids_reach_the_step(tmp_path):
    """All that a step depends on, but for the content of files, stands in it."""
    extra = (
        '[nic.c]\nid = "1af4:1000"\naccept_ids = ["1AF4:1041"]\n'
        '[bucket.c]\nsize = "128KiB"\npad = false\n'
    )
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
    assert (rom.ids, rom.accept_ids, rom.fix_ids) == (
        PciId(0x1AF4, 0x1000),
        (PciId(0x1AF4, 0x1041),),
        True,
    )
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
            os: [
                "open",
                "stat",
                "lstat",
                "listdir",
                "scandir",
                "access",
                "readlink",
                "mkdir",
                "getcwd",
                "chdir",
            ],
            os.path: ["exists", "isfile", "isdir", "realpath"],
            pathlib.Path: ["open", "stat", "exists", "resolve", "is_file", "is_dir", "iterdir"],
        }.items():
            for name in names:
                patch.setattr(module, name, refuse)
        yield


@pytest.fixture(params=["whole", "sources", "trees", "checkout", "small"])
def good(request: pytest.FixtureRequest, tmp_path: Path) -> Spec:
    names = ["one", "two", "three", "four", "tree"]
    texts = {
        "whole": WHOLE,
        "sources": spec(*(target(name, f'source = "{name}"') for name in names)),
        "trees": trees(
            target("t", 'source = "ipxe"', '"pcbios", "arm64-efi"'),
            target("u", 'source = "other"'),
            platform='config = "qemu"\nembed = ["~/boot.ipxe"]\nstrip = { drop = ["obj_wpa"] }',
        ),
        "checkout": (TOP / "romspec.toml").read_text(),
        "small": spec_text("roms"),
    }
    return load(tmp_path, texts[request.param])


def test_the_plan_asks_nothing_of_the_file_system(good, no_files):
    """It is made with every way to files shut."""
    assert planner.make_plan(good).targets
    assert planner.make_plan(good, "/given").targets


def test_the_same_spec_gives_the_same_plan(good, tmp_path, monkeypatch):
    """Whatever the working directory; steps compare and hash by what they say."""
    first = planner.make_plan(good)
    monkeypatch.chdir("/")
    second = planner.make_plan(loader.load_spec(tmp_path / "romspec.toml"))
    assert first == second
    assert repr(first) == repr(second)
    assert (
        len(set(first.steps()))
        == len(list(first.steps()))
        == len({step.task for step in first.steps()})
    )
    assert [hash(step) for step in first.steps()] == [hash(step) for step in second.steps()]


def test_steps_are_frozen(good):
    """No step can be changed once it is planned."""
    made = planner.make_plan(good)
    for step in (made, *made.steps(), next(made.roms()).requests[0]):
        with pytest.raises(AttributeError):
            step.path = "x"  # type: ignore[misc, union-attr]
