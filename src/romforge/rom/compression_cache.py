# SPDX-License-Identifier: GPL-2.0-or-later
"""Compresses drivers of EFI images: in processes of their own, inside the pool of jobs, and each driver once.

A stream is kept below ``.romforge/compressed`` under the digest of its driver, whatever ROM or platform that is for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from romforge.base import fingerprint, jobserver, output_files, programs
from romforge.base.errors import RomforgeError
from romforge.base.output_files import STATE
from romforge.formats import option_rom
from romforge.formats.option_rom import Image
from romforge.formats.uefi_compression import encoder

_PACKAGE = str(Path(__file__).resolve().parents[2])
_busy: dict[
    str, threading.Lock
] = {}  # by the cached file: two ROMs may ask for the same driver at once
_done: dict[str, str] = {}  # how far each has come, as its process says


def smallest_image(image: Image, driver: bytes | None, compress: Callable[[bytes], bytes]) -> Image:
    """An EFI image with its driver compressed by ``compress``, or as it was where that is not smaller, or would move more."""
    if not _ends_with_driver(image):
        return image
    stream = compress(option_rom.driver_of(image) if driver is None else driver)
    other = option_rom.repacked(image, stream)
    return other if len(other.data) < len(image.data) else image


def _ends_with_driver(image: Image) -> bool:
    """Whether nothing of an EFI image lies behind its driver: PCI Data Structure and device list come before it."""
    pcir, header = image.pcir, image.header
    assert isinstance(header, option_rom.EfiHeader)
    devices = option_rom.device_list(image)
    ends = [header.pcir_pointer + pcir.length]
    if devices is not None:
        ends.append(header.pcir_pointer + pcir.device_list_pointer + 2 * len(devices) + 2)
    return max(ends) <= header.efi_image_offset


def compress_cached(driver: bytes, level: str, out: Path) -> bytes:
    """The compressed stream of a driver, which is made once and kept; raises RomforgeError."""
    name = f"{fingerprint.sha256(driver)}-{level}-{encoder.ENCODER_VERSION}"
    path = f"{STATE}/compressed/{name}"
    with _busy.setdefault(path, threading.Lock()):
        found = _kept(out / path)
        if found is None:
            with jobserver.shared_pool().local_job():
                found = _in_process(driver, level, out, name)
            output_files.write_output(out, path, fingerprint.sha256(found).encode() + b"\n" + found)
    return found


def _kept(path: Path) -> bytes | None:
    """A stream that was kept; None where there is none, or it was damaged."""
    try:
        digest, _, stream = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return stream if digest == fingerprint.sha256(stream).encode() else None


def _in_process(driver: bytes, level: str, out: Path, name: str) -> bytes:
    """Compresses in another process, which leaves this one's threads to their work; its output is a file, its progress a pipe."""
    place = output_files.temporary(out) / f"{name}-{os.getpid()}"
    command = [
        *programs.pdeathsig_prefix(),
        sys.executable,
        "-m",
        "romforge.rom.compression_cache",
        level,
        str(place),
    ]
    environment = {**os.environ, "PYTHONPATH": _PACKAGE}
    said = [""]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdin
        assert process.stderr
        try:
            with suppress(BrokenPipeError):  # it ended early, and says why
                process.stdin.write(driver)
                process.stdin.close()
            for line in process.stderr:
                said.append(line.decode(errors="replace").strip())
                _done[name] = said[-1]
        except BaseException:
            process.kill()
            raise
        finally:
            _done.pop(name, None)
    if process.returncode:
        raise RomforgeError(f"the compression ended with status {process.returncode}: {said[-1]}")
    stream = place.read_bytes()
    place.unlink()
    return stream


def compressing_line() -> str:
    """How far the drivers that are being compressed have come."""
    rounds = list(_done.values())
    return f"compressing: round {', '.join(rounds)}" if rounds else ""


def compress_in_child() -> None:
    """What the process does: reads a driver from standard input, tells each round on standard error, and writes a file."""

    def told(done: int, of: int) -> None:
        print(f"{done} of {of}", file=sys.stderr, flush=True)

    level, place = sys.argv[1:]
    try:
        Path(place).write_bytes(encoder.compress(sys.stdin.buffer.read(), level, told))
    except OSError as error:
        raise SystemExit(f"{place}: cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    compress_in_child()
