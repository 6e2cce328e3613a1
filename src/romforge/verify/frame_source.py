# SPDX-License-Identifier: GPL-2.0-or-later
"""A network that broadcasts frames to a guest, through QEMU's ``-netdev socket``.

What the frames say is chosen while the guest runs. What the guest sends is discarded.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BEGIN, END = b"b", b"e"  # the first byte after the header, which guest/exit.c knows
_ETHERTYPE = 0x88B5  # for local experiments (IEEE 802)
_SENDER = bytes.fromhex("520000000002")
_BROADCAST = b"\xff" * 6
_SIZE = 512  # bytes after the header
# Seconds between two frames. Those that end a state come slowly, so that hardly any comes too late,
# and takes one of the driver's buffers.
_PACES: dict[bytes | None, float] = {BEGIN: 0.005, END: 0.25}


class FrameSource:
    """The sending end; ``sent`` counts the frames since their content was chosen."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._content: bytes | None = None
        self._changed = threading.Event()
        self._ended = False
        self.sent = 0

    def send(self, content: bytes | None) -> None:
        """Sends frames with this first byte from now on; None for no frames."""
        if content != self._content:
            self.sent = 0
            self._content = content
            self._changed.set()

    def run(self) -> None:
        """Sends until ``stop`` is called, or QEMU ends."""
        with suppress(OSError):  # QEMU has ended
            while not self._ended:
                self._changed.clear()
                content = self._content
                if content:
                    self._connection.sendall(frame(content, self.sent))
                    self.sent += 1
                self._changed.wait(_PACES.get(content))

    def stop(self) -> None:
        """Ends ``run``."""
        self._ended = True
        self._changed.set()


def frame(content: bytes, number: int) -> bytes:
    """A broadcast behind its length, as in QEMU's stream; each number has other bytes."""
    filling = bytes((number + offset) & 0xFF for offset in range(_SIZE - len(content)))
    data = _BROADCAST + _SENDER + struct.pack(">H", _ETHERTYPE) + content + filling
    return struct.pack(">I", len(data)) + data


@contextmanager
def connect() -> Iterator[tuple[FrameSource, socket.socket]]:
    """Sends frames in a thread; yields the source, and the socket for ``-netdev socket,fd=``."""
    ours, theirs = socket.socketpair()
    source = FrameSource(ours)
    sender = threading.Thread(target=source.run, daemon=True)
    reader = threading.Thread(target=_discard_all, args=(ours,), daemon=True)
    with ours, theirs:
        sender.start()
        reader.start()
        try:
            yield source, theirs
        finally:
            source.stop()
            ours.shutdown(socket.SHUT_RDWR)  # which ends both threads
            sender.join()
            reader.join()


def _discard_all(connection: socket.socket) -> None:
    with suppress(OSError):  # QEMU has ended
        while connection.recv(1 << 16):
            pass
