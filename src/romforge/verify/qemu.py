# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines of QEMU: finds the program and its firmware, starts a guest with what is needed alone, and ends it for certain.

A guest has a directory of its own: ``console.log`` is its serial port, ``qemu.log`` what QEMU itself says, ``command`` what
to paste to have it run again. Its monitor is a socket that is inherited, so that no path can be too long for it.
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
from typing import Any, NamedTuple

from romforge.base import programs
from romforge.base.arch import Arch
from romforge.base.errors import RomforgeError

SLOT = 3  # of the PCI bus: where the NIC is, and where the boot programs look for it
CONSOLE, SAID, COMMAND = "console.log", "qemu.log", "command"
_DESCRIPTORS = (
    Path("/usr/share/qemu/firmware"),
    Path("/etc/qemu/firmware"),
)  # QEMU's docs/interop/firmware.json
_UNWANTED = {
    "enrolled-keys",
    "secure-boot",
    "requires-smm",
}  # features: a boot file of ours is signed by nobody
_POLL = 0.05  # seconds between two looks at a console
_ANSWER = 20  # seconds that a monitor may take
_COMMON = ("-nodefaults", "-display", "none", "-accel", "tcg", "-no-reboot", "-no-user-config")
_EXIT = ("-vga", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=4")


class Machine(NamedTuple):
    """How QEMU emulates an architecture; packages are Debian's."""

    binary: str
    package: str
    firmware: str  # the package of the UEFI firmware
    name: str  # of the architecture, as firmware descriptors have it
    options: tuple[str, ...]


MACHINES = {
    Arch.X86_64: Machine(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "ovmf",
        "x86_64",
        ("-M", "q35,graphics=off", "-m", "256", *_EXIT),
    ),
    Arch.ARM64: Machine(
        "qemu-system-aarch64",
        "qemu-system-arm",
        "qemu-efi-aarch64",
        "aarch64",
        ("-M", "virt", "-cpu", "cortex-a57", "-m", "256"),
    ),
    Arch.RISCV64: Machine(
        "qemu-system-riscv64",
        "qemu-system-riscv",
        "qemu-efi-riscv64",
        "riscv64",
        ("-M", "virt", "-m", "256"),
    ),
    Arch.LOONG64: Machine(
        "qemu-system-loongarch64",
        "qemu-system-misc",
        "qemu-efi-loongarch64",
        "loongarch64",
        ("-M", "virt", "-m", "1024"),
    ),
}
PC = ("-M", "pc,graphics=off", "-m", "64", *_EXIT)  # for the PC BIOS

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopped = threading.Event()


class Firmware(NamedTuple):
    """UEFI firmware in flash: its code, and the template of its variables; paths."""

    code: str
    variables: str


class Stopped(RomforgeError):
    """A guest that was not started, or was ended, since the process was told to stop."""


def binary(machine: Machine) -> str:
    """The path of QEMU; raises MissingTool."""
    found = shutil.which(machine.binary)
    if not found:
        raise programs.MissingTool(
            f"{machine.binary}: not found; install the Debian package {machine.package}"
        )
    return found


def absent(machine: Machine) -> list[str]:
    """Where QEMU was looked for before it was found, and would be found if it came there."""
    found = Path(binary(machine))
    directories = map(Path, os.get_exec_path())
    earlier = itertools.takewhile(lambda directory: directory != found.parent, directories)
    return [str(directory.absolute() / machine.binary) for directory in earlier]


@functools.lru_cache
def find_firmware(machine: Machine) -> Firmware:
    """The first UEFI firmware for a machine that no key locks, as its descriptors say; raises MissingTool."""
    described = sorted(
        (path for top in _DESCRIPTORS for path in top.glob("*.json")), key=lambda path: path.name
    )
    for path in described:
        with suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(path.read_bytes())
            mapping = about["mapping"]
            architectures = {target["architecture"] for target in about["targets"]}
            if (
                machine.name not in architectures
                or mapping["device"] != "flash"
                or _UNWANTED & set(about["features"])
            ):
                continue
            found = Firmware(
                mapping["executable"]["filename"], mapping["nvram-template"]["filename"]
            )
            if all(Path(file).is_file() for file in found):
                return found
    raise programs.MissingTool(
        f"there is no UEFI firmware for {machine.binary}; install the Debian package {machine.firmware}"
    )


@functools.lru_cache
def pc_bios() -> str:
    """The firmware of the machine PC, SeaBIOS, where QEMU looks for it; raises RomforgeError."""
    where = (
        programs.run_program(
            [binary(MACHINES[Arch.X86_64]), "-L", "help"], package=MACHINES[Arch.X86_64].package
        )
        .decode()
        .split()
    )
    for directory in where:
        if (found := Path(directory, "bios-256k.bin")).is_file():
            return str(found)
    raise programs.MissingTool(
        f"{' and '.join(where)} hold no bios-256k.bin; install the Debian package seabios"
    )


def flash(machine: Machine, directory: Path) -> list[str]:
    """The options that give a machine its firmware, with variables of its own in ``directory``; raises RomforgeError."""
    found = find_firmware(machine)
    try:
        shutil.copyfile(found.variables, directory / "variables.fd")
    except OSError as error:
        raise RomforgeError(
            f"{found.variables}: cannot be copied to {directory}: {error.strerror}"
        ) from None
    drive = "if=pflash,format=raw,unit"
    return [
        "-drive",
        f"{drive}=0,readonly=on,file={found.code}",
        "-drive",
        f"{drive}=1,file=variables.fd",
    ]


@functools.lru_cache
def default_rom(machine: Machine, pc: bool, device: str) -> str:
    """The file that QEMU loads for a device by default; empty where it has none. Raises RomforgeError."""
    options = PC if pc else machine.options
    command = [
        binary(machine),
        *_COMMON,
        *options,
        "-S",
        "-serial",
        "none",
        "-device",
        f"{device},addr={SLOT},id=nic",
    ]
    with _monitored(command, Path("/"), subprocess.PIPE) as (process, monitor):
        try:
            return str(
                monitor.ask("qom-get", path="/machine/peripheral/nic", property="romfile") or ""
            )
        except EOFError:
            said = process.communicate(timeout=_ANSWER)[1].decode(errors="replace")
    if match := re.search(r'failed to find romfile "([^"]*)"', said):
        return match[1]  # which is not installed
    raise RomforgeError(f"{machine.binary} does not start with -device {device}: {_cause(said)}")


@functools.lru_cache
def has_device(machine: Machine, device: str) -> bool:
    """Whether QEMU has a device of this name; raises RomforgeError."""
    listed = programs.run_program(
        [binary(machine), "-device", "help"], package=machine.package
    ).decode(errors="replace")
    return f'name "{device}"' in listed


class Monitor:
    """QEMU's monitor, QMP: a JSON object to a line (QEMU's docs/interop/qmp-spec)."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_ANSWER)
        self.stream = connection.makefile("rwb")
        self.greeted = False

    def ask(self, command: str, **arguments: object) -> Any:
        """What a command returns; raises RomforgeError where it is refused, EOFError where QEMU has ended."""
        if not self.greeted:
            self.greeted = True
            self._read()  # the greeting
            self.ask("qmp_capabilities")
        try:
            self.stream.write(
                json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
            )
            self.stream.flush()
        except OSError:
            raise EOFError from None
        while True:
            answer = self._read()
            if "error" in answer:
                raise RomforgeError(f"QEMU refuses {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]  # and all else is an event

    def _read(self) -> dict[str, Any]:
        try:
            line = self.stream.readline()
        except TimeoutError:
            raise RomforgeError(f"QEMU's monitor has said nothing for {_ANSWER} s") from None
        except OSError:
            raise EOFError from None
        if not line:
            raise EOFError
        return dict(json.loads(line))


class Guest:
    """A QEMU that runs; ``start`` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], monitor: Monitor, directory: Path) -> None:
        self.process, self.monitor, self.directory = process, monitor, directory

    def console(self) -> str:
        """What the guest has written to its serial port."""
        return read_console(self.directory / CONSOLE)

    def said(self) -> str:
        """Why QEMU fails, in its own words."""
        return _cause(read_console(self.directory / SAID))

    def wait(self, found: Callable[[str], object], seconds: float) -> bool:
        """Waits until ``found`` is content with the console, which is told; or until QEMU ends, or the time is over."""
        end = time.monotonic() + seconds
        while True:
            ended = (
                self.process.poll() is not None
            )  # looked at first, lest something be written in between
            if found(self.console()):
                return True
            if _stopped.is_set():
                raise Stopped("QEMU was stopped")
            if ended or time.monotonic() > end:
                return False
            time.sleep(_POLL)

    def status(self, seconds: float = 5) -> int | None:
        """The exit status of a QEMU that is about to end; None where it does not."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None


@contextmanager
def start(
    machine: Machine, options: Sequence[str], directory: Path, inherited: Sequence[int] = ()
) -> Iterator[Guest]:
    """Runs a guest in a directory, to which paths among the options may be relative; raises RomforgeError.

    Descriptors that are ``inherited`` are among its options; the command, pasted, then has nobody at their other end.
    """
    command = [binary(machine), *_COMMON, *options, "-serial", f"file:{CONSOLE}"]
    for name in (CONSOLE, SAID):
        (directory / name).write_bytes(b"")
    (directory / COMMAND).write_text(f"cd {shlex.quote(str(directory))} && {shlex.join(command)}\n")
    with (
        (directory / SAID).open("wb") as said,
        _monitored(command, directory, said, inherited) as (process, monitor),
    ):
        yield Guest(process, monitor, directory)


@contextmanager
def _monitored(
    command: list[str], directory: Path, errors: Any, inherited: Sequence[int] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], Monitor]]:
    """A QEMU with a monitor; it is gone behind the block, however that ends, and when this process dies."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            options = [
                "-chardev",
                f"socket,id=qmp,fd={theirs.fileno()}",
                "-mon",
                "chardev=qmp,mode=control",
            ]
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
    """Ends all guests of this process; no other is started."""
    _stopped.set()
    with _lock:
        for process in list(_running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)


def read_console(path: Path) -> str:
    """A log as text; empty where there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _cause(text: str) -> str:
    """The line in which QEMU says why it fails, which is its first but for warnings, without the program's name in front."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "warning: " not in line] or lines
    return re.sub(r"^\S*qemu-system-\w+: ", "", told[0]) if told else ""
