# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoder: streams that our decoder and EDK2's read, their sizes, time and memory."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# EDK2's own C code
from uefi_firmware import efi_compressor as independent  # type: ignore[import-untyped]

from romforge.base.errors import FormatError, RomforgeError
from romforge.formats import option_rom
from romforge.formats.uefi_compression import decoder as uefi_decoder
from romforge.formats.uefi_compression import encoder, huffman, match_finder
from romforge.formats.uefi_compression.decoder import HEADER, MAX_ORIGINAL_SIZE
from tests.support import debian
from tests.support.measuring import measured
from tests.support.project import users
from tests.support.yardstick import loop, ratio, spent

MIB = 1 << 20


def compressed(data: bytes, level: str) -> bytes:
    """The stream of the data, checked."""
    return checked(encoder.compress(data, level), data)


def checked(stream: bytes, data: bytes) -> bytes:
    """The stream, after both decoders have given back the data; its header says the sizes."""
    assert HEADER.unpack_from(stream) == (len(stream) - HEADER.size, len(data))
    assert stream.endswith(b"\0")  # the spare byte, since decoders may look ahead
    assert uefi_decoder.decompress(stream) == data
    assert by_edk2(stream) == data
    return stream


def by_edk2(stream: bytes) -> bytes:
    return bytes(independent.EfiDecompress(stream, len(stream)))


def size(data: bytes, level: str) -> int:
    """The size of a checked stream, as its header says it."""
    return uefi_decoder.sizes(compressed(data, level))[0]


# Real drivers. The limits are those of the sums of a release.

LIMITS = {
    ("sid", "fast"): 294_500,
    ("sid", "default"): 291_500,
    ("trixie", "best"): 375_600,
    ("sid", "best"): 290_600,
}
REFERENCE = {"sid": 300_871, "trixie": 388_150}


def drivers(releases: dict[str, Path], suite: str) -> dict[str, bytes]:
    roms = {nic: (releases[suite] / f"efi-{nic}.rom").read_bytes() for nic in debian.NICS}
    return {
        nic: option_rom.driver_of(option_rom.parse_rom(rom).images[1]) for nic, rom in roms.items()
    }


@pytest.fixture(scope="module")
def driver(e1000: bytes) -> bytes:
    """A driver of 69,120 bytes: that of sid's efi-e1000.rom."""
    return option_rom.driver_of(option_rom.parse_rom(e1000).images[1])


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = debian.applications(tmp_path_factory.mktemp("ipxe"))
    assert found.keys() == {"amd64", "arm64", "loong64", "riscv64"}
    return found


@pytest.mark.exact_bytes("sid", "trixie")
@pytest.mark.slow
@pytest.mark.parametrize(("suite", "level"), [("trixie", "fast"), ("sid", "default")])
def test_the_eight_drivers_of_a_release_decode_and_are_small_enough(
    releases: dict[str, Path], suite: str, level: str
):
    """Each is smaller than EDK2's, and the sum within its limit."""
    total = reference = 0
    for nic, data in drivers(releases, suite).items():
        found, other = (
            size(data, level),
            uefi_decoder.sizes(bytes(independent.EfiCompress(data, len(data))))[0],
        )
        assert found < other, nic
        total += found
        reference += other
    assert reference == REFERENCE[suite]
    assert total <= LIMITS.get((suite, level), reference)


@pytest.mark.slow
def test_a_driver_of_another_release_is_small_enough_at_the_default_level(
    releases: dict[str, Path],
):
    data = drivers(releases, "trixie")["virtio"]
    reference = uefi_decoder.sizes(bytes(independent.EfiCompress(data, len(data))))[0]
    assert size(data, "default") < reference


@pytest.mark.exact_bytes("sid")
@pytest.mark.slow
def test_best_keeps_its_share_of_the_limit(releases: dict[str, Path]):
    """A typical driver. ``bench/compress.py --check`` compresses all, of two releases."""
    suite = "sid"
    data = drivers(releases, suite)["vmxnet3"]
    reference = uefi_decoder.sizes(bytes(independent.EfiCompress(data, len(data))))[0]
    assert size(data, "best") * REFERENCE[suite] <= reference * LIMITS[suite, "best"]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["arm64", "loong64", "riscv64"])
def test_the_applications_of_foreign_architectures_decode(applications: dict[str, Path], arch: str):
    """64 KiB of each, which are other instructions than x86's; that of amd64 is timed below."""
    data = applications[arch].read_bytes()[64 << 10 : 128 << 10]
    assert (
        size(data, "fast") < uefi_decoder.sizes(bytes(independent.EfiCompress(data, len(data))))[0]
    )


# Generated inputs.

BATCHES, OF_BATCH = 20, 250
LEVELS = ("fast", "fast", "fast", "fast", "default") * 10 + ("best",)  # in turn


def test_the_generated_inputs_are_5_000():
    assert BATCHES * OF_BATCH >= 5_000


def pieces(dice: random.Random, most: int) -> bytes:
    """Bytes of one kind, such as noise, runs, few symbols, a period, or zeros with islands."""
    count = dice.choice(
        (0, 1, 2, 3, dice.randrange(20), dice.randrange(most), dice.randrange(most))
    )
    symbols = dice.sample(range(256), dice.choice((1, 2, 2, 3, 5, 17, 60, 256)))
    first = dice.randrange(256)
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: dice.randbytes(count),
        lambda: bytes([first]) * count,
        lambda: bytes(dice.choices(symbols, k=count)),
        lambda: bytes(
            dice.choices(
                symbols,
                cum_weights=list(accumulate(3**rank for rank in range(len(symbols)))),
                k=count,
            )
        ),
        lambda: (dice.randbytes(dice.randrange(1, 40)) * count)[:count],
        lambda: bytes((first + index) % 256 for index in range(count)),
        lambda: bytes(dice.randrange(256) if dice.random() < 0.05 else 0 for _ in range(count)),
        lambda: bytes(
            dice.choice((first, (first + dice.choice((18, 19, 20, 21))) % 256))
            for _ in range(count)
        ),
    )
    return dice.choice(kinds)()


def mixture(dice: random.Random) -> bytes:
    """Pieces, and copies of what is there already, some of them with a byte changed."""
    data = bytearray(pieces(dice, 300))
    for _ in range(dice.choice((0, 0, 1, 2, 6))):
        if data and dice.random() < 0.6:
            begin = dice.randrange(len(data))
            copied = data[begin : begin + dice.choice((2, 3, 4, 30, 255, 256, 257, 400))]
            copied[dice.randrange(len(copied))] ^= dice.choice((0, 0, 1, 128))
            data += copied
        else:
            data += pieces(dice, 200)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_generated_mixtures_decode(batch: int, driver: bytes):
    """Seeded; every tenth is a piece of a real driver."""
    dice = random.Random(f"mixtures {batch}")
    for number in range(OF_BATCH):
        begin = dice.randrange(len(driver))
        data = driver[begin : begin + dice.randrange(600)] if number % 10 == 9 else mixture(dice)
        level = LEVELS[number % len(LEVELS)]
        stream = compressed(data, level)
        assert len(stream) <= HEADER.size + 60 + len(data) * 9 // 8, (number, level)


@given(
    st.binary(max_size=300) | st.text("ab", max_size=600).map(str.encode),
    st.sampled_from(["fast", "default"]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_they_decode(data: bytes, level: str):
    compressed(data, level)


NOISE = random.Random("noise").randbytes(20_000)
EDGES = {
    "nothing": b"",
    "one byte": b"\xa5",
    "one zero": b"\0",
    "two bytes": b"\1\2",
    "two alike": b"\1\1",
    "a run of three": b"\1" * 3,
    "a run of four": b"\1" * 4,
    "a run of 256": b"\1" * 256,
    "a run of 257": b"\1" * 257,
    "a run of 258": b"\1" * 258,
    "a run of 70,000": b"\1" * 70_000,
    "two symbols": bytes(random.Random(2).choices((0, 255), k=3000)),
    "all values": bytes(range(256)),
    "all values, twice": bytes(range(256)) * 2,
    "all values, thrice and back": bytes(range(256)) * 3 + bytes(range(255, -1, -1)),
    "incompressible": NOISE[:9000],
    "no byte alike": bytes(random.Random(3).sample(range(256), 255)),
}


@pytest.mark.parametrize("level", list(encoder.LEVELS))
@pytest.mark.parametrize("name", list(EDGES))
def test_edge_cases_decode(name: str, level: str):
    """And none takes more than the bytes themselves and what a block's codes need."""
    assert len(compressed(EDGES[name], level)) <= HEADER.size + 60 + len(EDGES[name]) * 101 // 100


@pytest.mark.parametrize("level", ["fast", "default"])
def test_a_match_reaches_as_far_as_the_window_and_no_farther(level: str):
    """In noise, the same 64 bytes are a match 8,191 and 8,192 bytes back, but not 8,193."""
    sizes = [
        size(NOISE[:distance] + NOISE[:64], level) - distance for distance in (8191, 8192, 8193)
    ]
    assert max(sizes[:2]) + 50 < sizes[2]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 254, 255, 256, 257, 258, 259, 511, 512, 513])
def test_a_repetition_of_any_length_decodes(length: int):
    """Near and far; from 2 bytes, which no match can be, to more than two matches.

    Each match costs 12 bytes at most.
    """
    for distance in (length + 1, 600, 4096):
        data = NOISE[: max(distance, length)]
        for level in ("fast", "default"):
            once, twice = size(data + b"end", level), size(data + data[:length] + b"end", level)
            assert twice - once <= min(length + 8, 12 * -(-length // 256))


def test_overlapping_matches_decode():
    """Distances of 1 to 40, over lengths up to three matches."""
    for distance in range(1, 41):
        for length in (distance + 3, 255, 256, 257, 600):
            compressed((NOISE[:distance] * 700)[:length] + b"end", "fast")


@pytest.mark.slow
def test_runs_of_absent_symbols_of_every_length_decode():
    """Between two bytes and between three. A run of 19 has no symbol of its own."""
    for gap in range(1, 255):
        compressed(bytes([0, gap + 1]), "fast")
        compressed(bytes([0, 1, gap + 1, *b"\0\1"][: 3 + gap % 3]), "default")
    for gap in (17, 18, 19, 20, 21):
        for first in (0, 1, 100):
            near, far = first, first + gap + 1
            compressed(bytes([near, far, far, near, far, near, near, near, far]), "best")
            number, items = huffman.header_items([1, *[0] * gap, 1])
            assert number == gap + 2
            zeros = sum(
                1 if symbol == 0 else value + (3 if symbol == 1 else 20)
                for symbol, _, value in items[1:-1]
            )
            assert zeros == gap


@pytest.fixture
def literals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the compressor find no matches, so that a test decides how often each symbol occurs."""
    monkeypatch.setattr(match_finder, "find_matches", lambda data: [()] * len(data))


def blocks(stream: bytes, data: bytes) -> list[int]:
    """The numbers of symbols of a stream's blocks, as our decoder meets them."""
    found: list[int] = []

    class Noting(uefi_decoder._Decoder):
        def block(self, out: bytearray, symbols: int, *rest: object) -> None:
            found.append(symbols)
            super().block(out, symbols, *rest)  # type: ignore[arg-type]

    decoder = Noting(stream, HEADER.size, len(stream), None)
    assert decoder.run(len(data), len(data)) == data
    return found


@pytest.mark.usefixtures("literals_only")
@pytest.mark.parametrize("count", [65_534, 65_535, 65_536, 65_537, 131_070, 131_071])
def test_no_block_has_more_than_65535_symbols(count: int):
    """Even frequencies need as few blocks as possible. A block has at most 65,535 symbols."""
    data = bytes(random.Random(4).choices(b"even", k=count))
    found = blocks(compressed(data, "fast"), data)
    assert sum(found) == count
    assert max(found) <= 65_535
    assert len(found) <= -(-count // 65_535) + (count > 65_536)


@pytest.mark.usefixtures("literals_only")
@pytest.mark.parametrize("level", ["fast", "default"])
@pytest.mark.parametrize("symbols", [16, 17, 18, 19, 20, 22])
def test_frequencies_that_ask_for_more_than_16_bits_get_codes_within_16(symbols: int, level: str):
    """Fibonacci's numbers as frequencies make the deepest trees: 21 bits for 22 symbols.

    What that costs is next to nothing.
    """
    counts = [1, 1]
    while len(counts) < symbols:
        counts.append(counts[-1] + counts[-2])
    data = bytearray().join(bytes([7 * symbol]) * count for symbol, count in enumerate(counts))
    random.Random(5).shuffle(data)
    lengths = huffman.code_lengths(counts)
    assert max(lengths) == symbols - 1 if symbols < 18 else max(lengths) <= 16
    assert sum(1 << 16 - length for length in lengths) == 1 << 16
    unlimited = sum(counts[index] * min(symbols - index, symbols - 1) for index in range(symbols))
    assert sum(length * count for length, count in zip(lengths, counts)) <= unlimited * 1.001
    compressed(bytes(data), level)


def test_codes_are_complete_whatever_the_frequencies():
    """Kraft's sum is 1, and no codeword is longer than 16 bits, with and without ``thorough``."""
    dice = random.Random("codes")
    for _ in range(100):
        counts = [0] * huffman.CHARACTERS
        for symbol in dice.sample(range(510), dice.choice((2, 3, 5, 30, 200, 510))):
            counts[symbol] = dice.choice((1, dice.randrange(1, 10), 1 << dice.randrange(16)))
        positions = [dice.choice((0, 1, 1 << dice.randrange(16))) for _ in range(huffman.POSITIONS)]
        for thorough in (False, True):
            codes = huffman.best_codes(counts, positions, thorough)
            for lengths, own in ((codes.characters, counts), (codes.positions, positions)):
                if sum(map(bool, own)) > 1:
                    assert sum(1 << 16 - length for length in lengths if length) == 1 << 16
                    assert [bool(length) for length in lengths] == [bool(count) for count in own]


def test_what_no_rom_can_hold_is_refused_before_any_work():
    with pytest.raises(RomforgeError, match="exceed the largest option ROM"):
        encoder.compress(bytes(MAX_ORIGINAL_SIZE + 1))


def test_a_stream_that_does_not_decode_is_never_returned(monkeypatch: pytest.MonkeyPatch):
    """The compressor has its stream decoded; with a bit wrong there is no result."""
    write = encoder._write

    def wrong(way: encoder.StreamPlan) -> bytes:
        body = bytearray(write(way))
        body[len(body) // 2] ^= 4
        return bytes(body)

    monkeypatch.setattr(encoder, "_write", wrong)
    for data in (b"some data, and some more data", NOISE[:300]):
        with pytest.raises((AssertionError, FormatError)):
            encoder.compress(data)


def test_progress_only_grows_and_stays_within_what_it_says():
    for level in encoder.LEVELS:
        told: list[tuple[int, int]] = []

        def note(done: int, of: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, of))

        encoder.compress(NOISE[:500] * 2, level, note)
        assert told
        assert told == sorted(told)
        assert len({of for _, of in told}) == 1
        assert 0 < told[0][0] <= told[-1][0] <= told[0][1]


# Determinism.

SUMS = """
import hashlib, sys
from pathlib import Path
from romforge.formats.uefi_compression import encoder
for path in sorted(Path(sys.argv[1]).iterdir()):
    stream = encoder.compress(path.read_bytes(), path.name.split("-")[0])
    print(path.name, hashlib.sha256(stream).hexdigest())
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, driver: bytes) -> Path:
    """A directory of files named after the level to compress them at."""
    top = tmp_path_factory.mktemp("inputs")
    dice = random.Random("determinism")
    for number in range(8):
        (top / f"best-{number}").write_bytes(mixture(dice))
    (top / "default-driver").write_bytes(driver[:10_000])
    (top / "fast-driver").write_bytes(driver[:20_000])
    return top


@pytest.fixture(scope="module")
def right(inputs: Path) -> str:
    """What SUMS prints in this process."""
    lines = []
    for path in sorted(inputs.iterdir()):
        stream = encoder.compress(path.read_bytes(), path.name.split("-")[0])
        lines.append(f"{path.name} {hashlib.sha256(stream).hexdigest()}\n")
    return "".join(lines)


def sums(python: str, inputs: Path, **environment: str) -> str:
    done = subprocess.run(
        [python, "-c", SUMS, str(inputs)],
        env=users(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_equal_input_gives_equal_output_whatever_the_hash_seed(inputs: Path, right: str):
    for seed in ("0", "4242"):
        assert sums(sys.executable, inputs, PYTHONHASHSEED=seed) == right


def other_pythons() -> Iterator[str]:
    """The interpreters of other versions on this machine, in PATH or pyenv's."""
    ours = f"python3.{sys.version_info.minor}"
    for minor in range(10, 20):
        name = f"python3.{minor}"
        places = [
            shutil.which(name),
            *map(str, sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))),
        ]
        if name != ours:
            runs = [
                one
                for one in places
                if one
                and subprocess.run([one, "-c", ""], capture_output=True, check=False).returncode
                == 0
            ]
            yield from runs[:1]


@pytest.mark.slow
def test_equal_input_gives_equal_output_in_other_versions_of_python(inputs: Path, right: str):
    """In the oldest and the newest that are found here."""
    found = list(other_pythons())
    if not found:
        pytest.skip("no other Python is installed")
    for python in dict.fromkeys((found[0], found[-1])):
        assert sums(python, inputs) == right, python


# Time and memory. Times are counted in runs of a loop of the compressor's kind of work, for
# whatever the machine and its Python. On a machine where EDK2's EfiCompress takes 8 ms for the
# driver of sid's e1000, it runs 33 times in a second: it takes 3.8 times as long as that (CPython
# 3.11, three runs of 30, least of each).

SLACK = 1.25  # for what is run once


def loops_of_one(data: bytes) -> float:
    """As ``ratio``, but compresses once. The loop runs between the rounds, so it is as slow."""
    loops = [spent(loop) for _ in range(5)]
    before = len(loops)
    streams: list[bytes] = []

    def progress(done: int, most: int) -> None:
        loops.extend(spent(loop) for _ in range(5))

    whole = spent(lambda: streams.append(encoder.compress(data, progress=progress)))
    whole -= sum(loops[before:])
    checked(streams[0], data)
    return whole / (sum(loops) / len(loops))


@pytest.mark.slow
@pytest.mark.parametrize(("level", "limit"), [("fast", 33), ("default", 132)])
def test_a_driver_of_70_kb_takes_no_longer_than_it_may(driver: bytes, level: str, limit: int):
    assert ratio(lambda: encoder.compress(driver, level), enough=limit) <= limit


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("one byte", MIB), ("noise", MIB // 2)])
def test_what_has_no_structure_takes_330_loops_for_a_mib_at_most(name: str, size: int):
    data = {"one byte": b"\x5a" * size, "noise": random.Random(6).randbytes(size)}[name]
    assert loops_of_one(data) <= 330 * SLACK * size / MIB


@pytest.mark.slow
def test_128_kib_of_code_take_375_loops_at_most(applications: dict[str, Path]):
    """From the middle of iPXE's application for amd64, at the default level."""
    data = applications["amd64"].read_bytes()[MIB // 4 : MIB * 3 // 8]
    assert len(data) == MIB // 8
    assert loops_of_one(data) <= 375 * SLACK


@pytest.mark.slow
@pytest.mark.parametrize("level", ["fast", "default"])
def test_a_driver_of_70_kb_takes_no_more_than_100_mb(tmp_path: Path, driver: bytes, level: str):
    """The command's whole process, Python included."""
    (tmp_path / "driver").write_bytes(driver)
    used = measured(tmp_path, "compress", "--level", level, "driver", "stream")
    assert used.status == 0, used.output
    assert uefi_decoder.decompress((tmp_path / "stream").read_bytes()) == driver
    assert used.memory <= 100_000_000


# The decoder on streams of the compressor's own, changed.

MUTANTS_OF = {
    "sid's e1000, its first 3 KiB": 5000,
    "words": 15_000,
    "noise": 15_000,
    "runs": 15_000,
}


def mutant(stream: bytes, dice: random.Random) -> bytes:
    """A stream with changed bits or bytes, or with a part removed or doubled."""
    work = bytearray(stream)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        place = dice.choice(
            (
                dice.randrange(HEADER.size, len(stream)),
                dice.randrange(HEADER.size, min(len(stream), 60)),
            )
        )
        change = dice.randrange(6)
        if change < 3:
            work[place : place + 1] = bytes([stream[place] ^ 1 << dice.randrange(8)])
        elif change == 3:
            work[place : place + dice.randrange(1, 5)] = dice.randbytes(dice.randrange(5))
        elif change == 4:
            work[place:place] = work[place : place + dice.randrange(30)]
        else:
            del work[place + 4 + dice.randrange(100) :]
    if dice.random() < 0.9:
        original = dice.choice((uefi_decoder.sizes(stream)[1], dice.randrange(5000), 5000))
        work[: HEADER.size] = HEADER.pack(max(0, len(work) - HEADER.size), original)
    return bytes(work)


def outcome(case: bytes) -> bytes | FormatError:
    try:
        return uefi_decoder.decompress(case, effort=20_000)
    except FormatError as error:
        return error


def test_the_mutants_are_50_000():
    assert sum(MUTANTS_OF.values()) >= 50_000


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MUTANTS_OF))
def test_mutants_of_streams_end_in_a_result_or_a_format_error(driver: bytes, name: str):
    """In bounded time. A result has the size of the header. Both outcomes occur."""
    dice = random.Random(f"mutants of {name}")
    texts = {
        "sid's e1000, its first 3 KiB": driver[:3072],
        "noise": NOISE[:400],
        "runs": bytes(300) + b"\1" * 300 + NOISE[:60] + bytes(500),
    }
    data = texts.get(name) or b" ".join(
        dice.choices([b"some", b"words", b"that", b"come", b"again"], k=120)
    )
    stream = encoder.compress(data, "fast")
    results = 0
    for number in range(MUTANTS_OF[name]):
        case = mutant(stream, dice)
        found = outcome(case)
        if isinstance(found, bytes):
            assert len(found) == HEADER.unpack_from(case)[1], (name, number)
            results += 1
        else:
            assert 0 <= found.offset <= len(case), (name, number)
    assert MUTANTS_OF[name] // 100 < results < MUTANTS_OF[name]
