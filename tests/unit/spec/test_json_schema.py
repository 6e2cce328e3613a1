# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema for editors accepts and refuses what the loader does, as far as a schema can."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from romforge.base.errors import SpecError
from romforge.base.toml_parser import parse_toml
from romforge.spec import json_schema, loader
from tests.support.project import TOP, spec_text
from tests.support.specs import SHA, WHOLE

VALID = {
    "whole": WHOLE,
    "no tables": "spec = 1\n",
    "conftest's": spec_text("/roms"),
    "the checkout's": (TOP / "romspec.toml").read_text(),
    **{
        f"the example {path.stem}": path.read_text()
        for path in sorted((TOP / "examples").glob("*.toml"))
    },
    "names of images": "spec = 1\n"
    + "".join(
        f'[nic.n{number}]\nid = "1af4:1000"\ngoal = "{goal}"\n'
        for number, goal in enumerate(
            ["rtl8139", "1af41000", "1af41000--1af41041", "virtio-net", "ne2k_pci", "3c509"]
        )
    ),
    "no launcher": (
        'spec = 1\n[toolchain]\nlauncher = ""\njobs = "distcc"\n'
        '[platform.pcbios]\nlauncher = " ccache"\n'
    ),
    "a configuration of the tree": (
        'spec = 1\n[source.ipxe]\ntree = "ipxe"\nconfig = "qemu"\n[config.qemu]\n'
    ),
}

# Mistakes of single keys. Each replaces a part of the spec that has all keys.
WRONG = {
    "no version": ("spec = 1", ""),
    "another version": ("spec = 1", "spec = 2"),
    "a version in quotes": ("spec = 1", 'spec = "1"'),
    "an unknown section": ("[nic.ne2k_pci]", "[nics.ne2k_pci]"),
    "an unknown key": ("pad = false", "padding = false"),
    "an unknown key of a source": ("package =", "packages ="),
    "an unknown key of a header": ("define =", "defines ="),
    "an unknown key of a strip": ("drop =", "drops ="),
    "no origin": ('package = "ipxe-qemu"', ""),
    "two origins": ('package = "ipxe-qemu"', 'package = "ipxe-qemu"\ntree = "ipxe"'),
    "three origins": (
        'package = "ipxe-qemu"',
        'package = "ipxe-qemu"\ntree = "ipxe"\nroms = "roms"',
    ),
    "a package that is configured": (
        'package = "ipxe-qemu"',
        'package = "ipxe-qemu"\nconfig = "qemu"',
    ),
    "a package with a fallback": (
        'package = "ipxe-qemu"',
        'package = "ipxe-qemu"\nfallback = "ipxe"',
    ),
    "existing ROMs with a fallback": (
        'roms = "ipxe-qemu.deb"',
        'roms = "ipxe-qemu.deb"\nfallback = "ipxe"',
    ),
    "a fallback of nothing": ('tree = "vendor/ipxe"\n', ""),
    "an empty fallback": ('fallback = "vendor/minipxe"', 'fallback = ""'),
    "two fallbacks": ('fallback = "vendor/minipxe"', 'fallback = ["vendor/minipxe"]'),
    "a tree with files": ('tree = "vendor/ipxe"', 'tree = "vendor/ipxe"\nfiles = ["{nic}.rom"]'),
    "no id": ('id = "10ec:8029"', ""),
    "a short id": ('id = "10ec:8029"', 'id = "10ec:829"'),
    "an id with 0x": ('id = "10ec:8029"', 'id = "0x10ec:0x8029"'),
    "a wrong id among those accepted": ('"8086:1010"', '"8086"'),
    "a goal with its medium": ('goal = "8086100e--8086100f"', 'goal = "rtl8139.rom"'),
    "a goal with its BIN": ('goal = "8086100e--8086100f"', 'goal = "bin/rtl8139"'),
    "a goal of two words": ('goal = "8086100e--8086100f"', 'goal = "rtl8139 e1000"'),
    "a goal with a wider gap": ('goal = "8086100e--8086100f"', 'goal = "8086100e---8086100f"'),
    "a goal that begins as an option": ('goal = "8086100e--8086100f"', 'goal = "-8086100e"'),
    "a goal that is not a string": ('goal = "8086100e--8086100f"', "goal = 8139"),
    "no size": ('size = "256KiB"', ""),
    "not a power of two": ('size = "256KiB"', 'size = "96KiB"'),
    "not a power of two in bytes": ("size = 131072", "size = 131073"),
    "too small a size": ('size = "256KiB"', 'size = "1KiB"'),
    "too large a size": ('size = "256KiB"', 'size = "32MiB"'),
    "a size in a wrong unit": ('size = "256KiB"', 'size = "256KB"'),
    "a size with a fraction": ("size = 131072", "size = 131072.5"),
    "a limit in a wrong unit": ('limit = "56 KiB"', 'limit = "56KB"'),
    "a limit above 16 MiB": ('limit = "56 KiB"', 'limit = "16385KiB"'),
    "a limit above 16 MiB in MiB": ('limit = "56 KiB"', 'limit = "17MiB"'),
    "a limit of less than a block": ('limit = "56 KiB"', "limit = 511"),
    "a limit of bytes in quotes": ('limit = "56 KiB"', 'limit = "57344"'),
    "a key that is not in a table": ("sign = {", 'sign = "db.key" #'),
    "a signature without a certificate": (', certificate = "keys/db.crt"', ""),
    "a key without a name": ('"keys/db.key"', '""'),
    "a flag in quotes": ("fix_ids = true", 'fix_ids = "true"'),
    "a flag that is a number": ("default = false", "default = 0"),
    "no directory": ('dir = "usr/share/qemu"', ""),
    "a directory upwards": ('dir = "usr/share/qemu"', 'dir = "usr/../../etc"'),
    "an absolute directory": ('dir = "usr/share/qemu"', 'dir = "/usr/share/qemu"'),
    "the directory of the state": ('dir = "usr/share/qemu"', 'dir = ".romforge/source"'),
    "a placeholder in the directory": ('dir = "usr/share/qemu"', 'dir = "usr/{nic}"'),
    "an empty directory": ('dir = "usr/share/qemu"', 'dir = ""'),
    "a file upwards": ('file = "efi-{nic}.rom"', 'file = "../{nic}.rom"'),
    "an unknown placeholder": ('file = "efi-{nic}.rom"', 'file = "efi-{name}.rom"'),
    "a stray brace": ('file = "efi-{nic}.rom"', 'file = "efi-{nic.rom"'),
    "an equals sign in a file": ('file = "efi-{nic}.rom"', 'file = "efi={nic}.rom"'),
    "a source's file upwards": ('"{vendor}{device}.rom"', '"../{vendor}{device}.rom"'),
    "an unknown placeholder of a source": ('"{vendor}{device}.rom"', '"{vendor}{devise}.rom"'),
    "images that are not a list": ('images = ["pcbios"]', 'images = "pcbios"'),
    "an image that is not a string": ('images = ["pcbios"]', "images = [1]"),
    "nics that are not a list": ('nics = ["e1000"]', 'nics = "e1000"'),
    "a star in a list": ('nics = ["e1000"]', 'nics = ["*"]'),
    "another medium": ('media = "efidrv"', 'media = "iso"'),
    "another BIN": ('bin = "bin-x86_64-efi"', 'bin = "bin-x86-64-efi"'),
    "a BIOS on ARM": ('bin = "bin-x86_64-efi"', 'bin = "bin-arm64-pcbios"'),
    "a package's name in capitals": ('package = "ipxe-qemu"', 'package = "IPXE"'),
    "a short sha256": (SHA, SHA[:-1]),
    "a macro with its value": ('"DOWNLOAD_PROTO_HTTPS"', '"BANNER_TIMEOUT=30"'),
    "a macro that is not a name": ("BANNER_TIMEOUT = 30", '"BANNER TIMEOUT" = 30'),
    "a macro with a fraction": ("BANNER_TIMEOUT = 30", "BANNER_TIMEOUT = 0.5"),
    "a variable of two lines": ('EXTRA = "efi"', 'EXTRA = "e\\nfi"'),
    "an option for a root to drop": ('drop = ["obj_wpa"]', 'drop = ["-u obj_wpa"]'),
    "a root to drop that is not a list": ('drop = ["obj_wpa"]', 'drop = "obj_wpa"'),
    "a pattern of roots to keep": ('keep = ["obj_config"]', 'keep = ["obj_%"]'),
    "an empty root to keep": ('keep = ["obj_config"]', 'keep = [""]'),
    "a required object that is not a list": (
        'require = ["snpnet", "efi-driver"]',
        'require = "snpnet"',
    ),
    "an unknown machine to migrate on": ('["q35", "riscv64"]', '["q35", "virt"]'),
    "a required object without a name": ('require = ["snpnet", "efi-driver"]', 'require = [""]'),
    "embedded files that are not a list": (
        'embed = ["boot/qemu.ipxe", "/srv/logo.png"]',
        'embed = "boot/qemu.ipxe"',
    ),
    "an embedded file without a name": ('"/srv/logo.png"', '""'),
    "certificates to trust that are not strings": ('trust = ["certs/ca.crt"]', "trust = [true]"),
    "certificates that are not a list": ('cert = ["certs/ca.crt", "~/client.crt"]', "cert = 1"),
    "objects to debug that are not a list": (
        'debug = ["e1000", "http:2", "efi-driver"]',
        'debug = "e1000,http:2"',
    ),
    "two objects to debug in one": ('"http:2"', '"http,tcp"'),
    "a level of debugging that is not a number": ('"http:2"', '"http:all"'),
    "a level of debugging that is missing": ('"http:2"', '"http:"'),
    "an object to debug with its suffix": ('"http:2"', '"http.o"'),
    "a launcher that is not a string": ('["env", "CCACHE_DIR=/srv/ccache", "ccache"]', "true"),
    "a launcher with an empty word": ('"CCACHE_DIR=/srv/ccache"', '""'),
    "a launcher that begins with a variable": ("nice -n 5", "A=1 nice"),
    "a launcher that begins with an option": ("nice -n 5", "-n nice"),
    "no jobs": ("jobs = 16", "jobs = 0"),
    "too many jobs": ("jobs = 16", "jobs = 1025"),
    "jobs that are true": ("jobs = 16", "jobs = true"),
    "jobs of another launcher": ("jobs = 16", 'jobs = "icecc"'),
    "an unknown key of the toolchain": ("jobs = 16", "job = 16"),
    "a name with a space": ("[nic.ne2k_pci]", '[nic."ne2k pci"]'),
    "a header's name with a path": ("[config.qemu.console]", '[config.qemu."../console"]'),
    "a table that is not one": ("[config.qemu.console]", "[config]\nother = 1"),
    "an array of tables": ("[nic.ne2k_pci]", "[[nic.ne2k_pci]]"),
}


def is_valid(text: str) -> bool:
    """Whether a document fits the schema."""
    return bool(
        jsonschema.Draft202012Validator(json_schema.make_schema()).is_valid(parse_toml(text))
    )


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "romspec.toml"
    path.write_text(text)
    return loader.load_spec(path, complete=False)


def test_the_schema_is_a_valid_schema():
    """By the metaschema of its draft."""
    jsonschema.Draft202012Validator.check_schema(json_schema.make_schema())


def test_the_file_is_what_the_module_prints():
    """romspec.schema.json is current."""
    completed = subprocess.run(
        [sys.executable, "-m", "romforge.spec.json_schema"],
        capture_output=True,
        text=True,
        check=True,
        cwd=TOP,
    )
    assert (TOP / "romspec.schema.json").read_text() == completed.stdout, (
        "run: python -m romforge.spec.json_schema > romspec.schema.json"
    )
    assert json.loads(completed.stdout) == json_schema.make_schema()


@pytest.mark.parametrize("name", VALID)
def test_a_valid_spec_passes_schema_and_loader(tmp_path, name):
    assert is_valid(VALID[name])
    assert load(tmp_path, VALID[name])


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_spec_fails_schema_and_loader(tmp_path, name):
    old, new = WRONG[name]
    assert old in WHOLE
    text = WHOLE.replace(old, new)
    assert not is_valid(text)
    with pytest.raises(SpecError):
        load(tmp_path, text)


def test_every_key_is_described():
    """An editor can show something for each key and section."""

    def collect_undescribed(path: str, schema: dict[str, Any]) -> None:
        for key, rules in schema.get("properties", {}).items():
            if "description" not in rules:
                undescribed.append(f"{path}.{key}")
            collect_undescribed(f"{path}.{key}", rules)
        for name, rules in schema.get("patternProperties", {}).items():
            collect_undescribed(f"{path}.{name}", rules)

    undescribed: list[str] = []
    collect_undescribed("", json_schema.make_schema())
    assert undescribed == []


def test_defaults_are_as_a_spec_writes_them():
    """Each is valid by the schema of its key."""
    sections = json_schema.make_schema()["properties"]
    target = sections["target"]["patternProperties"][f"^{loader.NAME}$"]["properties"]
    assert target["nics"]["default"] == "*"
    assert (target["fix_ids"]["default"], target["default"]["default"]) == (False, True)
    assert "default" not in target["bucket"]
    for section in sections.values():
        for table in section.get("patternProperties", {}).values():
            for rules in table.get("properties", {}).values():
                if "default" in rules:
                    jsonschema.validate(rules["default"], rules)


SPECS = [
    path.relative_to(TOP)
    for path in (TOP / "romspec.toml", *sorted((TOP / "examples").glob("*.toml")))
]
TAPLO = Path(sys.executable).with_name("taplo")


def taplo(path: Path) -> subprocess.CompletedProcess[str]:
    """Checks a spec as an editor does, with the schema that the spec names."""
    return subprocess.run(
        [TAPLO, "check", path.name], cwd=path.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_spec_names_the_schema_for_editors(spec: Path):
    """In a comment before the first key, where taplo looks for it."""
    comments = (TOP / spec).read_text().split("\nspec = 1\n")[0].splitlines()
    assert all(line.startswith("#") for line in comments)
    (schema,) = [line for line in comments if line.startswith("#:schema ")]
    assert (
        (TOP / spec).parent / schema.removeprefix("#:schema ")
    ).resolve() == TOP / "romspec.schema.json"
    assert taplo(TOP / spec).returncode == 0


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_taplo_finds_a_mistake_in_a_spec(spec: Path, tmp_path: Path):
    """Which shows that it reads the schema."""
    copy = tmp_path / spec
    copy.parent.mkdir(exist_ok=True)
    (tmp_path / "romspec.schema.json").write_bytes((TOP / "romspec.schema.json").read_bytes())
    copy.write_text((TOP / spec).read_text() + '[nic.bad]\nid = "8086"\n')
    completed = taplo(copy)
    assert completed.returncode == 1
    assert '"8086" does not match' in completed.stderr


def test_the_settings_of_the_checkout_name_the_schema_too(tmp_path: Path):
    """For a spec without the comment; in both editors' files."""
    for name in (".taplo.toml", "romspec.schema.json"):
        (tmp_path / name).write_bytes((TOP / name).read_bytes())
    spec = tmp_path / "romspec.toml"
    spec.write_text('spec = 1\n[nic.bad]\nid = "8086"\n')
    completed = taplo(spec)
    assert completed.returncode == 1
    assert '"8086" does not match' in completed.stderr
    settings = json.loads((TOP / ".vscode/settings.json").read_text())
    ((pattern, schema),) = settings["evenBetterToml.schema.associations"].items()
    assert re.fullmatch(pattern, "/home/me/romforge/romspec.toml")
    assert (TOP / schema).resolve() == TOP / "romspec.schema.json"
