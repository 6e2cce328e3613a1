# SPDX-License-Identifier: GPL-2.0-or-later
"""The loader: the result for a valid spec, and the exact errors for each kind of mistake.

golden/NAME.toml is a spec, and golden/NAME.txt its errors.
``python -m tests.unit.spec.test_loader`` writes the errors again. Read each before you commit it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from romforge.base import errors
from romforge.base.arch import BY_NAME, Arch
from romforge.base.errors import SpecError
from romforge.base.pci_id import PciId
from romforge.spec import fields, loader, value_types
from romforge.spec.model import Platform, Spec, firmware_of
from romforge.spec.value_types import Variable
from tests.support.project import TOP, spec_text
from tests.support.specs import MISTAKES, SHA, WHOLE
from tests.support.yardstick import loop, ratio, spent

GOLDEN = Path(__file__).parent / "golden"
SPECS = sorted(path.stem for path in GOLDEN.glob("*.toml"))
BASE = spec_text("roms")


def load(directory: Path, text: str | bytes, out: Path | None = None) -> Spec:
    """Reads a spec, which may be a part of one."""
    path = directory / "romspec.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return loader.load_spec(path, out, complete=False)


def load_error(directory: Path, text: str | bytes, out: Path | None = None) -> str:
    """The errors of a spec."""
    with pytest.raises(SpecError) as caught:
        load(directory, text, out)
    return str(caught.value)


def errors_of(path: Path) -> str:
    """The errors of a golden spec."""
    with pytest.raises(SpecError) as caught:
        loader.load_spec(path)
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", SPECS)
def test_the_text_of_errors(name):
    """One run reports all problems of a spec, with the messages that were approved."""
    assert errors_of(GOLDEN / f"{name}.toml") == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", [name for name in SPECS if name.startswith("toml-")])
def test_syntax_errors_are_the_same_with_the_other_parser(name, monkeypatch):
    """The messages of tomllib and tomli, which Python 3.10 needs, become the same text."""
    tomli = pytest.importorskip("tomli")
    monkeypatch.setitem(sys.modules, "tomllib", tomli)
    assert errors_of(GOLDEN / f"{name}.toml") == (GOLDEN / f"{name}.txt").read_text()


def test_each_golden_text_belongs_to_a_spec():
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == SPECS


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def test_every_problem_has_its_line_and_the_line_itself():
    """The number is that of the source line below, and problems are in the order of the file."""
    for name in SPECS:
        source = (GOLDEN / f"{name}.toml").read_bytes().decode("utf-8", "replace").split("\n")
        lines = (GOLDEN / f"{name}.txt").read_text()
        numbers = [int(number) for number in re.findall(rf"^{name}\.toml:(\d+):", lines, re.M)]
        assert numbers == sorted(numbers)
        for number, quoted in re.findall(r"^ *(\d+) \| (.*)$", lines, re.M):
            assert quoted == printable(source[int(number) - 1][:120]).strip()


def test_a_valid_spec_is_read_into_types(tmp_path):
    """Each value is converted to the form that the program uses."""
    spec = load(tmp_path, WHOLE)
    assert spec.path == tmp_path / "romspec.toml"
    variables = {one.name: one.value for one in spec.source["ipxe"].make}
    assert variables == {"NO_WERROR": "1", "V": "1", "LTO": "1", "EMPTY": ""}
    assert (spec.source["ipxe"].tree, spec.source["ipxe"].fallback) == (
        "vendor/ipxe",
        "vendor/minipxe",
    )
    assert (spec.source["deb"].roms, spec.source["deb"].sha256) == ("ipxe-qemu.deb", SHA)
    general = spec.config["qemu"]["general"]
    assert (general.define, general.undef, general.set) == (
        ("DOWNLOAD_PROTO_HTTPS",),
        ("CONSOLE_SERIAL",),
        (("BANNER_TIMEOUT", "30"),),
    )
    platform = spec.platform["x86_64-efi"]
    assert platform.make == (Variable("EXTRA", "efi"),)
    assert (platform.require, platform.debug) == (
        ("snpnet", "efi-driver"),
        ("e1000", "http:2", "efi-driver"),
    )
    assert (platform.embed, platform.trust) == (
        ("boot/qemu.ipxe", "/srv/logo.png"),
        ("certs/ca.crt",),
    )
    assert platform.cert == ("certs/ca.crt", "~/client.crt")
    strip = platform.strip
    assert strip is not None
    assert (strip.drop, strip.keep) == (("obj_wpa",), ("obj_config",))
    assert (spec.nic["e1000"].id, spec.nic["e1000"].goal) == (
        PciId(0x8086, 0x100E),
        "8086100e--8086100f",
    )
    assert spec.nic["e1000"].accept_ids == (PciId(0x8086, 0x100F), PciId(0x8086, 0x1010))
    assert [bucket.size for bucket in spec.bucket.values()] == [256 << 10, 1 << 20, 128 << 10]
    assert list(spec.target) == ["qemu", "signed", "all"]
    assert spec.target["signed"].sign is not None
    assert spec.target["signed"].sign.key == "keys/db.key"
    assert spec.target["all"].limit == 56 << 10
    assert spec.target["qemu"].nics == ("e1000",)
    assert platform.launcher == ("nice", "-n", "5", "my launcher")
    assert (spec.toolchain.launcher, spec.toolchain.jobs) == (
        ("env", "CCACHE_DIR=/srv/ccache", "ccache"),
        16,
    )


def test_defaults(tmp_path):
    """The values of keys that a spec leaves out."""
    spec = load(tmp_path, BASE)
    source, platform, target = spec.source["roms"], spec.platform["pcbios"], spec.target["efi"]
    assert (source.files, source.sha256, source.fallback, source.config, source.make) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert (platform.bin, platform.media, platform.cross, platform.strip) == (
        None,
        None,
        None,
        None,
    )
    assert (platform.require, platform.embed, platform.trust, platform.cert, platform.debug) == (
        (),
        (),
        (),
        (),
        (),
    )
    assert (platform.launcher, spec.toolchain.launcher, spec.toolchain.jobs) == (None, (), None)
    assert (target.nics, target.source, target.fix_ids, target.default) == (None, None, False, True)
    assert (spec.nic["e1000"].goal, spec.nic["e1000"].accept_ids, spec.bucket["efi"].pad) == (
        None,
        (),
        True,
    )


def test_a_star_means_all_nics(tmp_path):
    """As if the key is left out. An empty list means no NIC."""
    star = BASE.replace('file = "efi', 'nics = "*"\nfile = "efi')
    empty = BASE.replace('file = "efi', 'nics = []\nfile = "efi')
    assert load(tmp_path, star).target["efi"].nics is None
    assert load(tmp_path, empty).target["efi"].nics == ()


def test_an_empty_launcher_overrides_that_of_the_toolchain(tmp_path):
    text = BASE.replace("[platform.pcbios]", '[platform.pcbios]\nlauncher = ""')
    spec = load(tmp_path, f'{text}[toolchain]\nlauncher = "ccache"\n')
    assert spec.toolchain.launcher == ("ccache",)
    assert spec.platform["pcbios"].launcher == ()
    assert spec.platform["x86_64-efi"].launcher is None


def test_a_spec_cannot_be_changed(tmp_path):
    """Tables and their mappings are read-only."""
    spec = load(tmp_path, WHOLE)
    for table in (spec, spec.nic["e1000"], spec.config["qemu"]["general"], spec.target["qemu"]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            table.path = None  # type: ignore[union-attr, misc]
    for mapping in (spec.nic, spec.config, spec.config["qemu"], spec.target):
        with pytest.raises(TypeError):
            mapping["new"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "directory", "expected"),
    [
        ("pcbios", None, (Arch.I386, "pcbios")),
        ("efi", None, (Arch.I386, "efi")),
        ("any", "bin", (Arch.I386, "pcbios")),
        ("any", "bin-pcbios", (Arch.I386, "pcbios")),
        ("any", "bin-i386-pcbios", (Arch.I386, "pcbios")),
        ("any", "bin-x86_64-pcbios", (Arch.X86_64, "pcbios")),
        ("any", "bin-x86_64-efi-sb", (Arch.X86_64, "efi")),
        *((f"{name}-efi", None, (arch, "efi")) for name, arch in BY_NAME.items()),
        *((f"{name}-efi-sb", None, (arch, "efi")) for name, arch in BY_NAME.items()),
        *(
            (name, None, None)
            for name in (
                "bios",
                "x86_64",
                "x86-64-efi",
                "arm64-pcbios",
                "i386-pcbios-sb",
                "x86_64-linux",
                "efi-x86_64",
                "",
            )
        ),
        *(
            ("any", name, None)
            for name in (
                "BIN",
                "bin-",
                "bin-x86_64",
                "bin-x86_64-efi-",
                "bin-x86_64-efi-sb-sb",
                " bin",
                "bin\n",
                "a/bin",
            )
        ),
    ],
)
def test_architecture_and_firmware_of_a_bin_directory(name, directory, expected):
    """For every form of iPXE's BIN directories; None for other names."""
    assert firmware_of(name, Platform(bin=directory)) == expected


def test_the_error_of_a_missing_file_shows_how_to_name_another(tmp_path):
    path = tmp_path / "romspec.toml"
    with pytest.raises(SpecError) as caught:
        loader.load_spec(path)
    assert str(caught.value) == (
        f"{path}: the spec cannot be read: No such file or directory;"
        " name another file with ROMSPEC=FILE or --spec FILE, or write one by romforge init"
    )


def test_a_directory_is_not_a_spec(tmp_path):
    with pytest.raises(
        SpecError, match="the spec cannot be read: Is a directory; name another file"
    ):
        loader.load_spec(tmp_path)


def test_a_file_too_large_is_not_parsed(tmp_path):
    """Such as a ROM."""
    assert (
        load_error(tmp_path, b"#" * (loader.LARGEST_FILE + 1))
        == f"{tmp_path}/romspec.toml: the file is larger than 256 KiB, the limit for a spec"
    )


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "{a=" * 20_000, "a = " + "[" * 3_000 + "]" * 3_000]
)
def test_deep_nesting_is_refused(tmp_path, text):
    """The parser's RecursionError becomes a message."""
    assert load_error(tmp_path, "spec = 1\n" + text) == "romspec.toml: nested too deeply for a spec"


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 90_000 + " = 1",
        "[a" + " . 'a'" * 30_000 + "]",
        'x = { "a"' + '."a"' * 50_000 + " = 1 }",
    ],
)
def test_long_dotted_keys_are_refused_at_once(tmp_path, text, monkeypatch):
    """The parser would take hours, so it does not run. A hundredth of a loop is enough."""
    with monkeypatch.context() as without_parser:
        without_parser.setattr(
            "tomllib.loads" if sys.version_info >= (3, 11) else "tomli.loads", None
        )
        assert (
            load_error(tmp_path, "spec = 1\n" + text)
            == "romspec.toml:2: nested too deeply for a spec"
        )
    assert ratio(lambda: load_error(tmp_path, "spec = 1\n" + text), enough=1) <= 1


def test_many_dots_in_a_string_are_not_nesting(tmp_path):
    """A list of a hundred files in a line."""
    files = ", ".join(f'"a.b.c.{number}.rom"' for number in range(100))
    spec = load(tmp_path, BASE.replace('roms = "roms"', f'roms = "roms"\nfiles = [{files}]'))
    assert len(spec.source["roms"].files or ()) == 100


def test_a_link_out_of_the_output_root_is_reported(tmp_path):
    out, away = tmp_path / "out", tmp_path / "away"
    (out / "usr").mkdir(parents=True)
    away.mkdir()
    (out / "usr/share").symlink_to(away)
    message = f"leaves the output root by a symbolic link to {away}/qemu; remove the link"
    assert load_error(tmp_path, BASE, out) == (
        f"romspec.toml:14: target.efi.dir: {message}\n"
        '    14 | dir = "usr/share/qemu"\n'
        f"romspec.toml:19: target.pxe.dir: {message}\n"
        '    19 | dir = "usr/share/qemu"'
    )
    assert load(tmp_path, BASE)


def test_links_within_the_output_root_are_allowed(tmp_path):
    """The root may be a link, too."""
    real, out = tmp_path / "real", tmp_path / "out"
    (real / "lib").mkdir(parents=True)
    (real / "usr").symlink_to("lib")
    out.symlink_to(real)
    assert load(tmp_path, BASE, out)


def test_a_wrong_value_hides_no_other_problem(tmp_path):
    """A wrong value of one key does not stop the check of references in others."""
    text = BASE.replace('bucket = "efi"', "bucket = 5").replace(
        'images = ["pcbios"]', 'images = ["pxbios"]'
    )
    errors = load_error(tmp_path, text)
    assert "target.efi.bucket: 5 is not a string" in errors
    assert 'target.pxe.images[0]: there is no platform "pxbios" (did you mean "pcbios"?)' in errors
    assert errors.count("romspec.toml:") == 2


@pytest.mark.parametrize(
    "variable", ["no_werror", "CONFIGS", "HOST_CC", "V", "EXTRA_CFLAGS", "bin", "DEBUG_LEVEL"]
)
def test_other_variables_are_allowed(tmp_path, variable):
    """Only the variables that a key replaces are refused. Golden cases have those."""
    spec = load(
        tmp_path, BASE.replace('roms = "roms"', f'tree = "ipxe"\nmake = {{ {variable} = 1 }}')
    )
    assert spec.source["roms"].make == (Variable(variable, "1"),)


ENVIRONMENT = BASE.replace(
    'roms = "roms"', 'tree = "ipxe"\nmake = { VERSION = { env = "MY_VERSION"%s }, V = 1 }'
)


def test_a_variable_may_come_from_the_environment(tmp_path, monkeypatch):
    """What the environment has comes before the default."""
    monkeypatch.setenv("MY_VERSION", "2.0.0-1")
    spec = load(tmp_path, ENVIRONMENT % "")
    version = Variable("VERSION", "2.0.0-1", "MY_VERSION")
    assert spec.source["roms"].make == (Variable("V", "1"), version)
    assert load(tmp_path, ENVIRONMENT % ', default = "x"').source["roms"].make[1] == version
    monkeypatch.delenv("MY_VERSION")
    default = load(tmp_path, ENVIRONMENT % ', default = "x"').source["roms"].make[1]
    assert default == Variable("VERSION", "x", "MY_VERSION")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "the environment has no MY_VERSION; export it, or write default = VALUE"),
        (", defualt = 1", 'write { env = "NAME" }, or { env = "NAME", default = "VALUE" }'),
        (", default = [1]", "a list is neither a string nor an integer"),
    ],
)
def test_a_variable_that_the_environment_lacks_is_an_error(tmp_path, monkeypatch, more, message):
    monkeypatch.delenv("MY_VERSION", raising=False)
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        load(tmp_path, ENVIRONMENT % more)
    assert ": source.roms.make.VERSION: " in str(caught.value)


HEADERS = BASE + '[config.mine]\nheaders = "headers"\n'


def test_headers_may_be_files(tmp_path):
    """Their text is kept as it is; the macros are told with their lines."""
    (tmp_path / "headers").mkdir()
    text = "/* ours */\n#undef A\n#ifdef B\n  # define\tC 3\n#endif\n"
    (tmp_path / "headers/general.h").write_text(text)
    (tmp_path / "headers/README").touch()
    spec = load(tmp_path, HEADERS + '[config.mine.console]\ndefine = ["D"]\n')
    files = spec.header_files["mine"]
    assert {name: file.text for name, file in files.items()} == {"general": text}
    assert files["general"].file == "headers/general.h"
    assert files["general"].macros == (("A", 2), ("C", 4))
    assert list(spec.config["mine"]) == ["console"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "headers: cannot be read: No such file or directory"),
        ({}, "headers: has no file *.h"),
        ({"a.h": b"\n\xff"}, "headers/a.h:2: is not valid UTF-8"),
        ({"a.h": b" " * 70_000}, "headers/a.h: is larger than 64 KiB, the limit for a header"),
    ],
)
def test_headers_that_cannot_be_read_are_an_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "headers").mkdir()
        for name, data in content.items():
            (tmp_path / "headers" / name).write_bytes(data)
    with pytest.raises(SpecError, match=re.escape(f"config.mine.headers: {message}")):
        load(tmp_path, HEADERS)


def test_headers_must_be_a_directory_in_quotes(tmp_path):
    """A table of that name would be a header, which iPXE does not have."""
    for value in ("headers = 3", 'headers = ""', "headers = { define = [] }"):
        with pytest.raises(SpecError, match=r'config.mine.headers: .*; write headers = "DIR"'):
            load(tmp_path, BASE + f"[config.mine]\n{value}\n")


@pytest.mark.parametrize(
    ("section", "lines"),
    [
        ("source", 'tree = "~no-such-user/ipxe"'),
        ("source", 'tree = "ipxe"\nfallback = "~no-such-user/ipxe"'),
        ("source", 'roms = "~no-such-user/roms"'),
        *(("platform", f'{key} = ["~no-such-user/file"]') for key in ("embed", "trust", "cert")),
    ],
)
def test_the_home_directory_of_an_unknown_user_is_reported(tmp_path, section, lines):
    """For every key that takes a path outside the output root."""
    name = {"source": "roms", "platform": "pcbios"}[section]
    text = BASE.replace("[platform.pcbios]", f"[platform.pcbios]\n{lines}")
    if section == "source":
        text = BASE.replace('roms = "roms"', lines)
    key = lines.split("\n")[-1].split(" = ")[0]
    assert re.search(
        rf"{section}\.{name}\.{key}(\[0\])?: .* home directory of an unknown user",
        load_error(tmp_path, text),
    )


@pytest.mark.parametrize("key", ["embed", "trust", "cert"])
@pytest.mark.parametrize(
    ("file", "valid"),
    [
        ("boot.ipxe", True),
        ("~/boot.ipxe", True),
        ("/a b/c,d/Boot-2_x.+ipxe", True),
        ("../boot.ipxe", True),
        ("two words.ipxe", False),
        ("a,b", False),
        ("$(shell)", False),
        ("a/b:c", False),
        ("größe", False),
        ("a\\nb", False),
        ("/", False),
    ],
)
def test_files_for_make_have_plain_names(tmp_path, key, file, valid):
    """iPXE's makefiles split lists of files at spaces and commas. Directories may have any name."""
    text = BASE.replace("[platform.pcbios]", f'[platform.pcbios]\n{key} = ["valid", "{file}"]')
    if valid:
        assert getattr(load(tmp_path, text).platform["pcbios"], key)[0] == "valid"
    else:
        errors = load_error(tmp_path, text)
        assert f"platform.pcbios.{key}[1]: " in errors
        assert errors.count("romspec.toml:") == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('roms = "roms"', "roms = 5"),
        ('roms = "roms"', 'roms = "roms"\nfiles = 5'),
        ('roms = "roms"', 'tree = "roms"\nfallback = 5'),
        ('roms = "roms"', 'tree = "roms"\nconfig = 5'),
        ('roms = "roms"', 'tree = "roms"\nmake = { CONFIG = 1.5 }'),
        ("[platform.pcbios]", "[platform.pcbios]\nsource = 5"),
        ("[platform.pcbios]", "[platform.pcbios]\nembed = 5"),
        ("[platform.pcbios]", "[platform.pcbios]\nembed = [5]"),
        ("[platform.pcbios]", '[platform.pcbios]\ntrust = [""]'),
        ("[platform.pcbios]", "[platform.pcbios]\ndebug = [5]"),
        ("[platform.pcbios]", "[platform.pcbios]\nstrip = { keep = [5] }"),
        ('id = "8086:100e"', 'id = "8086:100e"\ngoal = 5'),
        ("[platform.x86_64-efi]", "[platform.x86_64-efi]\nbin = 5"),
        ("[platform.x86_64-efi]", "[platform.x86_64-efi]\nmedia = 5"),
        ('id = "8086:100e"', ""),
        ('size = "256KiB"', "size = 5"),
        ('dir = "usr/share/qemu"\nfile = "efi', 'file = "efi'),
        ('dir = "usr/share/qemu"\nfile = "efi', 'dir = 5\nfile = "efi'),
        ('file = "efi-{nic}.rom"', "file = 5"),
        ('images = ["pcbios"]', "images = 5"),
        ('images = ["pcbios"]', "images = [5]"),
        ('bucket = "pxe"', 'bucket = "pxe"\nnics = 5'),
        ('bucket = "pxe"', 'bucket = "pxe"\nsource = 5'),
    ],
)
def test_a_mistake_is_reported_once(tmp_path, old, new):
    """The placeholder of a wrong or missing value causes no other error."""
    assert old in BASE
    assert load_error(tmp_path, BASE.replace(old, new)).count("romspec.toml:") == 1


def test_a_section_that_is_not_a_table_is_reported_once(tmp_path):
    text = BASE.replace('[nic.e1000]\nid = "8086:100e"\n', "")
    text = text.replace("spec = 1\n", "spec = 1\nnic = 5\n")
    assert load_error(tmp_path, text).count("romspec.toml:") == 1


def test_every_element_of_a_list_is_reported(tmp_path):
    """Wrong types and unknown names, in the order of the list."""
    images = 'images = [1, "a", "pcbios", true, "b", 2, 3, 4, 5, 6, 7]'
    errors = load_error(tmp_path, BASE.replace('images = ["pcbios"]', images))
    places = re.findall(r"^romspec\.toml:\d+: (.+?):", errors, re.M)
    assert places == [f"target.pxe.images[{index}]" for index in (0, 1, 3, 4, 5, 6, 7, 8, 9, 10)]


def test_a_hundred_problems_are_shown_and_the_rest_is_counted(tmp_path):
    wrong = "".join(f'[nic.n{number}]\nid = "{number}"\n' for number in range(101))
    assert load_error(tmp_path, f"spec = 1\n{wrong}").endswith("\n1 more problem")
    assert load_error(tmp_path, f"spec = 1\n{wrong}x = 1\n").endswith("\n2 more problems")


def test_control_characters_never_reach_the_terminal(tmp_path):
    """Neither those of names and values nor those of source lines."""
    errors = load_error(tmp_path, '[nic."\\u001b[2J"]\nid = "\\u0007\\u009b"\nx = "\u009b31m"\n')
    assert errors.replace("\n", "").isprintable()
    assert 'nic."\\u001b[2J": "\\u001b[2J" is not a valid name' in errors


def test_long_values_are_cut(tmp_path):
    """A value, a key and a line of a thousand characters each."""
    text = f'spec = 1\n[nic.{"x" * 1000}]\nid = "{"y" * 1000}"\n{"z" * 1000} = 1\n'
    errors = load_error(tmp_path, text)
    assert max(map(len, errors.split("\n"))) < 300


def test_numbers_that_python_refuses_to_print_are_reported(tmp_path):
    """Python reads numbers that are too long for it to print."""
    huge = "0x" + "f" * 10_000
    assert "spec: a huge number is not a supported version" in load_error(
        tmp_path, f"spec = {huge}\n"
    )
    assert "bucket.a.size: a huge number is more than 16 MiB" in load_error(
        tmp_path, f"spec = 1\n[bucket.a]\nsize = {huge}\n"
    )
    assert "source.a.make.V: the number is too large" in load_error(
        tmp_path, f'spec = 1\n[source.a]\ntree = "a"\nmake = {{ V = {huge} }}\n'
    )


@pytest.mark.parametrize(
    "text",
    MISTAKES,
    ids=[
        "keys",
        "target",
        "images",
        "nics",
        "clash",
        "arrays",
        "dotted",
        "deep",
        "quoted",
        "dots",
        "word",
        "comment",
    ],
)
def test_a_spec_full_of_mistakes_is_reported_in_time(tmp_path, text):
    """Near misses are only searched for the problems that are shown. The longest takes 11 loops."""
    assert ratio(lambda: load_error(tmp_path, text), enough=30) <= 30


@cache
def time_of_a_loop() -> float:
    return min(spent(loop) for _ in range(3))


def load_soon(directory: Path, text: str | bytes, out: Path | None = None) -> Spec:
    """Loads a spec in the time of ten loops at most; these specs take a twentieth of a loop."""
    began = time.process_time()
    try:
        return load(directory, text, out)
    finally:
        assert time.process_time() - began <= 10 * time_of_a_loop()


QUICK = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.binary(max_size=300) | st.text(max_size=300))
@example(b"\xef\xbb\xbf")
@example("\r")
@example("a = 1\x00")
@QUICK
def test_any_bytes_are_a_spec_or_an_error(tmp_path, data):
    """Never another exception, and never slowly."""
    with contextlib.suppress(SpecError):
        load_soon(
            tmp_path, data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        )


TOML = [
    "5",
    "-1",
    "true",
    '""',
    '"x"',
    '"\\u0000"',
    "[]",
    "[1]",
    '["pcbios"]',
    "{}",
    "{ a = 1 }",
    "1.5",
    "nan",
    "2024-01-01",
    "07:32:00",
    "'''\n'''",
]
KEYS = [
    "id",
    "dir",
    "file",
    "nics",
    "images",
    "spec",
    "strip",
    "files",
    "fallback",
    "make",
    "embed",
    "trust",
    "debug",
    "require",
    "goal",
]
LINES = [
    *WHOLE.split("\n"),
    *(f"{key} = {value}" for key in KEYS for value in TOML),
]
LINES += [
    f"{section} = {value}"
    for section in ("nic", "source.x", "config.y", "target.z", "bucket.w.size")
    for value in TOML
]


@given(st.lists(st.sampled_from(LINES), max_size=12), st.integers(0, 1 << 32))
@QUICK
def test_any_lines_of_specs_are_a_spec_or_an_error(tmp_path, lines, seed):
    """A spec with lines that are replaced by others gives a Spec, or a SpecError with its place."""
    chance = random.Random(seed)
    text = WHOLE.split("\n")
    for line in lines:
        text[chance.randrange(len(text))] = line
    try:
        spec = load_soon(tmp_path, "\n".join(text), tmp_path / "out")
    except SpecError as error:
        assert str(error).startswith("romspec.toml:")  # noqa: PT017  (it may be valid, too)
    else:
        assert all(firmware_of(name, platform) for name, platform in spec.platform.items())


def test_loading_compiles_and_imports_little():
    """A no-op doit imports the loader, but no module that only errors need."""
    code = "import sys; from romforge.spec import loader; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP
    ).stdout.split()
    assert "romforge.spec.loader" in modules
    assert not {
        "json",
        "difflib",
        "romforge.spec.toml_positions",
        "romforge.spec.json_schema",
        "doit",
        "rich",
    } & set(modules)


def test_the_spec_of_the_checkout_is_valid():
    assert len(loader.load_spec(TOP / "romspec.toml").nic) == 8


def test_every_value_type_has_a_hint():
    members = vars(value_types).values()
    types = [member for member in members if isinstance(member, fields.ValueType)]
    assert len(types) > 10
    assert all(value_type.hint.startswith("write ") for value_type in types)
    assert errors.SpecError.exit_status == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            '[config.x.general]\ndefine = ["A"]\nset = { A = 1 }',
            "config.x.general.set: A is in define too",
        ),
        (
            '[config.x.general]\ndefine = ["A"]\nundef = ["A"]',
            "config.x.general.undef: A is in define too",
        ),
        (
            "[config.x.general]\nset = { A = 'b\\\\' }",
            "config.x.general.set.A: ends in a \\, which joins",
        ),
        (
            '[platform.pcbios.strip]\ndrop = ["obj_a"]\nkeep = ["obj_a"]',
            'platform.pcbios.strip.drop[0]: "obj_a" is in keep too',
        ),
        (
            '[platform.pcbios]\nembed = ["a/.."]',
            'platform.pcbios.embed[0]: "a/.." is a directory',
        ),
    ],
    ids=[
        "define and set",
        "define and undef",
        "a line that continues",
        "drop and keep",
        "a directory",
    ],
)
def test_contradictions_are_reported(tmp_path, lines, message):
    """Otherwise a compiler may report them, in a file that the user did not write."""
    assert message in load_error(tmp_path, f"spec = 1\n{lines}\n")


if __name__ == "__main__":
    for spec_name in SPECS:
        (GOLDEN / f"{spec_name}.txt").write_text(errors_of(GOLDEN / f"{spec_name}.toml"))
