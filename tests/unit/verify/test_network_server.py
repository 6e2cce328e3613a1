# SPDX-License-Identifier: GPL-2.0-or-later
"""The network for boots over IPv6: each message without QEMU, then boots in QEMU."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.base.arch import Arch
from romforge.plan import planner
from romforge.spec import loader
from romforge.verify import boot, cases, network_server
from romforge.verify.boot import CheckFailed
from romforge.verify.network_server import GUEST, LINK_LOCAL, MAC, SERVER, Server
from tests.support.project import spec_text
from tests.support.proofs import E1000

CLIENT, CLIENT_ADDRESS = bytes.fromhex("525400123456"), IPv6Address("fe80::5054:ff:fe12:3456")
FILE = bytes(range(256)) * 8
ALL_ROUTERS, ALL_DHCP_SERVERS = IPv6Address("ff02::2"), IPv6Address("ff02::1:2")


@pytest.fixture
def server() -> Server:
    return Server({"boot": FILE}, "boot")


def frame(source: IPv6Address, destination: IPv6Address, protocol: int, body: bytes) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(body), protocol, 255)
    return MAC + CLIENT + b"\x86\xdd" + head + source.packed + destination.packed + body


def udp(destination: IPv6Address, port: int, data: bytes, source: int = 1234) -> bytes:
    body = struct.pack(">HHHH", source, port, 8 + len(data), 0) + data
    return frame(CLIENT_ADDRESS, destination, 17, body)


def option(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


def options(data: bytes) -> dict[int, bytes]:
    contents = {}
    while data:
        code, length = struct.unpack_from(">HH", data)
        contents[code] = data[4 : 4 + length]
        data = data[4 + length :]
    return contents


def only_frame(frames: Sequence[bytes]) -> tuple[IPv6Address, IPv6Address, bytes]:
    """Source, destination and body of the only frame, after a check of its checksum."""
    (reply,) = frames
    assert reply[6:14] == MAC + b"\x86\xdd"
    length, protocol = struct.unpack_from(">HB", reply, 18)
    body = reply[54:]
    assert len(body) == length
    pseudo = reply[22:54] + struct.pack(">II", length, protocol) + body
    pseudo += bytes(len(pseudo) % 2)
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    assert (total & 0xFFFF) + (total >> 16) in (0xFFFF, 0x1FFFE)
    return IPv6Address(reply[22:38]), IPv6Address(reply[38:54]), body


def data_of(frames: Sequence[bytes]) -> tuple[int, bytes]:
    """The source port and the data of the only frame, which must be UDP."""
    _, destination, body = only_frame(frames)
    assert destination == CLIENT_ADDRESS
    port, _, length = struct.unpack_from(">HHH", body)
    assert length == len(body)
    return port, body[8:]


# Neighbours and routers


def test_a_router_sends_guests_to_dhcp(server: Server):
    solicitation = frame(CLIENT_ADDRESS, ALL_ROUTERS, 58, bytes([133]) + bytes(7))
    source, destination, body = only_frame(server.answer(solicitation))
    assert (source, destination) == (LINK_LOCAL, IPv6Address("ff02::1"))
    assert (body[0], body[5] & 0x80) == (134, 0x80)  # managed
    assert GUEST.packed[:8] + bytes(8) in body


@pytest.mark.parametrize("address", [LINK_LOCAL, SERVER])
def test_its_own_addresses_are_resolved(server: Server, address: IPv6Address):
    solicitation = frame(CLIENT_ADDRESS, address, 58, bytes([135]) + bytes(7) + address.packed)
    source, destination, body = only_frame(server.answer(solicitation))
    assert (source, destination) == (address, CLIENT_ADDRESS)
    assert (body[0], body[8:24], body[26:32]) == (136, address.packed, MAC)


def test_a_guest_s_own_addresses_are_free(server: Server):
    """Nobody answers when the guest checks whether an address is in use."""
    for address in (CLIENT_ADDRESS, GUEST):
        solicitation = bytes([135]) + bytes(7) + address.packed
        assert server.answer(frame(IPv6Address("::"), address, 58, solicitation)) == []
        assert server.answer(frame(CLIENT_ADDRESS, address, 58, solicitation)) == []


# DHCPv6

DUID = option(1, b"client")
IA = option(3, b"\1\2\3\4" + bytes(8))


@pytest.mark.parametrize(("request_type", "reply_type"), [(1, 2), (3, 7), (5, 7), (6, 7)])
def test_dhcp_has_an_address_and_the_boot_file(server: Server, request_type: int, reply_type: int):
    request = bytes([request_type]) + b"abc" + DUID + IA
    _, reply = data_of(server.answer(udp(ALL_DHCP_SERVERS, 547, request)))
    assert reply[:4] == bytes([reply_type]) + b"abc"
    contents = options(reply[4:])
    assert contents[1] == b"client"
    assert contents[59] == f"tftp://[{SERVER}]/boot".encode()
    assert contents[3][:4] == b"\1\2\3\4"
    assert options(contents[3][12:])[5][:16] == GUEST.packed


def test_an_information_request_gets_no_address(server: Server):
    _, reply = data_of(server.answer(udp(ALL_DHCP_SERVERS, 547, b"\x0babc" + DUID)))
    assert (reply[0], set(options(reply[4:]))) == (7, {1, 2, 59})


@pytest.mark.parametrize("request_type", [4, 8, 9])
def test_other_messages_are_confirmed(server: Server, request_type: int):
    request = bytes([request_type]) + b"abc" + DUID
    _, reply = data_of(server.answer(udp(ALL_DHCP_SERVERS, 547, request)))
    assert (reply[0], options(reply[4:])[13]) == (7, b"\0\0")


def test_messages_for_another_server_are_ignored(server: Server):
    message = b"\x03abc" + DUID + option(2, b"another") + IA
    assert server.answer(udp(ALL_DHCP_SERVERS, 547, message)) == []
    assert server.answer(udp(ALL_DHCP_SERVERS, 547, b"\x0cabc")) == []  # a relay's


# TFTP


def fetch(server: Server, request: bytes) -> tuple[list[bytes], bytes]:
    """All messages of a transfer, and the file."""
    port, reply = data_of(server.answer(udp(SERVER, 69, request)))
    messages = [reply]
    content = b""
    while True:
        operation, number = struct.unpack_from(">HH", reply)
        if operation == 6:
            number = 0
        else:
            assert operation == 3
            content += reply[4:]
        answer = server.answer(udp(SERVER, port, struct.pack(">HH", 4, number)))
        if not answer:
            return messages, content
        answer_port, reply = data_of(answer)
        assert answer_port == port
        messages.append(reply)


def test_a_file_is_sent_in_blocks(server: Server):
    """The last block is shorter than the others, here empty, and ends the transfer."""
    messages, content = fetch(server, b"\0\1boot\0octet\0")
    assert content == FILE
    assert [len(message) - 4 for message in messages] == [512, 512, 512, 512, 0]
    assert server.events[-1] == "TFTP complete"


def test_options_are_granted_or_ignored(server: Server):
    messages, content = fetch(
        server, b"\0\1/boot\0octet\0tsize\x000\0blksize\x009000\0windowsize\x004\0"
    )
    assert messages[0] == b"\0\6blksize\x001428\0tsize\x002048\0"
    assert content == FILE
    _, content = fetch(server, b"\0\1boot\0octet\0blksize\x001000\0")
    assert content == FILE


def test_a_missing_file_is_an_error(server: Server):
    _, reply = data_of(server.answer(udp(SERVER, 69, b"\0\1other\0octet\0")))
    assert reply.startswith(b"\0\5\0\1")
    assert server.answer(udp(SERVER, 69, b"\0\2boot\0octet\0")) == []  # writing
    assert server.answer(udp(SERVER, 41000, b"\0\4\0\1")) == []
    assert server.answer(udp(LINK_LOCAL, 69, b"\0\1boot\0octet\0")) == []


# Other frames


def test_ipv4_is_offered_no_boot_file(server: Server):
    message = (
        b"\1\1\6\0abcd"
        + bytes(20)
        + CLIENT
        + bytes(10 + 192)
        + bytes.fromhex("63825363")
        + b"\x35\1\1\xff"
    )
    packet = bytes.fromhex("4500000000000000401100000000000000000000") + struct.pack(
        ">HHHH", 68, 67, 8 + len(message), 0
    )
    (reply,) = server.answer(b"\xff" * 6 + CLIENT + b"\x08\x00" + packet + message)
    offer = reply[42:]
    assert offer[:8] == b"\2\1\6\0abcd"
    assert offer[44:236] == bytes(192)  # no names of a server or a file
    assert b"\x35\1\2" in offer
    assert server.answer(b"\xff" * 6 + CLIENT + b"\x08\x06" + bytes(28)) == []  # ARP


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x86\xdd", b"\x08\x00"]))
def test_any_frame_is_survived(data: bytes, kind: bytes):
    Server({}, "boot").answer(data[:12] + kind + data[12:])


@given(st.binary(max_size=100), st.sampled_from([69, 547, 40000]), st.integers(0, 101))
def test_any_message_is_survived(data: bytes, port: int, cut: int):
    Server({"boot": FILE}, "boot").answer(udp(SERVER, port, data)[: 62 + cut])


# In QEMU


def prove(tmp_path: Path, rom: bytes) -> str:
    boot.fresh_directory(tmp_path / "guest")
    proof = cases.of_device(cases.UEFI, Arch.X86_64, "e1000", E1000)._replace(network=cases.IPV6)
    return boot.prove_boot(proof, rom, tmp_path / "guest", tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.qemu
def test_a_driver_boots_over_ipv6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes):
    """DHCPv6 has its address and the file's name."""
    servers = []

    class RecordedServer(Server):
        def __init__(self, files: dict[str, bytes], boot_file: str) -> None:
            super().__init__(files, boot_file)
            servers.append(self)

    monkeypatch.setattr(network_server, "Server", RecordedServer)
    assert prove(tmp_path, e1000) == "booted by 82540em.efidrv"
    (server,) = servers
    expected = [
        "router solicitation",
        "DHCPv6 SOLICIT",
        "DHCPv6 REQUEST",
        "TFTP boot",
        "TFTP complete",
    ]
    assert set(expected) <= set(server.events)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_missing_file_fails_over_ipv6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, e1000: bytes
):
    monkeypatch.setattr(
        network_server.Server,
        "_tftp_request",
        lambda self, message: (40000, b"\0\5\0\1no such file\0"),
    )
    with pytest.raises(
        CheckFailed,
        match=r"the firmware tried to boot from the network, and the download failed: PXE-E",
    ):
        prove(tmp_path, e1000)


def test_networks_have_columns_of_their_own(tmp_path: Path):
    """Only IPv4 by default; a PC BIOS has IPv4 whatever the spec says."""
    for key, expected in {
        "": {"x86_64-romfile"},
        'network = ["ipv6"]': {"x86_64-romfile-ipv6"},
        'network = ["ipv4", "ipv6"]': {"x86_64-romfile", "x86_64-romfile-ipv6"},
    }.items():
        text = spec_text("roms", extra=f'[verify]\nroms = ["romfile"]\n{key}\n')
        (tmp_path / "romspec.toml").write_text(text)
        spec = loader.load_spec(tmp_path / "romspec.toml")
        columns = {
            proof.column: proof
            for proof in cases.make_proofs(spec, planner.make_plan(spec))
            if "efi-" in proof.rom
        }
        assert columns.keys() == {"structure", "bios-romfile", *expected}
        for name, proof in columns.items():
            assert (proof.network == "ipv6") == ("ipv6" in name)
