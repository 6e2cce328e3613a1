# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge why`: what fills an image, what needs it, and what would leave; links check it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from romforge.analysis.reference_graph import SectionPlace
from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map
from romforge.formats.ld_map import LinkMap, object_name
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import image_build, make_rules, source_tree, toolchain
from tests.support import yardstick
from tests.support.linked import ROM, SPEC, Built, minipxe, project, tree_of_200
from tests.support.project import TOP, run

pytestmark = pytest.mark.slow

SMALL, LARGE = 20, 6  # objects of minipxe and of the large tree whose chains are confirmed


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return project(tmp_path_factory.mktemp("small"), minipxe)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return project(tmp_path_factory.mktemp("large"), tree_of_200)


@pytest.fixture(scope="module", params=["small", "large"], ids=["minipxe", "200 sources"])
def built(request: pytest.FixtureRequest) -> Built:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Built)
    return made


def loaded(file: Path) -> dict[str, int]:
    """By binutils, what a linked file has in it of the program's memory: bytes by section."""
    output = subprocess.run(
        ["readelf", "-SW", file], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(
        r"\] (\S+) +(\S+) +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +([A-Z]*)", output
    )
    return {
        name: int(size, 16)
        for name, kind, size, flags in rows
        if "A" in flags and kind != "NOBITS" and int(size, 16)
    }


# Linking again


FORMATS = {"pcbios": "elf32-i386", "x86_64-efi": "elf64-x86-64"}


class Relink:
    """Links an image as its make did, but for what is left out."""

    def __init__(self, built: Built, make: TreeBuild, directory: Path) -> None:
        self.src, self.make, self.directory = built.stage(make).parent.parent, make, directory
        self.archive = f"{make.bin}/blib.a"
        self.stage = f"{make.bin}/{built.stage(make).name}"
        tree = source_tree.Trees(built.top / "out").of(make)
        self.words = [*make_rules.rules_arguments(), *image_build.variables(make, tree, self.src)]
        output = self.run_make("-n", "-W", self.archive, self.stage).replace("\\\n", " ")
        command = next(line for line in output.splitlines() if f" -o {self.stage}" in line)
        # make removes the version object after a link: one of our own takes its place
        version = f"{make.bin}/version.{Path(self.stage).stem}.o"
        self.run_make(version)
        ours = directory / Path(version).name
        (self.src / version).rename(ours)
        self.command = command.replace(version, str(ours))

    def run_make(self, *words: str) -> str:
        return subprocess.run(
            ["make", *self.words, *words],
            cwd=self.src,
            env=toolchain.make_environment(os.environ),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def link(
        self, members: dict[str, Path], roots: tuple[str, ...] = (), defined: tuple[str, ...] = ()
    ) -> LinkMap:
        """The map of a link of these objects of the archive.

        The link lacks some roots, and defines symbols that no object defines any more.
        """
        archive, made = self.directory / "other.a", self.directory / "other.tmp"
        archive.unlink(missing_ok=True)
        format_ = (
            f"--target={FORMATS[self.make.platform]}"  # else ar loads a plugin for each object
        )
        subprocess.run(["ar", format_, "rcD", archive, *members.values()], check=True)
        command = self.command.replace(
            f" {self.archive} -o {self.stage} ", f" {archive} -o {made} "
        )
        command = command.replace(f"-Map {self.stage}.map", f"-Map {made}.map") + "".join(
            f" --defsym {symbol}=0" for symbol in defined
        )
        for root in roots:
            command = re.sub(rf"-u {root} --defsym check_{root}={root}(?= )", "", command)
        assert str(made) in command
        assert all(f"-u {root} " not in command for root in roots)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.src, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return ld_map.parse_map(Path(f"{made}.map").read_text())

    def members(self) -> dict[str, Path]:
        """The objects of the archive, by name."""
        listed = subprocess.run(
            ["ar", "t", self.archive], cwd=self.src, capture_output=True, text=True, check=True
        ).stdout.split()
        return {name.removesuffix(".o"): self.src / self.make.bin / name for name in listed}


def taken(link_map: LinkMap) -> tuple[set[str], set[tuple[str, str]]]:
    """The objects of a link, and its sections that have bytes.

    Sections of strings are left out, since the linker merges strings.
    """
    sections = {
        (object_name(section.object), section.name)
        for section in link_map.kept
        if section.size and ".str" not in section.name
    }
    return set(link_map.objects()), {
        (owner, name) for owner, name in sections if not name.startswith((".debug", ".comment"))
    }


def predicted(graph: Any, places: set[SectionPlace]) -> tuple[set[str], set[tuple[str, str]]]:
    """The same of what is left of the graph."""
    sections = {
        (place.object, graph.objects[place.object].sections[place.section])
        for place in places
        if place.object and place.section >= 0
    }
    return (
        {place.object for place in places if place.section < 0},
        {
            (name, section.name)
            for name, section in sections
            if section.size and ".str" not in section.name
        },
    )


@pytest.fixture(params=["pcbios", "x86_64-efi"])
def relink(request: pytest.FixtureRequest, built: Built, tmp_path: Path) -> tuple[Relink, Any, Any]:
    """The means to link again, the graph, and the sections that every link throws away."""
    make = next(make for make in built.makes if make.platform == request.param)
    again = Relink(built, make, tmp_path)
    link = built.link(make)
    now = taken(again.link(again.members()))
    expected = predicted(link.graph, link.graph.reached())
    assert expected[0] == now[0]
    assert expected[1] >= now[1]
    return again, link.graph, expected[1] - now[1]


def confirmed(graph: Any) -> int:
    """How many objects of a link are cut off by a link: fewer where each takes long."""
    return LARGE if len(graph.objects) > 150 else SMALL


def test_what_a_cut_reference_leaves_is_what_the_linker_leaves(
    relink: tuple[Relink, Any, Any], tmp_path: Path
):
    """For some objects the last reference of the chain is cut.

    Each object leaves, or another chain keeps it, as the graph says.
    """
    again, graph, thrown = relink
    rng = Random("chains")
    chains, askers = graph.chains(), graph.referrers()
    names = sorted(name for name, chain in chains.items() if len(chain) > 1)
    gone = 0
    for name in rng.sample(names, min(confirmed(graph), len(names))):
        asker = chains[name][-2].object
        symbols = askers[name][asker]
        assert chains[name][-1].symbol in symbols
        members = again.members()
        changed = tmp_path / f"{asker}.o"
        renamed = [
            word for symbol in symbols for word in ("--redefine-sym", f"{symbol}=cut_{symbol}")
        ]
        subprocess.run(["objcopy", *renamed, members[asker], changed], check=True)
        left = taken(
            again.link(
                members | {asker: changed}, defined=tuple(f"cut_{symbol}" for symbol in symbols)
            )
        )
        expected = predicted(graph, graph.reached(cut=(asker, name)))
        assert left == (expected[0], expected[1] - thrown), f"{asker} -> {name}"
        gone += name not in left[0]
    assert gone > 0


def test_what_leaves_with_an_object_or_a_root_is_what_the_linker_leaves_out(
    relink: tuple[Relink, Any, Any],
):
    """The archive loses an object, and nothing defines its symbols; the command loses a root."""
    again, graph, thrown = relink
    rng = Random("objects")
    required = {graph.definer[symbol] for symbol in graph.roots} | set(graph.command_line_objects)
    names = sorted(set(graph.objects) - required)
    for name in rng.sample(names, min(confirmed(graph) // 2, len(names))):
        members = {other: path for other, path in again.members().items() if other != name}
        left = taken(again.link(members, defined=tuple(graph.objects[name].defines)))
        expected = predicted(graph, graph.reached(objects=(name,)))
        assert left == (expected[0], expected[1] - thrown), name
    for root in graph.roots:
        if root.endswith("_start"):
            continue  # the entry, which -e asks for as well
        left = taken(again.link(again.members(), roots=(root,)))
        expected = predicted(graph, graph.reached(roots=(root,)))
        assert left == (expected[0], expected[1] - thrown), root


def test_the_roots_are_those_of_make(built: Built):
    """All that make gives to -u, whether or not each brought an object in."""
    for make in built.makes:
        command = Relink(built, make, built.top).command
        assert set(re.findall(r"-u (\S+)", command)) == set(built.link(make).graph.roots)


# What the command reports


def test_sizes_add_up_to_the_sections_of_the_linked_file(built: Built):
    """To the byte, by directories too.

    Estimates of compressed sizes are within 2 % of the image in the ROM.
    """
    sizes = {one["kind"]: one["size"] for one in inspected(built)}
    for image, make in zip(built.why(ROM), built.makes):
        assert image["sections"] == loaded(built.stage(make))
        assert sum(part["size"] for part in image["parts"]) + image["padding"] == sum(
            image["sections"].values()
        )
        assert all(sum(part["sections"].values()) == part["size"] for part in image["parts"])
        assert image["size"] == sizes["legacy" if make.legacy else "x86_64"]
        packed = sum(part["compressed"] for part in image["parts"]) + image["padding_compressed"]
        assert abs(packed - image["size"]) <= image["size"] * 0.02
        assert image["padding"] < sum(image["sections"].values()) * 0.05


def inspected(built: Built) -> list[dict[str, Any]]:
    done = run([sys.executable, "-m", "romforge", "inspect", "--json", f"out/{ROM}"], built.top)
    images = json.loads(done.stdout)["roms"][0]["images"]
    return [{"kind": image["kind"], "size": image["size"]} for image in images]


def test_an_answer_takes_fifty_loops_at_most(built: Built):
    """For both images, of the tree of 200 sources too; minipxe's take 8."""
    assert yardstick.ratio(lambda: built.why(ROM), enough=50) <= 50


def test_an_object_and_a_root_are_told_of(small: Built):
    text = small.said("crc32", "--in", "pcbios/8086100e")
    assert "crc32 (crypto) in pcbios/8086100e" in text
    assert "the root obj_config, which is in config" in text
    assert "crc_cmd refers to crc32, which is in crc32" in text
    assert small.why("crc32", "--in", "bin/8086100e.rom")["asked_by"] == {"crc_cmd": ["crc32"]}
    (command,) = [
        line
        for line in small.said("crc_cmd", "--in", "pcbios/8086100e").splitlines()
        if line.startswith("without it")
    ]
    assert command.endswith("with crc32")  # which nobody else calls
    assert "config" in small.why("obj_config", "--in", "pcbios/8086100e")["with_it"]
    text = small.said("efi_snp", "--in", ROM)  # in the second of its images
    assert "efi_snp (interface/efi) in x86_64-efi/8086100e" in text
    text = small.said("pcbios/8086100e")
    assert re.search(
        r"^ +crc32 +[0-9,]+ +[0-9,]+ +\d+ % +[0-9,]+ +crc_cmd ← config ← obj_config$",
        text,
        re.MULTILINE,
    )
    assert re.search(r"^ +crypto/ +[0-9,]+", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["e100.rom"], 'the spec has no "e100.rom" (did you mean "e1000.rom"?)'),
        (
            ["crc3", "--in", "pcbios/8086100e"],
            'pcbios/8086100e: there is no object or root crc3 (did you mean "crc32"?)',
        ),
        (
            ["crc32", "--in", "pcbios/8086100f"],
            'the spec has no "pcbios/8086100f" (did you mean "pcbios/8086100e"?)',
        ),
        ([ROM, "--against", "nowhere"], "nowhere: cannot be read: No such file or directory"),
        (
            [ROM, "--against", "romspec.toml"],
            "romspec.toml: is neither an output root nor the output of",
        ),
        ([ROM, "--against", "tree"], "cannot be read"),
    ],
)
def test_what_is_not_there_is_told(small: Built, words: list[str], told: str):
    assert told in small.why(*words, status=2 if told.startswith("the spec has no") else 1)


def test_an_image_that_is_not_built_as_it_would_be_now_is_told_of(tmp_path: Path):
    """With a word; where its objects are others by now, nothing true can be told."""
    built = project(tmp_path, minipxe, more='[nic.virtio]\nid = "1af4:1000"\n')
    before = built.why("pcbios/8086100e")
    driver = tmp_path / "tree/src/crypto/crc32.c"
    driver.write_text(
        driver.read_text() + "\nint more ( void );\nint more ( void ) { return 1; }\n"
    )
    done = run([sys.executable, "-m", "romforge", "why", "pcbios/8086100e", "--json"], tmp_path)
    assert (done.returncode, json.loads(done.stdout)["images"]) == (0, before)
    assert "8086100e.rom is shown as it was built: since then crypto/crc32.c changed" in done.stderr
    assert run([sys.executable, "-m", "romforge", "build", "nic:virtio"], tmp_path).returncode == 0
    assert "8086100e.rom must be built first: crypto/crc32.c changed" in built.why(
        "pcbios/8086100e", status=1
    )
    assert built.why("pcbios/1af41000")


def test_without_pyelftools_the_package_is_named(small: Built, tmp_path: Path):
    """As in a checkout whose Python has the libraries of a build alone."""
    (tmp_path / "elftools.py").write_text("raise ImportError\n")
    done = run(
        [sys.executable, "-m", "romforge", "why", ROM],
        small.top,
        PYTHONPATH=f"{tmp_path}:{TOP}/src",
    )
    assert (done.returncode, done.stderr) == (
        1,
        "romforge: the Python module elftools: not found; "
        "install the Debian package python3-pyelftools\n",
    )
    for words in (["--help"], ["why", "--help"], ["check"]):
        command = [sys.executable, "-m", "romforge", *words]
        assert run(command, small.top, PYTHONPATH=f"{tmp_path}:{TOP}/src").returncode == 0


def test_existing_roms_have_no_objects(tmp_path: Path, releases: dict[str, Path]):
    text = (
        SPEC.format("")
        .replace('tree = "tree"', f'roms = "{releases["sid"]}"')
        .replace('strip = { keep = ["obj_config", "obj_config_efi"] }', "")
    )
    (tmp_path / "romspec.toml").write_text(text)
    done = run([sys.executable, "-m", "romforge", "why", ROM], tmp_path)
    assert (
        done.returncode,
        "is made of images from existing ROMs, whose objects are not known" in done.stderr,
    ) == (1, True), done.stderr


def test_another_build_is_compared_with(tmp_path: Path, small: Built):
    """What is new, gone, grown and shrunk: against an output root, and against its JSON output."""
    (tmp_path / "before.json").write_text(json.dumps({"images": small.why(ROM)}))
    built = project(tmp_path, minipxe)
    src = tmp_path / "tree/src"
    (src / "core/extra.c").write_text("#include <minipxe.h>\nconst char extra[100] = { 1 };\n")
    shell = src / "core/shell.c"
    shell.write_text(shell.read_text() + "\nREQUIRE_OBJECT ( extra );\nREQUIRE_OBJECT ( dhcp );\n")
    config = src / "config/config.c"
    config.write_text(
        re.sub(
            r"#ifdef DOWNLOAD_PROTO_TFTP\n.*?#endif\n|REQUIRE_OBJECT \( tftp \);\n",
            "",
            config.read_text(),
            flags=re.DOTALL,
        )
    )
    crc = src / "crypto/crc32.c"
    table = (
        '\nconst char *const more[8] __attribute__ (( section ( ".tbl.files" ), used )) = { 0 };\n'
    )
    crc.write_text(crc.read_text() + table)
    done = run([sys.executable, "-m", "romforge", "build"], tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [
        built.why("pcbios/8086100e", "--against", older)
        for older in (small.top / "out", tmp_path / "before.json")
    ]
    assert answers[0] == answers[1]
    (image,) = answers[0]
    changes = {
        row["object"]: ((row["is"] or 0) - (row["was"] or 0), row["was"] is None, row["is"] is None)
        for row in image["objects"]
    }
    assert changes["tftp"][2]
    assert changes["extra"][1]
    assert changes["crc32"] == (32, False, False)
    assert image["is"] - image["was"] != 0
    text = built.said("pcbios/8086100e", "--against", small.top / "out")
    assert re.search(r"^ +tftp +gone +-[0-9,]+$", text, re.MULTILINE)
    assert re.search(r"^ +crc32 +grown +\+32 +crc_cmd ← config ← obj_config$", text, re.MULTILINE)
    assert "no object changed in size" in small.said(ROM, "--against", small.top / "out")


# Objects and links that are not as they should be


def test_broken_objects_are_told(tmp_path: Path):
    path = tmp_path / "x.o"
    for data in (b"", b"words of a text file"):
        path.write_bytes(data)
        with pytest.raises(RomforgeError, match="not an ELF file"):
            elf.read_object(path)
    source = tmp_path / "x.c"
    source.write_text('extern int f(const char *); int g(void) { return f("words"); }\n')
    subprocess.run(["gcc", "-c", source, "-o", path], check=True)
    whole = path.read_bytes()
    assert elf.read_object(path).wants == ("f",)
    rng = Random("elf")
    broken = 0
    for _ in range(500):  # an answer or words, no traceback
        changed = bytearray(whole[: rng.choice([len(whole), rng.randrange(1, len(whole))])])
        for _ in range(rng.randrange(4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            elf.read_object(path)
        except RomforgeError:
            broken += 1
    assert broken > 100
