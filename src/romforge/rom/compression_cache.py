# SPDX-License-Identifier: GPL-2.0-or-later
"""Compresses the drivers of EFI images, each once, in processes that take jobs of the shared pool.

A compressed stream is cached in ``.romforge/compressed``, by the digest of its driver. ROMs and
platforms with the same driver share it.
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

_PROGRAM = "romforge.rom.compression_process"
_SOURCE_ROOT = str(Path(__file__).resolve().parents[2])
# By path of the cached stream: two threads that need the same driver must compress it once.
_locks: dict[str, threading.Lock] = {}
_progress: dict[str, str] = {}  # by name of the cached stream: the last line of its process


def smallest_image(image: Image, driver: bytes | None, compress: Callable[[bytes], bytes]) -> Image:
    """An EFI image whose driver is compressed with ``compress``, if that makes it smaller.

    ``driver`` is the uncompressed driver if the caller has it. Returns the image unchanged if the
    compressed one is not smaller, or if something follows the driver.
    """
    if not _ends_with_driver(image):
        return image
    if driver is None:
        driver = option_rom.driver_of(image)
    repacked = option_rom.repacked(image, compress(driver))
    return repacked if len(repacked.data) < len(image.data) else image


def _ends_with_driver(image: Image) -> bool:
    """Whether the PCI Data Structure and the device list of an EFI image precede its driver."""
    pcir, header = image.pcir, image.header
    assert isinstance(header, option_rom.EfiHeader)
    end = header.pcir_pointer + pcir.length
    devices = option_rom.device_list(image)
    if devices is not None:
        list_end = header.pcir_pointer + pcir.device_list_pointer + 2 * len(devices) + 2
        end = max(end, list_end)
    return end <= header.efi_image_offset


def compress_cached(driver: bytes, level: str, out: Path) -> bytes:
    """The compressed stream of a driver, from the cache or added to it.

    Raises RomforgeError if the process that compresses it fails.
    """
    name = f"{fingerprint.sha256(driver)}-{level}-{encoder.ENCODER_VERSION}"
    path = f"{STATE}/compressed/{name}"
    with _locks.setdefault(path, threading.Lock()):
        stream = _read_cached(out / path)
        if stream is None:
            with jobserver.shared_pool().local_job():
                stream = _compress_in_process(driver, level, out, name)
            digest = fingerprint.sha256(stream).encode()
            output_files.write_output(out, path, digest + b"\n" + stream)
    return stream


def _read_cached(path: Path) -> bytes | None:
    """A stream of the cache; None if it is missing or corrupted."""
    try:
        digest, _, stream = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return stream if digest == fingerprint.sha256(stream).encode() else None


def _compress_in_process(driver: bytes, level: str, out: Path, name: str) -> bytes:
    """Compresses in another process, so that the threads of this one can run.

    The process writes the stream to a file, and its progress to standard error.
    """
    output = output_files.temporary(out) / f"{name}-{os.getpid()}"
    command = [*programs.pdeathsig_prefix(), sys.executable, "-m", _PROGRAM, level, str(output)]
    last_line = ""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _SOURCE_ROOT},
    ) as process:
        assert process.stdin
        assert process.stderr
        try:
            with suppress(BrokenPipeError):  # it has ended early; its last line says why
                process.stdin.write(driver)
                process.stdin.close()
            for line in process.stderr:
                last_line = line.decode(errors="replace").strip()
                _progress[name] = last_line
        except BaseException:
            process.kill()
            raise
        finally:
            _progress.pop(name, None)
    if process.returncode:
        status = process.returncode
        raise RomforgeError(f"the compression failed with status {status}: {last_line}")
    stream = output.read_bytes()
    output.unlink()
    return stream


def compressing_line() -> str:
    """The progress of the processes that compress; empty if there are none."""
    rounds = list(_progress.values())
    return f"compressing: round {', '.join(rounds)}" if rounds else ""
