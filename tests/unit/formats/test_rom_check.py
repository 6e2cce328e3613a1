# SPDX-License-Identifier: GPL-2.0-or-later
"""Every fault that ``inspect`` reports, seeded one by one, with its place and its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from romforge.base.text import format_bytes
from romforge.formats import efi_image, option_rom, stub_image
from romforge.formats.option_rom import EfiHeader, LegacyHeader, PciDataStructure
from romforge.formats.rom_check import (
    EFFORT,
    Fault,
    Severity,
    effort_each,
    find_faults,
    require_sound,
)
from romforge.formats.structure import Structure
from romforge.formats.uefi_compression import decoder
from tests.support import builders, debian
from tests.support.builders import (
    ARM64,
    DRIVER,
    E1000,
    IPXE,
    PCIR,
    PNP,
    UNDI,
    changed,
    compressed_efi,
    efi,
    legacy,
    mended,
    with_field,
)

SECOND = 1024  # where the EFI image of BOTH begins
BOTH = legacy(last=False) + efi()


def seeded(kind: type[Structure], place: int, rom: bytes = BOTH, **values: int | bytes) -> bytes:
    """A built ROM with a wrong field. The sum of a legacy image is corrected."""
    broken = with_field(rom, kind, place, **values)
    return mended(broken[:SECOND], 6) + broken[SECOND:] if place < SECOND else broken


def pcir(rom: bytes = BOTH, image: int = 0, **values: int | bytes) -> bytes:
    return seeded(PciDataStructure, image + PCIR, rom, **values)


def fields(fault: Fault) -> tuple[int, str, Severity, int | None]:
    return fault.offset, fault.text, fault.severity, fault.image


def test_built_roms_have_no_fault():
    """All cases below depend on it."""
    stream = builders.stored(builders.driver())
    assert find_faults(BOTH) == []
    assert find_faults(legacy(devices=[0x100E, 0x100F])) == []
    assert find_faults(legacy(last=False) + compressed_efi(stream)) == []
    assert find_faults(legacy(last=False) + efi(last=False) + efi(machine=ARM64)) == []
    assert find_faults(BOTH.ljust(8192, b"\xff")) == []
    assert find_faults(builders.mrom()) == []
    assert find_faults(builders.mrom(last=False) + efi()) == []
    assert find_faults(efi(last=False) + builders.mrom()) == []
    assert find_faults(efi(free_byte=False)) == []  # no sum is asked of an EFI image


def test_debians_roms_have_no_fault_but_the_ids_of_ne2k_pci(releases: dict[str, Path]):
    """Debian built ne2k_pci without IDs, and bookworm's EFI image with half of them."""
    fine = 0
    for suite, directory in releases.items():
        for name in debian.ROMS:
            found = find_faults((directory / name).read_bytes())
            if "ne2k_pci" not in name:
                assert found == [], (suite, name)
                fine += 1
                continue
            assert {fault.severity for fault in found} == {Severity.IDS}
            assert found[0].offset == PCIR + 4
            assert found[0].text == "vendor:device is 0000:0000, which is not a valid ID"
            if name.startswith("efi"):
                odd = "vendor:device is fff3:0000, but 0000:0000 in image 0"
                assert found[1].text == (odd if suite == "bookworm" else found[0].text)
                assert found[1].image == 1
            assert len(found) == (2 if name.startswith("efi") else 1)
    assert fine == 42


NO_LAST = "the file ends, and no image is marked as the last"
WALK = {
    "empty file": (b"", 0, "the file is empty", None),
    "nothing but padding": (
        b"\xff" * 2048,
        0,
        "no expansion ROM signature: ff ff where 55 aa must be",
        None,
    ),
    "bad signature": (
        changed(BOTH, 0, b"\xaa\x55"),
        0,
        "no expansion ROM signature: aa 55 where 55 aa must be",
        None,
    ),
    "bad signature of image 1": (
        pcir(changed(BOTH, SECOND, b"MZ"), indicator=0),
        SECOND,
        "no expansion ROM signature: 4d 5a where 55 aa must be",
        1,
    ),
    "PCIR pointer outside": (
        changed(BOTH, 0x18, b"\xf8\xff"),
        0x18,
        "the PCIR pointer 0xfff8 points outside the image",
        None,
    ),
    "PCIR pointer into the header": (
        changed(BOTH, 0x18, b"\x18\0"),
        0x18,
        "the PCIR pointer 0x18 points outside the image",
        None,
    ),
    "PCIR signature": (
        changed(BOTH, PCIR, b"PCIX"),
        PCIR,
        "no PCI Data Structure: 50 43 49 58 where 'PCIR' must be",
        None,
    ),
    "length 0": (pcir(image_blocks=0), PCIR + 0x10, "the image length is 0 blocks", None),
    "length past the end": (
        pcir(legacy(), image_blocks=3),
        PCIR + 0x10,
        "the image length 1,536 bytes (0x600) exceeds the end of the file by 512 bytes (0x200)",
        None,
    ),
    "PCIR behind the image's end": (
        changed(legacy(), 0x18, b"\0\x04") + legacy()[PCIR:],
        0x18,
        "the PCIR pointer 0x400 points outside the image",
        None,
    ),
    "no last image at the file's end": (pcir(image=SECOND, indicator=0), len(BOTH), NO_LAST, 2),
    "no last image before padding": (
        pcir(image=SECOND, indicator=0).ljust(8192, b"\xff"),
        len(BOTH),
        "padding begins, and no image is marked as the last",
        2,
    ),
}
BEHIND = {
    "early last image": (
        pcir(indicator=0x80),
        PCIR + 0x15,
        f"marked as the last image, but another (x86_64) follows at offset {SECOND:#x} ({SECOND})",
        0,
    ),
    "junk": (
        BOTH + b"JUNKJUNK",
        len(BOTH),
        "junk follows the last image: 4a 55 4e 4b is not padding",
        None,
    ),
    "junk in the padding": (
        BOTH + b"\xff" * 100 + b"\x01\xff",
        len(BOTH) + 100,
        "junk follows the last image: 01 ff is not padding",
        None,
    ),
}
STRUCTURE = {
    "PCIR length": (
        pcir(length=0x17),
        PCIR + 0xA,
        "the PCI Data Structure's length 0x17 is less than 0x18 or exceeds the image",
        0,
    ),
    "device list without end": (
        pcir(device_list_pointer=1022 - PCIR),
        PCIR + 8,
        "the device list reaches the end of the image without a terminating 0",
        0,
    ),
    "device list in PCIR": (
        pcir(device_list_pointer=4),
        PCIR + 8,
        "the device list pointer 0x4 points into the PCI Data Structure",
        0,
    ),
    "header longer than the image": (
        seeded(LegacyHeader, 0, initialization_blocks=3),
        2,
        "the header's length of 3 blocks is not between 1 and PCIR's 2",
        0,
    ),
    "header of no length": (
        seeded(LegacyHeader, 0, initialization_blocks=0),
        2,
        "the header's length of 0 blocks is not between 1 and PCIR's 2",
        0,
    ),
    "checksum": (
        changed(BOTH, 700, b"\x95"),
        6,
        f"the checksum is 0x05, not 0; {(BOTH[6] - 5) % 256:#04x} here would fix it",
        0,
    ),
    "checksum of 0x80": (
        changed(BOTH, 700, b"\x10"),
        6,
        f"the checksum is 0x80, not 0; {(BOTH[6] - 0x80) % 256:#04x} here would fix it",
        0,
    ),
    "iPXE header's sum": (
        mended(changed(BOTH[:SECOND], IPXE + 8, b"\0"), 6) + BOTH[SECOND:],
        IPXE,
        "the bytes of the iPXE header do not sum to 0",
        0,
    ),
    "UNDI header's sum": (
        mended(changed(BOTH[:SECOND], UNDI + 8, b"\x99"), 6) + BOTH[SECOND:],
        UNDI,
        "the bytes of the UNDI ROM ID structure do not sum to 0",
        0,
    ),
    "$PnP header's sum": (
        mended(changed(BOTH[:SECOND], PNP + 20, b"\x99"), 6) + BOTH[SECOND:],
        PNP,
        "the bytes of the $PnP expansion header do not sum to 0",
        0,
    ),
    "iPXE header's length": (
        mended(changed(BOTH[:SECOND], IPXE + 4, b"\x07"), 6) + BOTH[SECOND:],
        IPXE,
        "the iPXE header is 7 bytes long, which is too short or exceeds the image",
        0,
    ),
    "$PnP header's length": (
        mended(changed(BOTH[:SECOND], PNP + 5, b"\xff"), 6) + BOTH[SECOND:],
        PNP,
        "the $PnP expansion header is 4080 bytes long, which is too short or exceeds the image",
        0,
    ),
}
TRUNCATED = builders.stored(builders.driver())
PAST = (5000).to_bytes(4, "little") + TRUNCATED[4:]
EXCESS = DRIVER + 8 + 5000 - 1536  # bytes
EFI = {
    "EFI signature": (
        seeded(EfiHeader, SECOND, efi_signature=0xEF2),
        SECOND + 4,
        "the EFI signature is 0xef2, not 0xef1",
        1,
    ),
    "initialization size": (
        seeded(EfiHeader, SECOND, initialization_blocks=4),
        SECOND + 2,
        "the initialization size of 4 blocks is not between 1 and PCIR's 3",
        1,
    ),
    "no initialization size": (
        seeded(EfiHeader, SECOND, initialization_blocks=0),
        SECOND + 2,
        "the initialization size of 0 blocks is not between 1 and PCIR's 3",
        1,
    ),
    "wrong machine": (
        seeded(EfiHeader, SECOND, machine=ARM64),
        SECOND + 0xA,
        "the header's machine is arm64, the driver's is x86_64",
        1,
    ),
    "wrong subsystem": (
        seeded(EfiHeader, SECOND, subsystem=12),
        SECOND + 8,
        "the header's subsystem is 12, the driver's is 11",
        1,
    ),
    "unknown machine": (
        legacy(last=False) + efi(machine=0x1234),
        SECOND + 0xA,
        "no architecture has machine 0x1234",
        1,
    ),
    "an application": (
        legacy(last=False) + efi(subsystem=10),
        SECOND + 8,
        "subsystem 10 (application) is not that of a driver (11 or 12)",
        1,
    ),
    "image offset": (
        seeded(EfiHeader, SECOND, efi_image_offset=0x600),
        SECOND + 0x16,
        "the EFI image offset 0x600 points outside the image",
        1,
    ),
    "unknown compression": (
        seeded(EfiHeader, SECOND, compression_type=2),
        SECOND + 0xC,
        "compression type 2 is neither 0 (none) nor 1 (UEFI)",
        1,
    ),
    "compressed size": (
        legacy(last=False) + compressed_efi(PAST),
        SECOND + DRIVER,
        f"the compressed size 5,000 bytes (0x1388) exceeds the image by {format_bytes(EXCESS)}",
        1,
    ),
    "original size": (
        legacy(last=False) + compressed_efi(TRUNCATED[:4] + b"\1\0\0\1" + TRUNCATED[8:]),
        SECOND + DRIVER + 4,
        "the original size 16,777,217 bytes (0x1000001) is larger than any option ROM",
        1,
    ),
    "no PE signature in a compressed driver": (
        legacy(last=False)
        + compressed_efi(builders.stored(changed(builders.driver(), 0x40, b"NE"))),
        SECOND + DRIVER,
        "the driver inside, offset 0x40 (64): no PE signature: "
        "4e 45 00 00 where 'PE' 00 00 must be",
        1,
    ),
    "no PE file": (
        legacy(last=False) + efi(b"ELF" + bytes(500)),
        SECOND + DRIVER,
        "the driver inside, offset 0x0 (0): not a PE file: 45 4c where 'MZ' must be",
        1,
    ),
}


MROM = builders.mrom()
ALONE = option_rom.rewrite(option_rom.parse_image(MROM), last=True).data
FIRST, PAYLOAD = MROM[:SECOND], MROM[SECOND:]
NOT_LAST = builders.payload(last=False)
MOVED = changed(PAYLOAD, 0x40, PAYLOAD[PCIR:0x34])
SHORT = with_field(FIRST, LegacyHeader, 0, initialization_blocks=1)
SHORT = with_field(SHORT, option_rom.IpxeHeader, IPXE, shrunk_blocks=1)
SHORT = mended(SHORT[:IPXE] + mended(SHORT[IPXE : IPXE + 12], 5) + SHORT[IPXE + 12 :], 6)
ENDS = "the first image of an iPXE .mrom ends here, and"
BEHIND_IT = "its payload must be right behind it; take both from the same .mrom"
BEFORE = "the image before this payload must be the first image of its iPXE .mrom, and"
FROM_SAME = "take both from the same .mrom"
PAYLOADS = {
    "no payload": (ALONE, SECOND, f"{ENDS} no image follows: {BEHIND_IT}", 0),
    "another image": (FIRST + efi(), SECOND, f"{ENDS} image 1 is x86_64: {BEHIND_IT}", 0),
    "a stub": (
        FIRST + stub_image.make_stub(E1000),
        SECOND,
        f"{ENDS} image 1 is stub: {BEHIND_IT}",
        0,
    ),
    "no first image": (PAYLOAD, 0, f"{BEFORE} there is none; {FROM_SAME}", 0),
    "behind a complete image": (
        legacy(last=False) + PAYLOAD,
        SECOND,
        f"{BEFORE} image 0 is legacy; {FROM_SAME}",
        1,
    ),
    "two payloads": (
        FIRST + NOT_LAST + PAYLOAD,
        len(FIRST + NOT_LAST),
        f"{BEFORE} image 1 is payload; {FROM_SAME}",
        2,
    ),
    "a gap": (
        SHORT + PAYLOAD,
        SECOND,
        "the image before this payload looks for it at offset 0x200 (512), where its code ends",
        1,
    ),
    "PCIR pointer of the payload": (
        FIRST + with_field(MOVED, LegacyHeader, 0, pcir_pointer=0x40),
        SECOND + 0x18,
        "the PCIR pointer of the payload is 0x40, not 0x1c",
        1,
    ),
    "the first image is marked as the last": (
        mended(with_field(FIRST, PciDataStructure, PCIR, indicator=0x80), 6) + PAYLOAD,
        PCIR + 0x15,
        f"marked as the last image, but another (payload) follows at offset {SECOND:#x} ({SECOND})",
        0,
    ),
    "no signature where the payload is": (
        FIRST + changed(PAYLOAD, 0, b"MZ"),
        SECOND,
        "no expansion ROM signature: 4d 5a where 55 aa must be",
        1,
    ),
}
CASES = WALK | BEHIND | STRUCTURE | EFI | PAYLOADS


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_reported_alone_with_its_offset(name: str):
    rom, offset, text, image = CASES[name]
    assert [fields(fault) for fault in find_faults(rom)] == [(offset, text, Severity.FAULT, image)]
    with pytest.raises(RomforgeError, match="is not a sound ROM"):
        require_sound(rom, "x.rom")


def test_a_chain_of_more_than_32_images_is_a_fault_where_the_walk_ends():
    *notes, last = find_faults(legacy(last=False) * 40)
    assert fields(last) == (32 * 1024, "more than 32 images", Severity.FAULT, 32)
    assert {note.severity for note in notes} == {Severity.NOTE}


def test_a_corrupted_stream_is_reported_at_its_offset_in_the_file(e1000: bytes):
    """The first code of sid's e1000 is made oversubscribed. It begins behind the 8-byte header."""
    image = option_rom.parse_rom(e1000).images[1]
    assert isinstance(image.header, EfiHeader)
    place = image.offset + image.header.efi_image_offset
    (fault,) = find_faults(changed(e1000, place + 8 + 2, b"\x88" * 8))
    assert fault.text.startswith("the compressed stream is corrupted: ")
    assert place + 8 <= fault.offset <= place + 40
    assert fault.image == 1


IDS = {
    "no device": (
        legacy(PciId(0, 0)),
        [(PCIR + 4, "vendor:device is 0000:0000, which is not a valid ID", 0)],
    ),
    "all ones": (
        legacy(PciId(0xFFFF, 0xFFFF)),
        [(PCIR + 4, "vendor:device is ffff:ffff, which is not a valid ID", 0)],
    ),
    "images that differ": (
        legacy(last=False) + efi(ids=PciId(0x8086, 0x10D3)),
        [(SECOND + PCIR + 4, "vendor:device is 8086:10d3, but 8086:100e in image 0", 1)],
    ),
    "one of two is none": (
        legacy(PciId(0, 0), last=False) + efi(),
        [
            (PCIR + 4, "vendor:device is 0000:0000, which is not a valid ID", 0),
            (SECOND + PCIR + 4, "vendor:device is 8086:100e, but 0000:0000 in image 0", 1),
        ],
    ),
}


@pytest.mark.parametrize("name", IDS)
def test_faults_of_the_ids_have_their_own_severity_and_rewriting_fixes_them(name: str):
    rom, expected = IDS[name]
    assert [fields(fault) for fault in find_faults(rom)] == [
        (offset, text, Severity.IDS, image) for offset, text, image in expected
    ]
    require_sound(rom, "x.rom")
    mended_images = [
        option_rom.rewrite(image, ids=E1000).data for image in option_rom.parse_rom(rom).images
    ]
    assert find_faults(b"".join(mended_images)) == []


def test_the_list_of_an_efi_image_may_have_the_ids_of_the_others():
    """Firmware takes the image for them, too; SeaBIOS would not."""
    listed = efi_image.wrap_driver(builders.driver(), PciId(0x8086, 0x100F), [E1000])
    assert find_faults(legacy(last=False) + listed) == []
    first = option_rom.rewrite(option_rom.parse_image(listed), last=False).data
    assert find_faults(first + legacy()) == []
    (fault,) = find_faults(
        efi(last=False) + legacy(PciId(0x8086, 0x100F), devices=[0x100F, 0x100E])
    )
    assert fault.text == "vendor:device is 8086:100f, but 8086:100e in image 0"


LISTED = legacy(devices=[0x2000 + index for index in range(20)])
NOTES = {
    "zero padding": (
        BOTH.ljust(8192, b"\0"),
        len(BOTH),
        f"{8192 - len(BOTH):,} bytes ({8192 - len(BOTH):#x}) of padding are 00, not ff",
        None,
    ),
    "class code": (
        pcir(class_code=b"\0\0\x03"),
        PCIR + 0xD,
        "class code 03 00 00 is not 02 00 00 (Ethernet controller)",
        0,
    ),
    "code type": (
        with_field(legacy(), PciDataStructure, PCIR, code_type=1),
        PCIR + 0x14,
        "code type 0x01 is neither legacy (0) nor EFI (3)",
        0,
    ),
    "$PnP pointer": (
        seeded(LegacyHeader, 0, pnp_pointer=0x300),
        0x1A,
        "the $PnP pointer 0x300 does not point to a $PnP expansion header",
        0,
    ),
    "device list": (  # the text shows at most eight
        LISTED,
        PCIR + 8,
        "the device list 2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007 and 12 more "
        "does not contain 100e",
        0,
    ),
    "two of a kind": (
        BOTH[:SECOND] + efi(last=False) + efi(),
        len(BOTH),
        "a second x86_64 image; firmware uses image 1",
        2,
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_unusual_but_harmless_is_a_note(name: str):
    rom, offset, text, image = NOTES[name]
    (note,) = find_faults(rom)
    assert fields(note) == (offset, text, Severity.NOTE, image)
    assert str(note).startswith("note: ")
    require_sound(rom, "x.rom")


def test_a_pcir_pointer_that_is_not_aligned_is_a_note():
    moved = changed(legacy(), 0x1E2, PciDataStructure.parse(legacy(), PCIR))
    moved = mended(with_field(moved, LegacyHeader, 0, pcir_pointer=0x1E2), 6)
    assert [fields(fault) for fault in find_faults(moved)] == [
        (0x18, "the PCIR pointer 0x1e2 is not a multiple of 4", Severity.NOTE, 0)
    ]


@pytest.mark.parametrize("rom", ["efi-e1000.rom", "efi-virtio.rom"])
@pytest.mark.parametrize("suite", list(debian.KNOWN))
def test_faults_seeded_in_real_roms_are_found(releases: dict[str, Path], suite: str, rom: str):
    data = (releases[suite] / rom).read_bytes()
    first, second = option_rom.parse_rom(data).images
    place = second.offset + second.header.pcir_pointer
    blocks = len(data) // 512 - second.offset // 512 + 1
    for broken, offset, words in (
        (changed(data, 5000, bytes([data[5000] ^ 0x10])), 6, "the checksum is 0x"),
        (changed(data, second.offset, b"\0"), second.offset, "no expansion ROM signature: 00 aa"),
        (
            changed(data, place + 0x15, b"\0"),
            second.offset + len(second.data),
            "no image is marked as the last",
        ),
        (
            changed(data, place + 0x10, blocks.to_bytes(2, "little")),
            place + 0x10,
            "exceeds the end of the file by 512 bytes (0x200)",
        ),
        (changed(data, place + 4, b"\x99"), place + 4, f", but {first.ids} in image 0"),
        (
            changed(data, second.offset + 0xA, b"\x64\xaa"),
            second.offset + 0xA,
            "the header's machine is arm64, the driver's is x86_64",
        ),
        (
            option_rom.rewrite(first, last=True).data + data[second.offset :],
            first.header.pcir_pointer + 0x15,
            "but another (x86_64) follows at",
        ),
        (
            data[: second.offset + len(second.data)] + b"junk",
            second.offset + len(second.data),
            "junk follows the last image: 6a 75 6e 6b",
        ),
    ):
        found = [fault for fault in find_faults(broken) if fault.severity is not Severity.NOTE]
        assert [(fault.offset, words in fault.text) for fault in found] == [(offset, True)], (
            words,
            found,
        )


def test_several_faults_are_all_reported_in_the_order_of_the_file():
    rom = changed(BOTH, 700, b"\x95")
    rom = (
        with_field(rom, EfiHeader, SECOND, efi_signature=0, machine=ARM64, initialization_blocks=0)
        + b"junk"
    )
    assert [fault.offset for fault in find_faults(rom)] == [
        6,
        SECOND + 2,
        SECOND + 4,
        SECOND + 0xA,
        len(BOTH),
    ]


def test_a_fault_reads_as_a_sentence_with_image_and_place_in_both_bases():
    assert (
        str(find_faults(legacy(PciId(0, 0)))[0])
        == "fault: image 0, offset 0x20 (32): vendor:device is 0000:0000, which is not a valid ID"
    )
    assert str(find_faults(b"")[0]) == "fault: offset 0x0 (0): the file is empty"


def test_require_sound_lists_every_fault_under_the_files_name():
    rom = with_field(changed(BOTH, 700, b"\x95"), EfiHeader, SECOND, efi_signature=0)
    with pytest.raises(RomforgeError) as caught:
        require_sound(rom, "some.rom")
    lines = str(caught.value).splitlines()
    assert lines[0] == "some.rom is not a sound ROM:"
    assert len(lines) == 3


def test_the_headers_of_a_driver_that_takes_too_long_are_examined():
    """The first 4 KiB need few blocks of 500 symbols, the rest more than the effort of a file."""
    driver = builders.driver()
    characters, positions = builders.flat({*driver, 509}), builders.flat([0])
    stream = builders.encode(
        [*driver, *[(256, 1)] * 65_000], per_block=500, characters=characters, positions=positions
    )
    assert find_faults(compressed_efi(stream)) == []
    with pytest.raises(decoder.TooLong):
        decoder.decompress(stream, effort=EFFORT)
    (fault,) = find_faults(compressed_efi(stream, machine=ARM64))
    assert (fault.offset, fault.text) == (
        0xA,
        "the header's machine is arm64, the driver's is x86_64",
    )


def test_a_stream_that_takes_too_long_from_its_start_is_a_note_and_no_fault():
    images = [compressed_efi(builders.bomb(), last=index == 2) for index in range(3)]
    found = [fault for fault in find_faults(b"".join(images)) if "second" not in fault.text]
    assert [(fault.image, fault.severity, fault.text[:13]) for fault in found] == [
        (i, Severity.NOTE, "not examined:") for i in range(3)
    ]


def test_the_effort_of_a_file_is_shared_by_its_compressed_images():
    images = option_rom.parse_rom(
        b"".join(compressed_efi(builders.stored(b"x"), last=index == 3) for index in range(4))
    ).images
    assert effort_each(images) == EFFORT // 4
    assert effort_each(option_rom.parse_rom(BOTH).images) == EFFORT
