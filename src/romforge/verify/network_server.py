# SPDX-License-Identifier: GPL-2.0-or-later
"""The network of a guest that boots by PXE over IPv6; QEMU's own network has no DHCPv6.

``Server.answer`` takes an Ethernet frame from the guest and returns the frames to send back. It
knows neither sockets nor time. ``serve`` connects it to QEMU's ``-netdev socket``.

The server is a router that sends guests to DHCPv6 (RFC 4861, RFC 8415), a DHCPv6 server that names
the boot file (RFC 5970), and a TFTP server that has it (RFC 1350, RFC 2347 to 2349). Over IPv4 it
offers an address and no boot file. Firmware that tries IPv4 first then goes on to IPv6 at once, and
does not wait a minute for an answer.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

MAC = bytes.fromhex("520000000001")
LINK_LOCAL = IPv6Address("fe80::5000:ff:fe00:1")
SERVER = IPv6Address("fd72:6f6d::1")
GUEST = IPv6Address("fd72:6f6d::100")
_PREFIX, _PREFIX_LENGTH = IPv6Address("fd72:6f6d::"), 64
_SERVER_V4, _GUEST_V4 = IPv4Address("10.0.2.2"), IPv4Address("10.0.2.15")

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6 = 0x0800, 0x86DD
_UDP, _ICMPV6 = 17, 58
_HOP_LIMIT = 255  # required by neighbour discovery
_ROUTER_SOLICITATION, _ROUTER_ADVERTISEMENT = 133, 134
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
_ECHO_REQUEST, _ECHO_REPLY = 128, 129
_MANAGED_AND_OTHER = 0xC0  # DHCPv6 has addresses and all other settings
_ON_LINK = 0x80
_ROUTER_SOLICITED_OVERRIDE = 0xE0000000
_LIFETIME = 1800  # seconds

_DHCP_SERVER_V4, _DHCP_CLIENT_V4 = 67, 68
_DHCP_V4_OPTIONS = 240  # offset of the options in a message
_DHCP_V4_MAGIC = bytes.fromhex("63825363")
_DHCP_CLIENT, _DHCP_SERVER = 546, 547
_SOLICIT, _ADVERTISE, _REPLY = 1, 2, 7
_MESSAGES = {
    1: "SOLICIT",
    3: "REQUEST",
    4: "CONFIRM",
    5: "RENEW",
    6: "REBIND",
    8: "RELEASE",
    9: "DECLINE",
    11: "INFORMATION-REQUEST",
}
_WITH_ADDRESS = (1, 3, 5, 6)  # messages whose reply has an address
_WITH_STATUS = (4, 8, 9)  # messages whose reply has a status and no boot file
_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_ADDRESS, _STATUS_CODE, _BOOT_FILE_URL = 1, 2, 3, 5, 13, 59
_DUID = struct.pack(">HH", 3, 1) + MAC  # made of a link-layer address (RFC 8415, 11.4)

_TFTP = 69
_FIRST_TFTP_PORT = 40000
_RRQ, _DATA, _ACK, _ERROR, _OACK = 1, 3, 4, 5, 6
_SMALLEST_BLOCK, _DEFAULT_BLOCK = 8, 512  # bytes
_LARGEST_BLOCK = 1428  # fits into an Ethernet frame over IPv6


class Packet(NamedTuple):
    """An IPv6 packet from the guest, and the MAC address that sent it."""

    mac: bytes
    source: IPv6Address
    destination: IPv6Address
    protocol: int
    payload: bytes


class Endpoint(NamedTuple):
    """An address and a UDP port."""

    address: IPv6Address
    port: int


class Transfer(NamedTuple):
    """A file that is being sent to the guest."""

    data: bytes
    block: int  # bytes


class Server:
    """The router, DHCPv6 and TFTP server; ``events`` lists the requests, as text."""

    def __init__(self, files: Mapping[str, bytes], boot_file: str) -> None:
        self.files = files
        self.url = f"tftp://[{SERVER}]/{boot_file}"
        self.events: list[str] = []
        self._transfers: dict[int, Transfer] = {}  # by our port

    def answer(self, frame: bytes) -> list[bytes]:
        """The frames that answer a frame; none for one that is not for us, or is malformed."""
        try:
            return self._answer(frame)
        except (struct.error, IndexError, ValueError, UnicodeDecodeError):
            return []

    def _answer(self, frame: bytes) -> list[bytes]:
        mac = frame[6:12]
        (ethertype,) = struct.unpack_from(">H", frame, 12)
        if ethertype == _ETHERTYPE_IPV4:
            return self._ipv4(mac, frame[14:])
        if ethertype != _ETHERTYPE_IPV6:
            return []
        length, protocol = struct.unpack_from(">HB", frame, 14 + 4)
        source, destination = IPv6Address(frame[22:38]), IPv6Address(frame[38:54])
        packet = Packet(mac, source, destination, protocol, frame[54 : 54 + length])
        if protocol == _ICMPV6:
            return self._icmp(packet)
        if protocol == _UDP:
            return self._udp(packet)
        return []

    def _icmp(self, packet: Packet) -> list[bytes]:
        message_type = packet.payload[0]
        if message_type == _ROUTER_SOLICITATION:
            return [self._advertise_router(packet)]
        if message_type == _NEIGHBOUR_SOLICITATION:
            target = IPv6Address(packet.payload[8:24])
            if target not in (LINK_LOCAL, SERVER) or packet.source.is_unspecified:
                return []
            body = struct.pack(">BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _ROUTER_SOLICITED_OVERRIDE)
            body += target.packed + b"\x02\x01" + MAC
            return [_ipv6(packet.mac, target, packet.source, _ICMPV6, body)]
        if message_type == _ECHO_REQUEST and packet.destination in (LINK_LOCAL, SERVER):
            body = struct.pack(">BBH", _ECHO_REPLY, 0, 0) + packet.payload[4:]
            return [_ipv6(packet.mac, packet.destination, packet.source, _ICMPV6, body)]
        return []

    def _advertise_router(self, packet: Packet) -> bytes:
        self.events.append("router solicitation")
        body = struct.pack(
            ">BBHBBHII",
            _ROUTER_ADVERTISEMENT,
            0,
            0,
            64,  # hop limit
            _MANAGED_AND_OTHER,
            _LIFETIME,
            0,
            0,
        )
        body += b"\x01\x01" + MAC  # source link-layer address
        body += struct.pack(">BBBBIII", 3, 4, _PREFIX_LENGTH, _ON_LINK, _LIFETIME, _LIFETIME, 0)
        body += _PREFIX.packed
        all_nodes = IPv6Address("ff02::1")
        return _ipv6(bytes.fromhex("333300000001"), LINK_LOCAL, all_nodes, _ICMPV6, body)

    def _udp(self, packet: Packet) -> list[bytes]:
        source_port, port, length = struct.unpack_from(">HHH", packet.payload)
        data = packet.payload[8:length]
        if port == _DHCP_SERVER:
            reply = self._dhcp(data)
            if reply is None:
                return []
            client = Endpoint(packet.source, _DHCP_CLIENT)
            return [_udp_frame(packet.mac, Endpoint(LINK_LOCAL, _DHCP_SERVER), client, reply)]
        if packet.destination != SERVER:
            return []
        answer = self._tftp(port, data)
        if answer is None:
            return []
        answer_port, reply = answer
        client = Endpoint(packet.source, source_port)
        return [_udp_frame(packet.mac, Endpoint(SERVER, answer_port), client, reply)]

    def _dhcp(self, message: bytes) -> bytes | None:
        """The reply to a DHCPv6 message; None for one that is not for us."""
        message_type, transaction = message[0], message[1:4]
        if message_type not in _MESSAGES:
            return None
        self.events.append(f"DHCPv6 {_MESSAGES[message_type]}")
        options = dict(_options(message[4:]))
        if options.get(_SERVER_ID, _DUID) != _DUID:
            return None  # it is for another server
        reply_type = _REPLY
        if message_type == _SOLICIT:
            reply_type = _ADVERTISE
        reply = bytes([reply_type]) + transaction
        if _CLIENT_ID in options:
            reply += _option(_CLIENT_ID, options[_CLIENT_ID])
        reply += _option(_SERVER_ID, _DUID)
        if message_type in _WITH_ADDRESS and _IA_NA in options:
            address = GUEST.packed + struct.pack(">II", _LIFETIME, _LIFETIME)
            association = options[_IA_NA][:4] + struct.pack(">II", _LIFETIME // 2, _LIFETIME)
            reply += _option(_IA_NA, association + _option(_IA_ADDRESS, address))
        if message_type in _WITH_STATUS:
            reply += _option(_STATUS_CODE, b"\0\0")
        else:
            reply += _option(_BOOT_FILE_URL, self.url.encode())
        return reply

    def _tftp(self, port: int, message: bytes) -> tuple[int, bytes] | None:
        """The port that answers a TFTP message, and its answer; None where there is no answer."""
        if port == _TFTP:
            return self._tftp_request(message)
        return self._tftp_acknowledged(port, message)

    def _tftp_request(self, message: bytes) -> tuple[int, bytes] | None:
        """The answer to a read request: the port that sends the file, and its first message."""
        (operation,) = struct.unpack_from(">H", message)
        if operation != _RRQ:
            return None
        parts = [part.decode() for part in message[2:].split(b"\0")[:-1]]
        name, _, *pairs = parts
        name = name.lstrip("/")
        self.events.append(f"TFTP {name}")
        port = _FIRST_TFTP_PORT + len(self._transfers)
        data = self.files.get(name)
        if data is None:
            return port, struct.pack(">HH", _ERROR, 1) + b"File not found\0"
        options = {key.lower(): value for key, value in zip(pairs[::2], pairs[1::2])}
        granted = {}
        block = _DEFAULT_BLOCK
        if "blksize" in options:
            block = max(_SMALLEST_BLOCK, min(int(options["blksize"]), _LARGEST_BLOCK))
            granted["blksize"] = block
        if "tsize" in options:
            granted["tsize"] = len(data)
        transfer = Transfer(data, block)
        self._transfers[port] = transfer
        if not granted:
            return port, _data_message(transfer, 1)
        reply = struct.pack(">H", _OACK)
        for key, number in granted.items():
            reply += f"{key}\0{number}\0".encode()
        return port, reply

    def _tftp_acknowledged(self, port: int, message: bytes) -> tuple[int, bytes] | None:
        """The block after an acknowledged one; None after the last, or where the client aborts."""
        operation, number = struct.unpack_from(">HH", message)
        transfer = self._transfers.get(port)
        if transfer is None or operation != _ACK:
            return None
        if number * transfer.block > len(transfer.data):
            self.events.append("TFTP complete")
            return None
        return port, _data_message(transfer, number + 1)

    def _ipv4(self, mac: bytes, packet: bytes) -> list[bytes]:
        """The answer to a DHCPv4 DISCOVER: an offer without a boot file, which PXE ignores."""
        header = (packet[0] & 0xF) * 4
        if packet[9] != _UDP:
            return []
        (destination,) = struct.unpack_from(">H", packet, header + 2)
        message = packet[header + 8 :]
        if destination != _DHCP_SERVER_V4 or message[0] != 1:
            return []
        if b"\x35\x01\x01" not in message[_DHCP_V4_OPTIONS:]:
            return []  # not a DISCOVER
        self.events.append("DHCPv4 DISCOVER")
        offer = b"\x02" + message[1:12] + bytes(4) + _GUEST_V4.packed + _SERVER_V4.packed + bytes(4)
        offer += message[28:44] + bytes(192) + _DHCP_V4_MAGIC
        offer += b"\x35\x01\x02" + b"\x36\x04" + _SERVER_V4.packed
        offer += b"\x33\x04" + struct.pack(">I", _LIFETIME) + b"\x01\x04\xff\xff\xff\x00\xff"
        udp = struct.pack(">HHHH", _DHCP_SERVER_V4, _DHCP_CLIENT_V4, 8 + len(offer), 0) + offer
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, _UDP, 0)
        head += _SERVER_V4.packed + b"\xff\xff\xff\xff"
        head = head[:10] + _checksum(head) + head[12:]
        return [mac + MAC + struct.pack(">H", _ETHERTYPE_IPV4) + head + udp]


def _data_message(transfer: Transfer, number: int) -> bytes:
    start = (number - 1) * transfer.block
    return struct.pack(">HH", _DATA, number) + transfer.data[start : start + transfer.block]


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The codes and contents of the options of a DHCPv6 message."""
    while len(data) >= 4:
        code, length = struct.unpack_from(">HH", data)
        yield code, data[4 : 4 + length]
        data = data[4 + length :]


def _option(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


def _udp_frame(mac: bytes, source: Endpoint, destination: Endpoint, data: bytes) -> bytes:
    body = struct.pack(">HHHH", source.port, destination.port, 8 + len(data), 0) + data
    return _ipv6(mac, source.address, destination.address, _UDP, body)


def _ipv6(
    mac: bytes,
    source: IPv6Address,
    destination: IPv6Address,
    protocol: int,
    body: bytes,
) -> bytes:
    """A frame to the guest. Fills in the checksum of ``body``, where it must be 0."""
    offset = 6
    if protocol == _ICMPV6:
        offset = 2
    pseudo_header = source.packed + destination.packed + struct.pack(">II", len(body), protocol)
    body = body[:offset] + _checksum(pseudo_header + body) + body[offset + 2 :]
    head = struct.pack(">IHBB", 6 << 28, len(body), protocol, _HOP_LIMIT)
    head += source.packed + destination.packed
    return mac + MAC + struct.pack(">H", _ETHERTYPE_IPV6) + head + body


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071). 0 means that there is none, so ffff is sent for it."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", (total ^ 0xFFFF) or 0xFFFF)


@contextmanager
def serve(server: Server) -> Iterator[socket.socket]:
    """Answers a guest in a thread; yields the socket for QEMU's ``-netdev socket,fd=``."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=_answer_all, args=(server, ours), daemon=True)
    with ours, theirs:
        thread.start()
        try:
            yield theirs
        finally:
            ours.shutdown(socket.SHUT_RDWR)  # which ends the thread
            thread.join()


def _answer_all(server: Server, connection: socket.socket) -> None:
    """Answers frames until QEMU ends. A frame follows its length of 4 bytes, in both directions."""
    try:
        with connection.makefile("rb") as stream:
            while True:
                prefix = stream.read(4)
                if len(prefix) < 4:
                    return
                (length,) = struct.unpack(">I", prefix)
                for reply in server.answer(stream.read(length)):
                    connection.sendall(struct.pack(">I", len(reply)) + reply)
    except OSError:
        return  # QEMU has ended
