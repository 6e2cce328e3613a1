# SPDX-License-Identifier: GPL-2.0-or-later
"""Option ROMs: structures, the chain of images, and the bytes that ``rewrite`` changes."""

from __future__ import annotations

import pickle
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from romforge.base.errors import FormatError
from romforge.base.pci_id import PciId
from romforge.formats import efi_image, option_rom, pe, rom_check, stub_image
from romforge.formats.option_rom import (
    EfiHeader,
    Image,
    IpxeHeader,
    LegacyHeader,
    PciDataStructure,
    PnpHeader,
    UndiHeader,
)
from romforge.formats.structure import Structure
from tests.support import builders, debian
from tests.support.builders import E1000, PCIR, efi, legacy

STRUCTURES = (
    LegacyHeader,
    EfiHeader,
    PciDataStructure,
    IpxeHeader,
    UndiHeader,
    PnpHeader,
    pe.DosHeader,
    pe.CoffHeader,
    pe.OptionalHeader,
)
RTL8139 = PciId(0x10EC, 0x8139)
IDS = st.builds(PciId, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))


def each_image(releases: dict[str, Path]) -> list[tuple[str, bytes, Image]]:
    """The images of all 48 ROMs, each with the file's name and bytes."""
    roms = {
        f"{suite}/{name}": (releases[suite] / name).read_bytes()
        for suite in releases
        for name in debian.ROMS
    }
    assert len(roms) == 48
    images = [
        (name, data, image)
        for name, data in roms.items()
        for image in option_rom.parse_rom(data).images
    ]
    assert len(images) == 72  # 48 legacy, and an EFI one in each efi-*
    return images


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.__name__)
def test_a_structure_emits_the_bytes_it_was_read_from_whatever_they_are(kind: type[Structure]):
    @given(st.binary(min_size=kind.LAYOUT.size, max_size=kind.LAYOUT.size), st.binary(max_size=9))
    def round_trip(data: bytes, before: bytes) -> None:
        read = kind.parse(before + data, len(before))
        assert read.emit() == data
        assert kind.parse(read.emit()) == read

    round_trip()


@pytest.mark.parametrize("kind", STRUCTURES, ids=lambda kind: kind.__name__)
def test_a_structure_outside_its_data_is_refused_with_its_name_and_place(kind: type[Structure]):
    size = kind.LAYOUT.size
    kind.parse(bytes(size + 3), 3)
    for data, offset in ((bytes(size - 1), 0), (bytes(size + 3), 4), (bytes(size), -1), (b"", 0)):
        with pytest.raises(FormatError, match=r"^offset .*lies outside") as caught:
            kind.parse(data, offset)
        assert caught.value.offset == offset
        assert kind.TITLE in caught.value.message


def test_field_widths_follow_the_specification():
    """The offsets of the fields that other programs read, from the PCI and UEFI specifications."""
    places: dict[type[Structure], dict[str, int]] = {
        LegacyHeader: {
            "initialization_blocks": 2,
            "checksum": 6,
            "ipxe_pointer": 0x10,
            "undi_pointer": 0x16,
        },
        EfiHeader: {
            "efi_signature": 4,
            "subsystem": 8,
            "machine": 0xA,
            "compression_type": 0xC,
            "efi_image_offset": 0x16,
        },
        PciDataStructure: {
            "vendor_id": 4,
            "device_id": 6,
            "device_list_pointer": 8,
            "length": 0xA,
            "revision": 0xC,
            "class_code": 0xD,
        },
    }
    places[LegacyHeader] |= {"pcir_pointer": 0x18, "pnp_pointer": 0x1A}
    places[EfiHeader] |= {"initialization_blocks": 2, "pcir_pointer": 0x18}
    places[PciDataStructure] |= {
        "image_blocks": 0x10,
        "code_type": 0x14,
        "indicator": 0x15,
        "max_runtime_blocks": 0x16,
    }
    for kind, expected in places.items():
        for name, place in expected.items():
            touched, blank = (
                vars(kind.parse(builders.changed(bytes(64), place, b"\1"))),
                vars(kind.parse(bytes(64))),
            )
            assert [field for field in blank if touched[field] != blank[field]] == [name], kind


def test_every_structure_of_debians_48_roms_survives_a_round_trip(releases: dict[str, Path]):
    checked: dict[type[Structure], int] = dict.fromkeys(STRUCTURES, 0)
    for name, data, image in each_image(releases):
        places: list[tuple[type[Structure], int]] = [
            (type(image.header), 0),
            (PciDataStructure, image.header.pcir_pointer),
        ]
        if isinstance(image.header, LegacyHeader):
            places += [
                (IpxeHeader, image.header.ipxe_pointer),
                (UndiHeader, image.header.undi_pointer),
            ]
            places += [(PnpHeader, image.header.pnp_pointer)]
        for kind, place in places:
            raw = data[image.offset + place :][: kind.LAYOUT.size]
            assert kind.parse(image.data, place).emit() == raw, (name, kind)
            checked[kind] += 1
        if isinstance(image.header, EfiHeader):
            driver = option_rom.driver_of(image)
            dos = pe.DosHeader.parse(driver)
            for kind, place in (
                (pe.DosHeader, 0),
                (pe.CoffHeader, dos.pe_pointer),
                (pe.OptionalHeader, dos.pe_pointer + 24),
            ):
                assert (
                    kind.parse(driver, place).emit() == driver[place : place + kind.LAYOUT.size]
                ), (name, kind)
                checked[kind] += 1
    assert set(checked.values()) == {24, 48, 72}


def test_the_ipxe_undi_and_pnp_headers_lie_where_a_legacy_header_points(releases: dict[str, Path]):
    for name, _, image in each_image(releases):
        if isinstance(image.header, LegacyHeader):
            for signature, place in (
                (b"iPXE", image.header.ipxe_pointer),
                (b"UNDI", image.header.undi_pointer),
                (b"$PnP", image.header.pnp_pointer),
            ):
                assert image.data[place : place + 4] == signature, name


def test_the_images_of_debians_roms_lie_one_behind_the_other_and_fill_the_file_but_for_ff(
    releases: dict[str, Path],
):
    for suite, directory in releases.items():
        for name in debian.ROMS:
            data = (directory / name).read_bytes()
            chain = option_rom.parse_chain(data)
            assert chain.fault is None
            assert b"".join(image.data for image in chain.images).ljust(len(data), b"\xff") == data
            assert [image.offset for image in chain.images] == [0, len(chain.images[0].data)][
                : len(chain.images)
            ]
            assert [image.kind for image in chain.images] == (
                ["legacy", "x86_64"] if name.startswith("efi") else ["legacy"]
            ), suite
            assert [image.is_last for image in chain.images] == [False, True][-len(chain.images) :]


@given(
    st.lists(st.sampled_from(["legacy", "x86_64", "arm64"]), min_size=1, max_size=8),
    IDS,
    st.binary(max_size=40),
)
def test_a_chain_of_built_images_is_found_again(kinds: list[str], ids: PciId, behind: bytes):
    machines = {"x86_64": builders.X86_64, "arm64": builders.ARM64}
    images = []
    for index, kind in enumerate(kinds):
        last = index == len(kinds) - 1
        images.append(
            efi(ids=ids, last=last, machine=machines[kind])
            if kind in machines
            else legacy(ids, last=last, blocks=1 + index)
        )
    chain = option_rom.parse_chain(b"".join(images) + behind)
    assert chain.fault is None
    assert [image.data for image in chain.images] == images
    assert [image.kind for image in chain.images] == kinds
    assert {image.ids for image in chain.images} == {ids}
    assert chain.end == sum(map(len, images))


def test_an_image_of_another_code_type_and_one_of_an_unknown_machine_have_names_too():
    other = builders.with_field(legacy(), PciDataStructure, PCIR, code_type=1)
    assert option_rom.parse_image(other).kind == "type 0x01"
    assert option_rom.parse_image(efi(machine=0x1234)).kind == "machine 0x1234"


def test_a_broken_chain_has_its_fault_and_the_images_before_it():
    first = legacy(last=False)
    for behind, offset, message in (
        (b"", 1024, "the file ends, and no image is marked as the last"),
        (b"\xff" * 512, 1024, "padding begins, and no image is marked as the last"),
        (bytes(512), 1024, "padding begins, and no image is marked as the last"),
        (b"\x90" * 512, 1024, "no expansion ROM signature: 90 90 where 55 aa must be"),
        (
            legacy()[:1000],
            2048 - 1024 + PCIR + 0x10,
            "the image length 1,024 bytes (0x400) exceeds the end of the file by 24 bytes (0x18)",
        ),
    ):
        chain = option_rom.parse_chain(first + behind)
        assert [image.data for image in chain.images] == [first]
        assert chain.end == 1024
        assert chain.fault is not None
        assert (chain.fault.offset, chain.fault.message) == (offset, message)
        with pytest.raises(FormatError, match="offset"):
            option_rom.parse_rom(first + behind)


def test_a_chain_ends_after_32_images():
    chain = option_rom.parse_chain(legacy(last=False) * 40)
    assert len(chain.images) == option_rom.MAX_IMAGES == 32
    assert chain.fault is not None
    assert (chain.fault.offset, chain.fault.message) == (32 * 1024, "more than 32 images")
    just = option_rom.parse_chain(legacy(last=False) * 31 + legacy())
    assert just.fault is None
    assert len(just.images) == 32


def test_padding_is_all_ff_or_all_zero():
    assert all(
        option_rom.is_padding(data) for data in (b"", b"\xff", b"\0", b"\xff" * 999, bytes(999))
    )
    assert not any(
        option_rom.is_padding(data) for data in (b"\xff\0", b"\0\xff", b"\xff\xff\x01\xff", b"\x01")
    )


def changes(before: bytes, after: bytes) -> set[int]:
    """The offsets at which two files of one length differ."""
    assert len(before) == len(after)
    return {index for index, (old, new) in enumerate(zip(before, after)) if old != new}


def test_the_legacy_image_of_each_efi_rom_marked_as_last_is_the_pxe_rom_byte_for_byte(
    releases: dict[str, Path],
):
    """Debian builds the two separately: their equality proves which byte corrects the checksum."""
    for suite, directory in releases.items():
        for nic in debian.NICS:
            both = option_rom.parse_rom((directory / f"efi-{nic}.rom").read_bytes()).images[0]
            alone = option_rom.parse_rom((directory / f"pxe-{nic}.rom").read_bytes()).images[0]
            assert option_rom.rewrite(both, last=True).data == alone.data, (suite, nic)
            assert option_rom.rewrite(alone, last=False).data == both.data, (suite, nic)


def test_marking_an_efi_image_changes_the_indicator_and_no_more_than_the_byte_behind_pcir(
    releases: dict[str, Path],
):
    for name, _, image in each_image(releases):
        if isinstance(image.header, EfiHeader):
            place = image.header.pcir_pointer
            moved = option_rom.rewrite(image, last=False)
            assert not moved.is_last
            assert changes(image.data, moved.data) <= {place + 0x15, place + image.pcir.length}, (
                name
            )
            assert sum(moved.data) % 256 == sum(image.data) % 256, name
            assert option_rom.driver_of(moved) == option_rom.driver_of(image), name


def test_new_ids_leave_sums_and_everything_else_as_they_were(releases: dict[str, Path]):
    """Only the IDs, the device's entry in the list, and the checksum byte change."""
    for name, _, image in each_image(releases):
        new = option_rom.rewrite(image, ids=PciId(0xF1F2, 0xF3F4))
        assert new.ids == PciId(0xF1F2, 0xF3F4), name
        assert sum(new.data) % 256 == sum(image.data) % 256, name
        place = image.header.pcir_pointer
        allowed = set(range(place + 4, place + 8))
        if isinstance(image.header, LegacyHeader):
            assert sum(new.data) % 256 == 0, name
            ipxe = image.header.ipxe_pointer
            assert sum(new.data[ipxe : ipxe + new.data[ipxe + 4]]) % 256 == 0, name
            allowed.add(6)
            devices = option_rom.device_list(image) or []
            entries = [
                place + image.pcir.device_list_pointer + 2 * index
                for index, device in enumerate(devices)
                if device == image.ids.device
            ]
            allowed |= {entry + half for entry in entries for half in (0, 1)}
            assert option_rom.device_list(new) == [
                0xF3F4 if device == image.ids.device else device for device in devices
            ], name
        else:
            allowed.add(place + image.pcir.length)
        assert changes(image.data, new.data) <= allowed, name
        assert option_rom.rewrite(new, ids=image.ids).data == image.data, name


@given(IDS, IDS, st.booleans(), st.booleans(), st.lists(st.integers(1, 0xFFFF), max_size=5))
def test_rewriting_there_and_back_gives_the_same_bytes_and_sums_to_zero(
    old: PciId, new: PciId, was: bool, will: bool, others: list[int]
):
    """A list of several devices that lacks the new one does not come back: see the next test."""
    devices = []
    if old.device and new.device:
        devices.append(old.device)
        devices += [device for device in others if device != old.device]
    for data in (legacy(old, last=was, devices=devices), efi(ids=old, last=was)):
        there = option_rom.rewrite(option_rom.parse_image(data), ids=new, last=will)
        assert (there.ids, there.is_last) == (new, will)
        assert sum(there.data) % 256 == 0
        if len(devices) < 2 or (new.vendor == old.vendor and new.device in devices):
            assert option_rom.rewrite(there, ids=old, last=was).data == data
        elif devices and there.kind.is_legacy and new != old:
            assert option_rom.device_list(there) == [new.device]


@pytest.mark.parametrize(
    ("new", "devices"),
    [
        (E1000, [0x100E, 0x100F, 0x1010]),
        (PciId(0x8086, 0x100F), [0x100E, 0x100F, 0x1010]),
        (PciId(0x8086, 0x10D3), [0x10D3]),
        (PciId(0x8087, 0x100F), [0x100F]),  # the other devices would be of the new vendor
    ],
)
def test_a_device_list_stays_whole_or_has_the_new_device_alone(new: PciId, devices: list[int]):
    listed = [0x100E, 0x100F, 0x1010]
    others = [PciId(0x8086, device) for device in listed[1:]]
    for data in (legacy(devices=listed), efi_image.wrap_driver(builders.driver(), E1000, others)):
        changed = option_rom.rewrite(option_rom.parse_image(data), ids=new)
        assert (changed.ids, option_rom.device_list(changed)) == (new, devices)
        assert sum(changed.data) % 256 == 0
        assert rom_check.find_faults(changed.data) == []


def test_a_device_list_that_lies_in_the_place_of_the_checksum_byte_is_not_changed():
    """EDK2's EfiRom writes the list right behind the PCI Data Structure, and no checksum."""
    listed = b"".join(device.to_bytes(2, "little") for device in (0x100E, 0x100F, 0))
    data = builders.changed(efi(free_byte=False), builders.PCIR_END, listed)
    data = builders.with_field(data, PciDataStructure, PCIR, device_list_pointer=0x18)
    data = builders.mended(data, 0x3E)  # the bytes may sum to 0 by chance
    moved = option_rom.rewrite(option_rom.parse_image(data), last=False)
    assert changes(data, moved.data) == {PCIR + 0x15}
    assert option_rom.device_list(moved) == [0x100E, 0x100F]


def test_before_revision_3_there_is_no_device_list():
    data = builders.with_field(legacy(devices=[0x100E, 0x100F]), PciDataStructure, PCIR, revision=2)
    assert option_rom.device_list(option_rom.parse_image(data)) is None


def test_a_list_counts_where_firmware_reads_it():
    """SeaBIOS compares the IDs of the PCI Data Structure alone."""
    listed = PciId(0x8086, 0x100F)
    old = option_rom.parse_image(legacy(devices=[0x100E, 0x100F]))
    new = option_rom.parse_image(efi_image.wrap_driver(builders.driver(), E1000, [listed]))
    assert option_rom.served_ids(old) == {E1000}
    assert option_rom.served_ids(new) == {E1000, listed}


def test_a_payload_is_no_stub():
    stub = stub_image.make_stub(E1000)
    chain = option_rom.parse_rom(builders.mrom(last=False) + stub)
    assert [image.kind for image in chain.images] == ["legacy", "payload", "stub"]
    assert [image.needs_payload for image in chain.images] == [True, False, False]
    assert not option_rom.parse_image(legacy()).needs_payload
    kind = chain.images[1].kind
    assert pickle.loads(pickle.dumps(kind)) == kind
    other = builders.with_field(
        builders.payload(), option_rom.LegacyHeader, 0, initialization_blocks=3
    )
    assert option_rom.parse_image(other).kind == "type 0xff"


def test_a_payload_belongs_to_the_image_right_before_it():
    first, payload = option_rom.parse_rom(builders.mrom()).images
    other = option_rom.parse_image(efi())
    assert option_rom.group_images([first, payload, other]) == [(first, payload), (other, None)]
    apart = [first, other, payload]
    assert option_rom.group_images(apart) == [(image, None) for image in apart]
    twice = option_rom.group_images([first, payload, payload])
    assert twice == [(first, payload), (payload, None)]


def test_marking_a_payload_changes_the_indicator_and_the_free_byte_never_its_end():
    payload = option_rom.parse_image(builders.payload())
    moved = option_rom.rewrite(payload, ids=RTL8139, last=False)
    assert changes(payload.data, moved.data) <= {6, *range(PCIR + 4, PCIR + 8), PCIR + 0x15}
    assert sum(moved.data) % 256 == 0


def test_an_image_that_needs_no_change_is_returned_unchanged():
    broken = option_rom.parse_image(
        builders.changed(legacy(), 6, b"\x55")
    )  # its sum is wrong, and stays so
    assert option_rom.rewrite(broken, ids=E1000, last=True) is broken


def test_a_wrong_sum_stays_as_wrong_as_it_was():
    """``rewrite`` must not hide a corrupted image by correcting its sum."""
    image = option_rom.parse_image(builders.changed(legacy(), 500, b"\x91"))
    assert sum(image.data) % 256 == 1
    assert sum(option_rom.rewrite(image, ids=RTL8139).data) % 256 == 1


def test_the_reserved_bits_of_the_indicator_are_kept():
    image = option_rom.parse_image(
        builders.with_field(legacy(), PciDataStructure, PCIR, indicator=0xA5)
    )
    assert option_rom.rewrite(image, last=False).pcir.indicator == 0x25
    assert option_rom.rewrite(image, last=True).pcir.indicator == 0xA5


def test_an_efi_image_without_a_sum_gets_none():
    image = option_rom.parse_image(efi(free_byte=False))
    assert sum(image.data) % 256 != 0
    assert changes(image.data, option_rom.rewrite(image, last=False).data) == {PCIR + 0x15}


def test_a_legacy_image_without_ipxes_free_byte_uses_padding_at_its_end_never_a_payload():
    """Init code at offset 3 may use offset 6.

    The last byte is free if it and the one before are 00 or ff.
    """
    code = b"\x31\xc0\xcb"  # xor ax, ax; retf
    for fill in (b"\0\0", b"\xff\xff"):
        data = builders.mended(builders.changed(legacy(entry=code), 1022, fill), 700)
        moved = option_rom.rewrite(option_rom.parse_image(data), last=False)
        assert changes(data, moved.data) == {PCIR + 0x15, 1023}
        assert sum(moved.data) % 256 == 0
    for tail in (b"\x12\xff", b"\xff\x12", b"\0\xff"):
        image = option_rom.parse_image(
            builders.mended(builders.changed(legacy(entry=code), 1022, tail), 700)
        )
        with pytest.raises(FormatError, match="no free byte to correct the checksum") as caught:
            option_rom.rewrite(image, last=False)
        assert caught.value.offset == 6


def test_the_last_byte_of_an_ipxe_image_is_left_alone_even_where_it_is_padding():
    """EDK2's EfiRom uses it, and in an iPXE without padding it is the end of the LZMA stream."""
    data = builders.mended(builders.changed(legacy(), 1000, b"\xff" * 24), 6)
    assert changes(data, option_rom.rewrite(option_rom.parse_image(data), last=False).data) == {
        PCIR + 0x15,
        6,
    }


def test_an_image_without_a_device_list_gets_none():
    image = option_rom.parse_image(legacy())
    assert option_rom.device_list(option_rom.rewrite(image, ids=RTL8139)) is None


def test_a_device_list_must_end_in_the_image_and_lie_behind_pcir():
    endless = builders.with_field(
        legacy(), PciDataStructure, PCIR, device_list_pointer=1024 - 2 - PCIR
    )
    long = builders.with_field(legacy(blocks=20), PciDataStructure, PCIR, device_list_pointer=0x200)
    inside = builders.with_field(legacy(), PciDataStructure, PCIR, device_list_pointer=6)
    for data, message, offset in (
        (endless, "reaches the end of the image without a terminating 0", 1022),
        (long, "no terminating 0 within 4,096 devices", PCIR + 0x200),
        (inside, "pointer 0x6 points into the PCI Data Structure", PCIR + 8),
    ):
        with pytest.raises(FormatError, match=message) as caught:
            option_rom.device_list(option_rom.parse_image(data))
        assert caught.value.offset == offset


@pytest.mark.parametrize("length", [0, 4, 0x17, 0x8000, 0xFFFF])
def test_a_wrong_pcir_length_does_not_move_the_checksum_byte(length: int):
    """Once, this raised an IndexError, or overwrote the vendor ID."""
    data = builders.with_field(efi(), PciDataStructure, PCIR, length=length)
    image = option_rom.parse_image(builders.mended(builders.changed(data, 0x16, b"\xff\xff"), 0x3F))
    moved = option_rom.rewrite(image, last=False)
    assert changes(image.data, moved.data) == {PCIR + 0x15}


def test_a_driver_is_read_uncompressed_or_compressed():
    driver = builders.driver()
    assert option_rom.driver_of(option_rom.parse_image(efi(driver))).startswith(driver)
    assert (
        option_rom.driver_of(
            option_rom.parse_image(builders.compressed_efi(builders.stored(driver)))
        )
        == driver
    )


def test_an_error_of_reading_a_driver_has_its_offset():
    for data, offset, message in (
        (legacy(), 0, "a legacy image contains no EFI driver"),
        (
            builders.with_field(efi(), EfiHeader, 0, efi_image_offset=0xFFF0),
            0x16,
            "offset 0xfff0 points outside",
        ),
        (
            builders.with_field(efi(), EfiHeader, 0, efi_image_offset=0x10),
            0x16,
            "offset 0x10 points outside",
        ),
        (
            builders.with_field(efi(), EfiHeader, 0, compression_type=2),
            0xC,
            "compression type 2 is neither 0",
        ),
    ):
        with pytest.raises(FormatError, match=message) as caught:
            option_rom.driver_of(option_rom.parse_image(data))
        assert caught.value.offset == offset


@given(IDS)
def test_ids_are_shown_as_lspci_does(ids: PciId):
    shown = str(ids)
    assert tuple(int(part, 16) for part in shown.split(":")) == ids
    assert len(shown) == 9
    assert set(shown) <= set(string.hexdigits.lower() + ":")
