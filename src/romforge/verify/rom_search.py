# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks a QEMU in which directories it looks for ROMs, and which file it loads for each device.

QEMU searches the directories of its options ``-L`` first, and then those of its firmware path
(``qemu_find_file`` in QEMU's system/datadir.c). ``assume_view`` answers where there is no QEMU.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from romforge.base import programs
from romforge.base.arch import BY_NAME, Arch
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.text import did_you_mean
from romforge.verify import qemu
from romforge.verify.qemu import MACHINES

_PREFIX = "qemu-system-"
# What QEMU calls an architecture, where that is not iPXE's name.
_QEMU_NAMES = {Arch.ARM32: "arm", Arch.ARM64: "aarch64", Arch.LOONG64: "loongarch64"}
_PACKAGE = "qemu-system"  # Debian's package of all QEMUs
# The devices of QEMU that have a default ROM, by its name in QEMU 7.2 to 10.0.
_DEFAULT_FILES = {
    "efi-e1000.rom": ("e1000", "e1000-82544gc", "e1000-82545em"),
    "efi-e1000e.rom": ("e1000e",),
    "efi-ne2k_pci.rom": ("ne2k_pci",),
    "efi-pcnet.rom": ("pcnet",),
    "efi-rtl8139.rom": ("rtl8139",),
    "efi-virtio.rom": (
        "virtio-net-pci",
        "virtio-net-pci-transitional",
        "virtio-net-pci-non-transitional",
    ),
    "efi-vmxnet3.rom": ("vmxnet3",),
}
_EEPRO100 = re.compile(r"i8255\w+|i82562|i82801")


class Emulator(NamedTuple):
    """A QEMU: the path of its program, and the architecture that it emulates, if iPXE has it."""

    program: str
    arch: Arch | None

    @property
    def name(self) -> str:
        return os.path.basename(self.program)


class QemuView(NamedTuple):
    """What a QEMU was found to do.

    ``directories`` are absolute paths in the order of its search. ``files`` are the names that it
    asks for by device, None for a device without a ROM; other devices are unknown to it. A view
    that is only assumed has no ``machine``. ``also_called`` are other names of the machine type.
    """

    name: str
    arch: Arch | None
    machine: str | None
    also_called: tuple[str, ...]
    directories: tuple[str, ...]
    files: Mapping[str, str | None]


def program_name(arch: Arch) -> str:
    """The name of the QEMU of an architecture: ``qemu-system-aarch64``."""
    return _PREFIX + _QEMU_NAMES.get(arch, arch.ipxe_name)


def arch_of(name: str) -> Arch | None:
    """The architecture that the name of a QEMU, or of an architecture, stands for."""
    short = os.path.basename(name).removeprefix(_PREFIX)
    for arch, known in _QEMU_NAMES.items():
        if short == known:
            return arch
    return BY_NAME.get(short)


def find_emulator(name: str) -> Emulator:
    """The QEMU of this name: ``arm64``, ``aarch64``, ``qemu-system-aarch64``, or a path.

    Raises MissingTool where it is not installed.
    """
    arch = arch_of(name)
    if "/" in name:
        wanted = os.path.abspath(name)
    elif arch:
        wanted = program_name(arch)
    else:
        wanted = _PREFIX + name.removeprefix(_PREFIX)
    path = shutil.which(wanted)
    if not path:
        raise programs.MissingTool(
            f"{wanted}: not found; install the Debian package {_package(arch)}"
        )
    return Emulator(path, arch)


def _package(arch: Arch | None) -> str:
    if arch in MACHINES:
        return MACHINES[arch].package
    return _PACKAGE


def ask_view(
    emulator: Emulator, machine: str | None, first: Sequence[str], devices: Iterable[str]
) -> QemuView:
    """Asks a QEMU about devices, as for -device; ``first`` are directories for -L.

    ``machine`` is a machine type; without one, it is "virt", or else QEMU's default. Raises
    RomforgeError where QEMU does not know the type, or does not start.
    """
    types = machine_types(emulator)
    if machine is None:
        machine = "virt" if "virt" in types else _default_type(emulator)
    elif machine not in types:
        near_miss = did_you_mean(machine, types)
        raise UsageError(f'{emulator.name} has no machine type "{machine}"{near_miss}')
    aliases = [name for name, real in types.items() if real == types[machine] and name != machine]
    known = _known_devices(emulator)
    asked = [device for device in dict.fromkeys(devices) if device.split(",")[0] in known]
    options = ("-M", machine)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        names = pool.map(lambda device: qemu.default_file(emulator.program, options, device), asked)
        files = dict(zip(asked, names))
    return QemuView(
        name=emulator.name,
        arch=emulator.arch,
        machine=machine,
        also_called=tuple(aliases),
        directories=_search_path(emulator, first),
        files=files,
    )


def assume_view(
    arch: Arch, firmware_path: Sequence[str], first: Sequence[str], devices: Iterable[str]
) -> QemuView:
    """The view of a QEMU that is not at hand, by the firmware path that the spec gives for it."""
    directories = [*first, *(f"/{directory}" for directory in firmware_path)]
    files = {}
    for device in devices:
        files[device] = _usual_file(device)
    return QemuView(
        name=program_name(arch),
        arch=arch,
        machine=None,
        also_called=(),
        directories=tuple(map(os.path.normpath, directories)),
        files=files,
    )


def _usual_file(device: str) -> str | None:
    """The name of the default ROM that QEMUs have for a device."""
    model = device.split(",", maxsplit=1)[0]
    if _EEPRO100.fullmatch(model):
        return "pxe-eepro100.rom"
    for file, models in _DEFAULT_FILES.items():
        if model in models:
            return file
    return None


def _search_path(emulator: Emulator, first: Sequence[str]) -> tuple[str, ...]:
    command = [emulator.program]
    for directory in first:
        command += ["-L", directory]
    listed = _output([*command, "-L", "help"], emulator)
    return tuple(map(os.path.normpath, listed.splitlines()))


@functools.lru_cache
def machine_types(emulator: Emulator) -> dict[str, str]:
    """The machine types of a QEMU: what each name is an alias of, or the name itself."""
    types = {}
    for line in _output([emulator.program, "-M", "help"], emulator).splitlines()[1:]:
        name = line.split()[0]
        alias = re.search(r"\(alias of ([^)]+)\)", line)
        types[name] = alias[1] if alias else name
    return types


def _default_type(emulator: Emulator) -> str:
    for line in _output([emulator.program, "-M", "help"], emulator).splitlines():
        if line.endswith("(default)"):
            return line.split()[0]
    raise RomforgeError(f"{emulator.name} has no default machine type; name one with --machine")


@functools.lru_cache
def _known_devices(emulator: Emulator) -> frozenset[str]:
    listed = _output([emulator.program, "-device", "help"], emulator)
    return frozenset(re.findall(r'(?:name|alias) "([^"]+)"', listed))


def _output(command: Sequence[str], emulator: Emulator) -> str:
    package = _package(emulator.arch)
    return programs.run_program(command, package=package).decode(errors="replace")
