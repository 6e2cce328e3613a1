# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds QEMU and its firmware, and runs guests with as few devices as possible.

Each guest has a directory of its own, with three files: ``console.log`` is the output of its serial
port, ``qemu.log`` that of QEMU itself, and ``command`` a shell command that runs the guest again.
The monitor is an inherited socket: a path of a Unix socket could be too long.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from romforge.base import programs
from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId

SLOT = 3  # of the NIC on the PCI bus; the boot programs look there
CONSOLE, LOG, COMMAND = "console.log", "qemu.log", "command"
# QEMU's docs/interop/firmware.json
_DESCRIPTORS = (Path("/usr/share/qemu/firmware"), Path("/etc/qemu/firmware"))
# Features of firmware in the order of preference. Secure Boot is off until a platform key is
# enrolled (UEFI Specification, 32.3), so firmware without keys runs our programs.
_SMM, _ENROLLED_KEYS = "requires-smm", "enrolled-keys"
_AVOIDED = {"secure-boot", _SMM}
# What firmware with such a feature needs of the machine (OvmfPkg's README, "SMM support").
_SMM_OPTIONS = ("-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")
# Registers of a TPM on a PC (TCG PC Client Platform TPM Profile, 6.1), in bytes
_TPM, _TPM_SIZE = 0xFED4_0000, 0x5000
_PC_NAMES = "i386", "x86_64"  # of machines whose firmware need not be in flash
_POLL = 0.05  # seconds between two looks at a console
_ANSWER = 20  # seconds that a monitor may take
_COMMON = ("-nodefaults", "-display", "none", "-accel", "tcg", "-no-reboot", "-no-user-config")
_EXIT = ("-vga", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=4")


class Machine(NamedTuple):
    """How QEMU emulates an architecture. ``package`` and ``firmware`` are Debian packages.

    ``random_cpu`` is a processor with an instruction for random numbers that firmware uses, if
    there is one. ``clock_shift`` is how long each instruction takes by the guest's clock: a power
    of two, in ns.
    """

    binary: str
    package: str
    firmware: str
    name: str  # of the architecture, in firmware descriptors
    options: tuple[str, ...]
    random_cpu: str | None = None
    clock_shift: int = 6

    @property
    def packages(self) -> list[str]:
        """The Debian packages of which one has the binary, that of the newest release first."""
        return re.findall(r"qemu-system-[a-z0-9]+", self.package)


MACHINES = {
    Arch.I386: Machine(
        binary="qemu-system-i386",
        package="qemu-system-x86",
        firmware="ovmf-ia32",
        name="i386",
        options=("-M", "q35,graphics=off", "-m", "256", *_EXIT),
        random_cpu="qemu32,+rdrand",
    ),
    Arch.X86_64: Machine(
        binary="qemu-system-x86_64",
        package="qemu-system-x86",
        firmware="ovmf",
        name="x86_64",
        options=("-M", "q35,graphics=off", "-m", "256", *_EXIT),
        random_cpu="qemu64,+rdrand",
    ),
    Arch.ARM64: Machine(
        binary="qemu-system-aarch64",
        package="qemu-system-arm",
        firmware="qemu-efi-aarch64",
        name="aarch64",
        options=("-M", "virt", "-cpu", "cortex-a57", "-m", "256"),
        random_cpu="neoverse-v1",  # since QEMU 8.1
    ),
    Arch.RISCV64: Machine(
        binary="qemu-system-riscv64",
        package="qemu-system-riscv (in Debian 12: qemu-system-misc)",
        firmware="qemu-efi-riscv64",
        name="riscv64",
        options=("-M", "virt", "-m", "256"),
    ),
    Arch.LOONG64: Machine(
        binary="qemu-system-loongarch64",
        package="qemu-system-misc",
        firmware="qemu-efi-loongarch64",
        name="loongarch64",
        options=("-M", "virt", "-m", "1024"),
        clock_shift=4,  # with 6, the handler of its timer takes most of the time
    ),
}
PC = ("-M", "pc,graphics=off", "-m", "64", *_EXIT)  # a machine with a PC BIOS

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopped = threading.Event()


class Firmware(NamedTuple):
    """UEFI firmware in flash: the paths of its code and of the template of its variables.

    ``options`` are those of QEMU without which it does not run.
    """

    code: str
    variables: str
    options: tuple[str, ...] = ()


class Stopped(RomforgeError):
    """A guest that was not started, or was killed, because ``interrupt_guests`` was called."""


def binary(machine: Machine) -> str:
    """The path of QEMU; raises MissingTool."""
    path = shutil.which(machine.binary)
    if not path:
        raise programs.MissingTool(
            f"{machine.binary}: not found; install the Debian package {machine.package}"
        )
    return path


def absent(machine: Machine) -> list[str]:
    """Paths that come before QEMU's in PATH; a program that appears there would be run instead."""
    directory = Path(binary(machine)).parent
    search_path = map(Path, os.get_exec_path())
    earlier = itertools.takewhile(lambda entry: entry != directory, search_path)
    return [str(entry.absolute() / machine.binary) for entry in earlier]


@functools.lru_cache
def find_firmware(machine: Machine) -> Firmware:
    """The first UEFI firmware for a machine that runs unsigned programs; raises MissingTool.

    The order is that of the descriptors' file names, as for libvirt; but firmware with Secure Boot
    or System Management Mode comes last. Unreadable descriptors are skipped.
    """
    descriptors: list[Path] = []
    for directory in _DESCRIPTORS:
        descriptors += directory.glob("*.json")
    last_resort = None
    for path in sorted(descriptors, key=lambda path: path.name):
        with suppress(OSError, ValueError, KeyError, TypeError):
            descriptor = json.loads(path.read_bytes())
            firmware = _described_firmware(descriptor, machine)
            if not firmware or not _is_installed(firmware):
                continue
            if not _AVOIDED & set(descriptor["features"]):
                return firmware
            last_resort = last_resort or firmware
    if last_resort:
        return last_resort
    raise programs.MissingTool(
        f"there is no UEFI firmware for {machine.binary}; "
        f"install the Debian package {machine.firmware}"
    )


def _described_firmware(descriptor: Any, machine: Machine) -> Firmware | None:
    """The firmware of a descriptor; None where it is of no use for the machine."""
    mapping = descriptor["mapping"]
    features = set(descriptor["features"])
    architectures = {target["architecture"] for target in descriptor["targets"]}
    if machine.name not in architectures or mapping["device"] != "flash":
        return None
    if _ENROLLED_KEYS in features:
        return None
    options = _SMM_OPTIONS if _SMM in features else ()
    code, variables = mapping["executable"], mapping["nvram-template"]
    return Firmware(code["filename"], variables["filename"], options)


def _is_installed(firmware: Firmware) -> bool:
    return Path(firmware.code).is_file() and Path(firmware.variables).is_file()


@functools.lru_cache
def pc_bios() -> str:
    """The path of SeaBIOS for the machine PC, from QEMU's own directories; raises MissingTool."""
    machine = MACHINES[Arch.X86_64]
    command = [binary(machine), "-L", "help"]
    directories = programs.run_program(command, package=machine.package).decode().split()
    for directory in directories:
        path = Path(directory, "bios-256k.bin")
        if path.is_file():
            return str(path)
    raise programs.MissingTool(
        f"{' and '.join(directories)} have no bios-256k.bin; install the Debian package seabios"
    )


def firmware_options(machine: Machine, directory: Path) -> list[str]:
    """The options for a machine's UEFI firmware, with files of its own in ``directory``.

    Firmware for a PC runs from memory, and keeps its variables there (OvmfPkg's README): a guest
    that writes flash takes up to a third more time. Other firmware has its variables in flash.
    Raises RomforgeError where there is no firmware, or it cannot be copied.
    """
    firmware = find_firmware(machine)
    try:
        if machine.name in _PC_NAMES and not firmware.options:
            _write_pc_firmware(firmware, directory / "firmware.fd")
            return ["-bios", "firmware.fd"]
        shutil.copyfile(firmware.variables, directory / "variables.fd")
    except OSError as error:
        raise RomforgeError(
            f"{error.filename}: cannot be copied to {directory}: {error.strerror}"
        ) from None
    drive = "if=pflash,format=raw,unit"
    code = f"{drive}=0,readonly=on,file={firmware.code}"
    variables = f"{drive}=1,file=variables.fd"
    return [*firmware.options, "-drive", code, "-drive", variables]


def _write_pc_firmware(firmware: Firmware, path: Path) -> None:
    """Writes the image of a PC's firmware, which ends at 4 GiB; it begins where a TPM would be.

    Firmware that reads ff there finds no TPM, as on a PC without one. QEMU returns 0 where nothing
    is, and then OVMF waits 1.5 s for a TPM to answer. OSError where a file cannot be used.
    """
    parts = [Path(part).read_bytes() for part in (firmware.variables, firmware.code)]
    content = b"".join(parts)
    with path.open("wb") as image:
        image.write(b"\xff" * _TPM_SIZE)
        image.seek((4 << 30) - _TPM - len(content))
        image.write(content)


def default_rom(machine: Machine, options: tuple[str, ...], device: str) -> str | None:
    """The name of the file that QEMU loads as a device's ROM by default; None where it has none.

    ``options`` choose one of QEMU's machines. Paths in them are absolute. Raises RomforgeError
    where QEMU does not know the device.
    """
    return default_file(binary(machine), options, device)


@functools.lru_cache
def default_file(program: str, options: tuple[str, ...], device: str) -> str | None:
    """The same for any QEMU, by the path of its program, with the options of a machine."""
    nic = ("-device", f"{device},addr={SLOT},id=nic")
    command = [program, *_COMMON, *options, "-S", "-serial", "none", *nic]
    with _monitored(command, Path("/"), subprocess.PIPE) as (process, monitor):
        try:
            name = monitor.ask("qom-get", path="/machine/peripheral/nic", property="romfile")
        except EOFError:
            errors = process.communicate(timeout=_ANSWER)[1].decode(errors="replace")
        else:
            return str(name) if name else None
    # A QEMU that does not find the file, or finds an empty one, names it.
    refused = re.search(r'romfile "([^"]*)"', errors)
    if refused:
        return refused[1]
    reason = _first_error(errors)
    raise RomforgeError(f"{Path(program).name} does not start with -device {device}: {reason}")


def has_device(machine: Machine, device: str) -> bool:
    """Whether QEMU has a device of this name or alias; raises RomforgeError."""
    devices = _help(binary(machine), machine.package, "-device")
    return f'name "{device}"' in devices or f'alias "{device}"' in devices


def has_cpu(machine: Machine, model: str) -> bool:
    """Whether QEMU emulates this model of processor; raises RomforgeError."""
    return model in _help(binary(machine), machine.package, "-cpu").split()


@functools.lru_cache
def _help(program: str, package: str, option: str) -> str:
    """What a QEMU of a Debian package says of the values of an option, asked once."""
    command = [program, option, "help"]
    return programs.run_program(command, package=package).decode(errors="replace")


class Refusal(RomforgeError):
    """A command that QEMU's monitor refused to run."""


def network_devices(machine: Machine) -> tuple[str, ...]:
    """The network devices for the PCI bus that QEMU has; raises RomforgeError."""
    text = _help(binary(machine), machine.package, "-device")
    _, _, section = text.partition("Network devices:")
    section = section.partition("\n\n")[0]
    return tuple(re.findall(r'^name "([^"]+)", bus PCI', section, re.MULTILINE))


def ids_of_device(machine: Machine, device: str) -> PciId | None:
    """The IDs of a device, as QEMU presents it to a guest; None where it does not say.

    Some devices do not start alone.
    """
    nic = ("-device", f"{device},addr={SLOT},id=nic")
    command = [binary(machine), *_COMMON, *machine.options, "-S", "-serial", "none", *nic]
    with (
        suppress(EOFError, RomforgeError),
        _monitored(command, Path("/"), subprocess.DEVNULL) as (_, monitor),
    ):
        for bus in monitor.ask("query-pci"):
            for found in bus["devices"]:
                if found["qdev_id"] == "nic":
                    return PciId(found["id"]["vendor"], found["id"]["device"])
    return None


class Monitor:
    """QEMU's monitor, which speaks QMP: one JSON object per line (docs/interop/qmp-spec)."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_ANSWER)
        self.stream = connection.makefile("rwb")
        self.greeted = False

    def ask(self, command: str, **arguments: object) -> Any:
        """Runs a QMP command and returns its result.

        Raises Refusal where QEMU refuses it, EOFError where QEMU has ended, and RomforgeError where
        it does not answer.
        """
        if not self.greeted:
            self.greeted = True
            self._read()  # the greeting
            self.ask("qmp_capabilities")
        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            self.stream.write(request.encode() + b"\n")
            self.stream.flush()
        except OSError:
            raise EOFError from None
        while True:
            answer = self._read()
            if "error" in answer:
                raise Refusal(f"QEMU refuses {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]
            # anything else is an event

    def _read(self) -> dict[str, Any]:
        try:
            line = self.stream.readline()
        except TimeoutError:
            raise RomforgeError(f"QEMU's monitor has not answered for {_ANSWER} s") from None
        except OSError:
            raise EOFError from None
        if not line:
            raise EOFError
        return dict(json.loads(line))


class Guest:
    """A running QEMU; ``start`` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], monitor: Monitor, directory: Path) -> None:
        self.process = process
        self.monitor = monitor
        self.directory = directory

    def console(self) -> str:
        """What the guest has written to its serial port so far."""
        return read_console(self.directory / CONSOLE)

    def failure(self) -> str:
        """Why QEMU failed, from its own error messages; empty where it printed none."""
        return _first_error(read_console(self.directory / LOG))

    def describe_end(self) -> str | None:
        """How QEMU ended, with its own error message where it printed one; None if it runs."""
        status = self.process.poll()
        if status is None:
            return None
        failure = self.failure()
        return f"QEMU ended with status {status}" + (f": {failure}" if failure else "")

    def wait(self, matches: Callable[[str], object], seconds: float) -> bool:
        """Waits until ``matches`` is true of the console; False where QEMU ends or time is over.

        Raises Stopped where ``interrupt_guests`` was called.
        """
        end = time.monotonic() + seconds
        while True:
            # looked at before the console: QEMU may write something and then end
            ended = self.process.poll() is not None
            if matches(self.console()):
                return True
            if _stopped.is_set():
                raise Stopped("QEMU was stopped")
            if ended or time.monotonic() > end:
                return False
            time.sleep(_POLL)

    def status(self, seconds: float = 5) -> int | None:
        """The exit status of a QEMU that is about to end; None where it does not end in time."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None


@contextmanager
def start(
    machine: Machine, options: Sequence[str], directory: Path, inherited: Sequence[int] = ()
) -> Iterator[Guest]:
    """Runs a guest in ``directory``; paths among the options may be relative to it.

    ``inherited`` are file descriptors that the options name. The command in the file ``command``
    cannot have them. Raises RomforgeError.
    """
    command = [binary(machine), *_COMMON, *options, "-serial", f"file:{CONSOLE}"]
    for name in (CONSOLE, LOG):
        (directory / name).write_bytes(b"")
    (directory / COMMAND).write_text(f"cd {shlex.quote(str(directory))} && {shlex.join(command)}\n")
    with (
        (directory / LOG).open("wb") as log,
        _monitored(command, directory, log, inherited) as (process, monitor),
    ):
        yield Guest(process, monitor, directory)


@contextmanager
def _monitored(
    command: list[str], directory: Path, errors: IO[bytes] | int, inherited: Sequence[int] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], Monitor]]:
    """A QEMU with a monitor.

    It is killed at the end of the block, and also when this process dies.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            chardev = f"socket,id=qmp,fd={theirs.fileno()}"
            options = ["-chardev", chardev, "-mon", "chardev=qmp,mode=control"]
            with _lock:
                if _stopped.is_set():
                    raise Stopped("QEMU was not started")
                process = subprocess.Popen(
                    [*programs.pdeathsig_prefix("KILL"), *command, *options],
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(theirs.fileno(), *inherited),
                    start_new_session=True,
                )
                _running.add(process)
        try:
            yield process, Monitor(ours)
        finally:
            process.kill()
            process.wait()
            _running.discard(process)
            if process.stderr:
                process.stderr.close()


def interrupt_guests() -> None:
    """Kills all guests of this process. No other can be started afterwards."""
    _stopped.set()
    with _lock:
        for process in list(_running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)


def read_console(path: Path) -> str:
    """A log as text; empty where the file is missing."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _first_error(text: str) -> str:
    """QEMU's first error message, without the name of the program; empty where there is none.

    A warning is taken only where there is nothing else.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "warning: " not in line] or lines
    if not errors:
        return ""
    return re.sub(r"^\S*qemu-system-\w+: ", "", errors[0])
