# SPDX-License-Identifier: GPL-2.0-or-later
"""The decoder, with real drivers and streams built bit by bit, compared with EDK2's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# EDK2's own C code
from uefi_firmware import efi_compressor as independent  # type: ignore[import-untyped]

from romforge.base.errors import FormatError
from romforge.formats import option_rom
from romforge.formats.uefi_compression import decoder
from romforge.formats.uefi_compression.decoder import HEADER, MAX_ORIGINAL_SIZE, TooLong, decompress
from tests.support import builders, debian
from tests.support.builders import (
    CHARACTERS,
    POSITIONS,
    Code,
    Token,
    encode,
    expand,
    flat,
    framed,
    greedy,
    skewed,
    stored,
)


@pytest.fixture(scope="module")
def streams(releases: dict[str, Path]) -> dict[str, bytes]:
    """The streams of Debian's 16 compressed drivers."""
    found = {}
    for suite in ("trixie", "sid"):
        for nic in debian.NICS:
            image = option_rom.parse_rom((releases[suite] / f"efi-{nic}.rom").read_bytes()).images[
                1
            ]
            assert isinstance(image.header, option_rom.EfiHeader)
            assert image.header.compression_type == option_rom.UEFI_COMPRESSED
            place = image.header.efi_image_offset
            found[f"{suite}/{nic}"] = image.data[
                place : place + HEADER.size + decoder.sizes(image.data, place)[0]
            ]
    assert len(found) == 16
    return found


def by_edk2(stream: bytes) -> bytes:
    return bytes(independent.EfiDecompress(stream, len(stream)))


def test_debians_16_drivers_decode_to_pe_files_of_their_size(streams: dict[str, bytes]):
    for name, stream in streams.items():
        driver = decompress(stream)
        assert driver.startswith(b"MZ"), name
        assert len(driver) == decoder.sizes(stream)[1] > 60_000, name


def test_debians_16_drivers_decode_as_edk2_decodes_them(streams: dict[str, bytes]):
    for name, stream in streams.items():
        assert decompress(stream) == by_edk2(stream), name


@st.composite
def token_lists(draw: st.DrawFn, longest: int = 60) -> list[Token]:
    """Literals and matches that reach back no further than what precedes them."""
    tokens: list[Token] = []
    size = 0
    for _ in range(draw(st.integers(1, longest))):
        if size and draw(st.booleans()):
            token = draw(st.integers(3, 256)), draw(st.integers(1, min(size, 8192)))
            tokens.append(token)
            size += token[0]
        else:
            tokens.append(draw(st.integers(0, 255)))
            size += 1
    return tokens


@given(token_lists(), st.integers(1, 70))
def test_any_tokens_in_blocks_of_any_size_decode_to_what_they_stand_for(
    tokens: list[Token], per_block: int
):
    stream = encode(tokens, per_block=per_block)
    assert decompress(stream) == expand(tokens) == by_edk2(stream)


def need(tokens: list[Token]) -> tuple[list[int], list[int]]:
    """The symbols of both sets that tokens use."""
    characters = {token if isinstance(token, int) else 256 + token[0] - 3 for token in tokens}
    positions = {(token[1] - 1).bit_length() for token in tokens if not isinstance(token, int)}
    return sorted(characters), sorted(positions) or [0]


@given(token_lists(longest=15), st.randoms(use_true_random=False), st.booleans())
def test_codes_of_just_the_symbols_in_use_from_one_without_bits_to_16_bits(
    tokens: list[Token], dice: random.Random, even: bool
):
    characters, positions = need(tokens)
    dice.shuffle(characters)
    dice.shuffle(positions)
    make = flat if even else skewed
    own: list[Code] = [
        make(used) if len(used) > 1 else flat(used) for used in (characters, positions)
    ]
    stream = encode(tokens, characters=own[0], positions=own[1])
    assert decompress(stream) == expand(tokens) == by_edk2(stream)


def test_the_longest_codes_of_all_three_sets():
    """16 bits for characters and the extra set, 13 for positions, which has 14 symbols."""
    assert decompress(builders.table_bomb(3)) == bytes(3) == by_edk2(builders.table_bomb(3))
    tokens: list[Token] = [*range(16), *[(3, 1 << shift) for shift in range(4)]]
    rare = skewed([256, *range(16)])
    stream = encode(tokens, characters=rare, positions=skewed(POSITIONS))
    assert max(rare.values()) == 16
    assert decompress(stream) == expand(tokens) == by_edk2(stream)


def test_zeros_between_code_lengths_are_run_lengths_of_every_size():
    """Runs of 1, 2, 3, 18, 19 (which has no code of its own), 20 and more absent symbols."""
    for gap in (1, 2, 3, 4, 17, 18, 19, 20, 21, 200, 253):
        tokens: list[Token] = [0, gap + 1, 0]
        stream = encode(tokens, characters=flat([0, gap + 1]))
        assert decompress(stream) == expand(tokens) == by_edk2(stream), gap


def test_the_gap_in_the_extra_set_is_read_even_where_only_three_lengths_are_sent():
    """Lengths of 1 bit need the extra symbol 3: three lengths and the gap are sent."""
    two = encode([5, 6, 5, 6], characters=flat([5, 6]), extra=flat([0, 1, 2, 3]))
    assert decompress(two) == bytes([5, 6, 5, 6]) == by_edk2(two)
    # extra set: symbols 1 and 2 of one bit each, three lengths and gap 0; then 9 + 3 zeros and a
    # lone position
    bits = (
        f"{1:016b}"
        + f"{3:05b}"
        + "000"
        + "001"
        + "001"
        + "00"
        + f"{0:09b}{65:09b}"
        + f"{0:04b}{0:04b}"
    )
    assert decompress(framed(bits, 1)) == b"A" == by_edk2(framed(bits, 1))


@pytest.mark.parametrize(
    "tokens",
    [
        [7, (256, 1)],
        [1, 2, (255, 2), (3, 257)],
        [*range(200), (200, 200), (256, 3), (17, 199)],
        [*[3] * 8192, (256, 8192), (3, 8191)],
        [0, (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 8), (3, 9)],
    ],
    ids=["run", "overlap", "own length", "whole window", "first distances"],
)
def test_matches_at_the_edges_of_length_and_distance(tokens: list[Token]):
    assert decompress(encode(tokens)) == expand(tokens) == by_edk2(encode(tokens))


def test_blocks_of_65535_symbols_and_a_last_one_of_a_single_symbol():
    data = random.Random(1).randbytes(65_535 * 2 + 1)
    assert decompress(stored(data)) == data


@given(st.binary(max_size=600) | st.text("ab", max_size=3000).map(str.encode))
def test_what_edk2_compresses_is_decoded(data: bytes):
    if data:
        assert decompress(bytes(independent.EfiCompress(data, len(data)))) == data


@given(st.text("abc", min_size=1, max_size=400).map(str.encode))
@settings(max_examples=50)
def test_what_the_tests_own_encoder_makes_is_decoded_by_both(data: bytes):
    assert decompress(encode(greedy(data))) == data == by_edk2(encode(greedy(data)))


def test_the_stream_of_nothing_is_nothing():
    assert decompress(HEADER.pack(0, 0)) == b""


def test_only_the_beginning_is_decoded_where_only_that_is_asked_for(streams: dict[str, bytes]):
    """Up to the end of its block, and with an effort that is too little for the whole."""
    stream = streams["sid/e1000"]
    whole = decompress(stream)
    begin = decompress(stream, first=4096, effort=40_000)
    assert 4096 <= len(begin) < len(whole)
    assert whole.startswith(begin)


def test_offsets_count_from_the_data_and_not_from_the_stream():
    stream = stored(b"offset")
    assert decompress(b"before" + stream, 6) == b"offset"
    with pytest.raises(FormatError) as caught:
        decompress(b"before" + HEADER.pack(900, 6), 6)
    assert caught.value.offset == 6


@pytest.mark.parametrize(
    "encoding", [stored, lambda data: encode(greedy(data))], ids=["stored", "matches"]
)
def test_a_stream_cut_anywhere_is_refused(encoding):
    """The header agrees with the cut. Decoders look ahead, so the last 2 bytes may be missing."""
    data = random.Random(2).randbytes(300) * 2
    stream = encoding(data)
    for kept in range(len(stream) - HEADER.size - 3):
        with pytest.raises(FormatError, match="compressed stream is corrupted"):
            decompress(HEADER.pack(kept, len(data)) + stream[HEADER.size :][:kept])
    kept = len(stream) - HEADER.size - 1  # without the spare NUL
    assert decompress(HEADER.pack(kept, len(data)) + stream[HEADER.size :][:kept]) == data


def test_a_real_stream_cut_at_any_kib_is_refused(streams: dict[str, bytes]):
    stream = streams["sid/vmxnet3"]
    size, original = decoder.sizes(stream)
    for kept in range(0, size - 2, 4096):
        with pytest.raises(FormatError, match="compressed stream is corrupted"):
            decompress(HEADER.pack(kept, original) + stream[HEADER.size :][:kept])


def test_a_real_stream_cut_without_telling_its_header_goes_past_the_image(
    streams: dict[str, bytes],
):
    stream = streams["sid/vmxnet3"]
    with pytest.raises(FormatError, match=r"exceeds the image by 1 bytes \(0x1\)") as caught:
        decompress(stream[:-1])
    assert caught.value.offset == 0


LONE_A = (
    f"{0:05b}{0:05b}" + f"{0:09b}{65:09b}" + f"{0:04b}{0:04b}"
)  # three lone symbols: every character is an A


@pytest.mark.parametrize(
    ("bits", "original", "words"),
    [
        (f"{0:016b}" + LONE_A, 1, "a block without symbols"),
        (
            f"{1:016b}" + f"{2:05b}" + "001" + "010" + "0" * 40,
            1,
            "a Huffman code that is not complete",
        ),
        (
            f"{1:016b}" + f"{3:05b}" + "001" * 3 + "00" + "0" * 40,
            1,
            "a Huffman code that is not complete",
        ),
        (f"{1:016b}" + f"{1:05b}" + "001" + "0" * 40, 1, "a Huffman code that is not complete"),
        (f"{1:016b}" + f"{1:05b}" + "000" + "0" * 40, 1, "a Huffman code that is not complete"),
        (
            f"{1:016b}" + f"{1:05b}" + "111" + "1" * 10 + "0" * 40,
            1,
            "a codeword of more than 16 bits",
        ),
        (f"{1:016b}" + f"{0:05b}{19:05b}" + "0" * 40, 1, "symbol 19 in a set of 19 symbols"),
        (
            f"{1:016b}" + f"{0:05b}{0:05b}" + f"{0:09b}{510:09b}" + "0" * 40,
            1,
            "symbol 510 in a set of 510 symbols",
        ),
        (
            f"{1:016b}" + f"{0:05b}{0:05b}" + f"{0:09b}{65:09b}" + f"{0:04b}{14:04b}" + "0" * 40,
            1,
            "symbol 14 in a set of 14 symbols",
        ),
        (
            f"{1:016b}" + f"{20:05b}" + "001" * 2 + "000" + "11" + "000" * 13 + "001" + "0" * 40,
            1,
            "20 code lengths in a set of 19 symbols",
        ),
        (
            f"{1:016b}" + f"{0:05b}{0:05b}" + f"{0:09b}{256:09b}" + f"{0:04b}{0:04b}",
            3,
            "a match 1 bytes back, but only 0 precede it",
        ),
        (f"{1:016b}" + LONE_A, 2, "a block without symbols"),
    ],
    ids=[
        "no symbols",
        "under-full code",
        "over-full code",
        "one length",
        "no length",
        "17 bits",
        "extra symbol",
        "character",
        "position",
        "too many lengths",
        "distance",
        "too few symbols",
    ],
)
def test_each_way_in_which_a_stream_can_be_wrong_has_its_words(
    bits: str, original: int, words: str
):
    stream = framed(bits.ljust(200, "0"), original)
    with pytest.raises(FormatError) as caught:
        decompress(stream)
    assert caught.value.message == f"the compressed stream is corrupted: {words}"
    assert HEADER.size <= caught.value.offset <= len(stream)


def test_an_incomplete_code_is_refused_by_edk2_too():
    """So that a stream which only romforge would read cannot get into a ROM."""
    stream = framed((f"{1:016b}" + f"{2:05b}" + "001" + "010").ljust(200, "0"), 1)
    with pytest.raises(Exception, match="Failed to decompress"):
        by_edk2(stream)


def test_the_place_of_a_fault_is_that_of_the_bits_that_are_wrong():
    """A match of 23 bits reaches too far back. Only a spare byte follows it."""
    stream = encode([*b"abc" * 40, (3, 8192)])
    with pytest.raises(
        FormatError, match="a match 8192 bytes back, but only 120 precede it"
    ) as caught:
        decompress(stream)
    assert len(stream) - 5 <= caught.value.offset < len(stream)


def test_a_match_past_the_original_size_is_refused():
    stream = encode([65, (256, 1)])
    for original in (2, 256):
        with pytest.raises(FormatError, match=f"exceeds the original size of {original} bytes"):
            decompress(HEADER.pack(len(stream) - HEADER.size, original) + stream[HEADER.size :])


def test_an_original_size_beyond_what_the_stream_holds_is_refused():
    stream = stored(b"123")
    with pytest.raises(FormatError, match="compressed stream is corrupted"):
        decompress(HEADER.pack(len(stream) - HEADER.size, 4) + stream[HEADER.size :])


def test_sizes_that_no_rom_has_are_refused_before_any_work():
    stream = stored(b"123")
    for original in (MAX_ORIGINAL_SIZE + 1, 0xFFFFFFFF):
        with pytest.raises(FormatError, match="larger than any option ROM") as caught:
            decompress(stream[:4] + original.to_bytes(4, "little") + stream[8:])
        assert caught.value.offset == 4
    for size in range(HEADER.size):
        with pytest.raises(FormatError, match="no room for its 8-byte header"):
            decompress(bytes(size))


def test_the_effort_bounds_symbols_tables_and_the_size_of_the_result():
    """A driver of 1,000 literals needs some thousands. A bomb ends early."""
    data = random.Random(3).randbytes(1000)
    assert decompress(stored(data), effort=2000) == data
    for stream, effort in (
        (stored(data), 900),
        (builders.table_bomb(1000), 100_000),
        (builders.bomb(), 500_000),
    ):
        assert decompress(stream)  # sound, but for what it takes
        with pytest.raises(TooLong):
            decompress(stream, effort=effort)


def test_each_debian_driver_takes_a_tenth_of_what_inspect_allows(streams: dict[str, bytes]):
    from romforge.formats import rom_check

    for stream in streams.values():
        decompress(stream, effort=rom_check.EFFORT // 7)  # as many architectures as there are


@given(st.binary(max_size=400), st.integers(0, 2000))
@settings(max_examples=500)
def test_noise_is_decoded_to_its_size_or_refused_with_a_place_inside(noise: bytes, original: int):
    found = outcome(HEADER.pack(len(noise), original) + noise)
    if isinstance(found, bytes):
        assert len(found) == original
    else:
        assert 0 <= found.offset <= HEADER.size + len(noise)


def outcome(stream: bytes) -> bytes | FormatError:
    try:
        return decompress(stream, effort=10_000)
    except FormatError as error:
        return error


def test_the_builders_codes_are_complete():
    """The tests' own tools: Kraft's sum of each code is 1."""
    for code in (
        flat(CHARACTERS),
        flat(POSITIONS),
        flat([3]),
        flat(range(5)),
        skewed(range(17)),
        skewed(POSITIONS),
    ):
        assert sum(2.0**-length for length in code.values()) == 1
