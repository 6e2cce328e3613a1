# SPDX-License-Identifier: GPL-2.0-or-later
"""The network that broadcasts frames; without QEMU."""

from __future__ import annotations

import socket
import struct

from romforge.verify import frame_source
from romforge.verify.frame_source import BEGIN, END
from tests.support.project import PATIENCE


def read_frame(connection: socket.socket) -> bytes:
    """The next frame, without its length."""
    (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(length, socket.MSG_WAITALL)


def test_frames_have_the_chosen_content():
    """Broadcasts of EtherType 88b5, each with other bytes; nothing before a choice."""
    with frame_source.connect() as (source, connection):
        connection.settimeout(PATIENCE)
        source.send(BEGIN)
        first, second = read_frame(connection), read_frame(connection)
        assert first[:6] == b"\xff" * 6
        assert first[12:15] == b"\x88\xb5" + BEGIN
        assert first != second
        source.send(END)
        while read_frame(connection)[14:15] != END:
            pass
        assert source.sent <= 2  # counted anew
        connection.sendall(bytes(1 << 20))  # is discarded, or this would not end


def test_a_network_ends_although_nobody_reads():
    """The sender is blocked by then, or not; both threads end."""
    with frame_source.connect() as (source, connection):
        source.send(BEGIN)
        read_frame(connection)
    assert connection.fileno() == -1
