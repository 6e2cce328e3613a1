# SPDX-License-Identifier: GPL-2.0-or-later
"""Specs as text: one with all keys, and such as are full of mistakes."""

from __future__ import annotations

from tests.support.project import spec_text

SHA = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
WHOLE = f"""spec = 1
[source.ipxe]
tree = "vendor/ipxe"
fallback = "vendor/minipxe"
config = "qemu"
make = {{ NO_WERROR = "1", V = 1, LTO = true, EMPTY = "" }}
[source.deb]
roms = "ipxe-qemu.deb"
sha256 = "{SHA}"
files = ["usr/share/qemu/efi-{{nic}}.rom", "{{vendor}}{{device}}.rom"]
[source.debian]
package = "ipxe-qemu"
[config.qemu.general]
define = ["DOWNLOAD_PROTO_HTTPS"]
undef = ["CONSOLE_SERIAL"]
set = {{ BANNER_TIMEOUT = 30 }}
[config.qemu.console]
[platform.pcbios]
source = "debian"
[platform.x86_64-efi]
bin = "bin-x86_64-efi"
media = "efidrv"
cross = "x86_64-linux-gnu-"
source = "ipxe"
config = "qemu"
make = {{ EXTRA = "efi" }}
strip = {{ drop = ["obj_wpa"], keep = ["obj_config"] }}
require = ["snpnet", "efi-driver"]
embed = ["boot/qemu.ipxe", "/srv/logo.png"]
trust = ["certs/ca.crt"]
cert = ["certs/ca.crt", "~/client.crt"]
debug = ["e1000", "http:2", "efi-driver"]
launcher = "nice -n 5 'my launcher'"
[platform.signed]
bin = "bin-arm64-efi-sb"
[nic.e1000]
id = "8086:100e"
goal = "8086100e--8086100f"
accept_ids = ["8086:100F", "8086:1010"]
[nic.ne2k_pci]
id = "10ec:8029"
[bucket.efi]
size = "256KiB"
[bucket.mib]
size = "1 MiB"
pad = false
[bucket.bytes]
size = 131072
[target.qemu]
dir = "usr/share/qemu"
file = "efi-{{nic}}.rom"
images = ["pcbios", "x86_64-efi"]
nics = ["e1000"]
bucket = "efi"
source = "deb"
fix_ids = true
default = false
[target.signed]
dir = "signed"
file = "{{nic}}.rom"
images = ["x86_64-efi"]
source = "deb"
sign = {{ key = "keys/db.key", certificate = "keys/db.crt" }}
[target.all]
dir = "."
file = "{{target}}/{{vendor}}{{device}}-{{nic}}"
images = ["pcbios"]
nics = "*"
limit = "56 KiB"
machines = ["pc-i440fx-7.2", "pc-*-6.*", "virt-?.1"]
[verify]
migrate_from = ["lock", "debian"]
migrate_on = ["q35", "riscv64"]
[toolchain]
launcher = ["env", "CCACHE_DIR=/srv/ccache", "ccache"]
jobs = 16
"""


MISTAKES = [
    "".join(f"k{number} = 1\n" for number in range(20_000)),
    "[target.a]\n" + "".join(f"imagess{number} = 1\n" for number in range(12_000)),
    spec_text("roms")
    + "[target.x]\ndir = 'x'\nfile = 'x'\nimages = ["
    + '"pcbiosx", ' * 20_000
    + "]",
    spec_text("roms")
    + "".join(f'[nic.nic{n}]\nid = "8086:100e"\n' for n in range(1000))
    + "[target.x]\ndir='x'\nfile='x'\nimages=['pcbios']\nnics = ["
    # all near misses, which take their time to find
    + ", ".join(f'"nix{n}"' for n in range(10_000))
    + "]",
    spec_text("roms")
    + "".join(f'[nic.nic{n}]\nid = "8086:100e"\n' for n in range(4000))
    + "[target.x]\ndir='x'\nfile='x'\nimages=['pcbios']\n",
    "spec = 1\n" + "[[nic]]\n" * 30_000,
    "spec = 1\nnic = [" + "{a.b.c=1}," * 20_000 + "]",
    "spec = 1\nnic = " + "[" * 100 + "1," * 80_000 + "]" * 100,
    "spec = 1\n" + ('"' + "a." * 60_000 + '" = 1\n') * 2,
    ("." * 150 + "\n") * 1_700,
    "a" * 250_000,
    "#" + "a.'" * 80_000,
]
