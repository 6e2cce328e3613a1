# SPDX-License-Identifier: GPL-2.0-or-later
"""Hostile input: any bytes give a result or a RomforgeError, soon, and in little memory.

The cases come from fixed seeds. Those in one process are counted: more than 20,000. Whole commands
have bounds of time and memory, for files up to the largest size of a ROM: 200 MB, and the processor
time of 32 runs of ``yardstick.loop``. On the machine where that was set they took one second.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from romforge.base.errors import RomforgeError
from romforge.base.pci_id import PciId
from romforge.cli import command_line
from romforge.formats import efi_image, option_rom, pe, rom_check
from romforge.formats.option_rom import PciDataStructure
from romforge.formats.uefi_compression import decoder
from romforge.rom import assembly
from romforge.sources.image import SourceImage
from romforge.spec import loader
from tests.support import builders, debian, yardstick
from tests.support.builders import (
    PCIR,
    compressed_efi,
    efi,
    encode,
    flat,
    greedy,
    legacy,
    mended,
    stored,
)
from tests.support.large_roms import COMMANDS, LARGE, LARGEST
from tests.support.measuring import Used, measured
from tests.support.project import TOP, run, spec_text

pytestmark = pytest.mark.slow

# cases of each test
OF_REAL_ROM, OF_BUILT_ROM, OF_COMMANDS, OF_STREAM, OF_REAL_STREAM, OF_SPEC, OF_NOISE = (
    20,  # each takes as long as twenty of those that tests build
    1600,
    300,
    1000,
    30,
    2000,
    800,
)
OF_LOCK = 200  # of each kind of change
BUILT_ROMS, STREAMS, SPECS = 15, 6, 2
COUNTS = [
    48 * OF_REAL_ROM,
    BUILT_ROMS * OF_BUILT_ROM,
    6 * OF_COMMANDS,  # COMMANDED, and the drivers that efirom wraps
    STREAMS * OF_STREAM,
    16 * OF_REAL_STREAM,
]
COUNTS += [SPECS * OF_SPEC, 3 * OF_NOISE, 3 * OF_LOCK]


def test_the_cases_are_more_than_20_000():
    assert sum(COUNTS) >= 20_000


def _overwrite(work: bytearray, place: int, part: bytes) -> None:
    work[place : place + len(part)] = part


def _move(work: bytearray, place: int, size: int, dice: random.Random) -> None:
    begin = dice.randrange(len(work) + 1)
    work[place:place] = work[begin : begin + size]


NUMBERS = [
    number.to_bytes(2, "little")
    for number in (0, 1, 2, 4, 0x1A, 0x1C, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
]
CHANGES: list[Callable[[bytearray, int, int, random.Random], object]] = [
    lambda work, place, size, dice: _overwrite(work, place, dice.randbytes(1)),
    lambda work, place, size, dice: _overwrite(work, place, dice.randbytes(size)),
    lambda work, place, size, dice: _overwrite(
        work, place, dice.choice((b"\0", b"\xff", b"\x80", b"\x7f")) * size
    ),
    lambda work, place, size, dice: _overwrite(work, place, dice.choice(NUMBERS)),
    lambda work, place, size, dice: _overwrite(
        work, place, bytes([work[place] ^ 1 << dice.randrange(8)]) if place < len(work) else b""
    ),
    lambda work, place, size, dice: work.__delitem__(slice(place, place + size)),
    lambda work, place, size, dice: work.__delitem__(slice(place, None)),
    _move,
]


def mutants(data: bytes, count: int, seed: str, places: list[int]) -> Iterator[bytes]:
    """``count`` variants of data.

    Half of the changes are within 64 bytes behind ``places``, where its headers are.
    """
    dice = random.Random(seed)
    for _ in range(count):
        work = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 3, 8))):
            place = (
                dice.choice(places) + dice.randrange(64)
                if dice.random() < 0.5
                else dice.randrange(len(work) + 1)
            )
            dice.choice(CHANGES)(
                work, min(place, len(work)), dice.choice((1, 1, 2, 2, 4, 16, 200)), dice
            )
        yield bytes(work)


def refusal(action: Callable[[], object]) -> RomforgeError | None:
    """The RomforgeError of an action, which has words; None where there is a result."""
    try:
        action()
    except RomforgeError as error:
        return error
    return None


def try_all(cases: Iterator[bytes], action: Callable[[bytes], object], name: str) -> int:
    """Gives each case to the action; returns their number.

    Anything but a result or a RomforgeError fails, with the number of the case.
    """
    count = 0
    for case in cases:
        count += 1
        try:
            refused = refusal(partial(action, case))
        except Exception as error:
            raise AssertionError(f"{name}: case {count} ends with {error!r}") from error
        assert refused is None or str(refused).strip()
    return count


def handle_rom(data: bytes) -> None:
    """What inspect, split, combine and build do with the bytes of a ROM, each for itself."""
    chain = option_rom.parse_chain(data)
    assert (
        b"".join(image.data for image in chain.images) == data[: chain.end if chain.images else 0]
    )
    for fault in rom_check.find_faults(data):
        assert 0 <= fault.offset <= len(data), fault
        assert len(str(fault)) < 500
    refusal(lambda: rom_check.require_sound(data, "case"))
    effort = rom_check.effort_each(chain.images)
    for image in chain.images:
        refusal(partial(option_rom.driver_of, image, effort))
    parts = [
        SourceImage(image, image.kind, "case", payload=payload)
        for image, payload in option_rom.group_images(chain.images)
    ]
    refusal(lambda: assembly.image_layout(parts))
    refusal(lambda: combine_parts(parts, None, None))
    refusal(lambda: combine_parts(parts, PciId(0x10EC, 0x8139), 64 << 10))


def combine_parts(parts: list[SourceImage], ids: PciId | None, bucket: int | None) -> None:
    """Chains the parts. The result has the sizes and sums of the parts, and as many images."""
    chained = assembly.chain_images(parts, ids=ids)
    images = [image for part in parts for image in part.images]
    for before, after in zip(images, [image for part in chained for image in part.images]):
        assert len(before.data) == len(after.data)
        assert (
            isinstance(before.header, option_rom.EfiHeader)
            or not (sum(before.data) - sum(after.data)) % 256
        )
        assert after.ids == (ids or before.ids)
        assert after.kind == before.kind
        _check_list(before, after, ids)
    found = option_rom.parse_chain(assembly.fit_bucket(chained, bucket=bucket)).images
    assert len(found) == len(images)
    assert [image.is_last for image in found] == [False] * (len(images) - 1) + [True] * (
        len(images) > 0
    )


def _check_list(before: option_rom.Image, after: option_rom.Image, ids: PciId | None) -> None:
    """The list is whole; or it lacked the IDs that were written, and has this device alone."""
    try:
        old, new = option_rom.device_list(before), option_rom.device_list(after)
    except RomforgeError:
        return
    if ids is None or not old:
        assert new == old
    elif ids.device and new != [ids.device]:
        assert new == old
        assert ids.device in old


@pytest.mark.parametrize("suite", list(debian.KNOWN))
@pytest.mark.parametrize("kind", ["efi", "pxe"])
def test_mutants_of_debians_roms_give_a_result_or_an_error(
    releases: dict[str, Path], suite: str, kind: str
):
    done = 0
    for nic in debian.NICS:
        data = (releases[suite] / f"{kind}-{nic}.rom").read_bytes()
        places = [
            place
            for image in option_rom.parse_rom(data).images
            for place in (image.offset, image.offset + image.header.pcir_pointer)
        ]
        name = f"{suite}/{kind}-{nic}"
        done += try_all(mutants(data, OF_REAL_ROM, name, places), handle_rom, name)
    assert done == OF_REAL_ROM * len(debian.NICS)


def built_roms() -> dict[str, bytes]:
    driver = builders.driver(size=512)
    matched = encode(greedy(driver))
    others = [PciId(0x8086, 0x100F), PciId(0x8086, 0x1010)]
    listed = efi_image.wrap_driver(driver, builders.E1000, others)
    found = {
        "legacy": legacy(),
        "devices": legacy(devices=[0x100E, 0x100F, 1, 2, 3]),
        "no free byte": legacy(entry=b"\x31\xc0\xcb"),
        "efi": efi(),
        "stored stream": compressed_efi(stored(driver)),
        "matched stream": compressed_efi(matched),
        "both": legacy(last=False) + compressed_efi(matched),
        "three": legacy(last=False) + efi(last=False) + efi(machine=builders.ARM64) + b"\xff" * 700,
        "mrom": builders.mrom(),
        "mrom and efi": builders.mrom(last=False) + efi(),
        "efi list": listed,
        "signed": efi_image.wrap_driver(builders.signed_driver(), builders.E1000),
        "signed and padded": efi(builders.signed_driver(certificate=0x60)),
        "list where a checksum may be": builders.mended(
            builders.with_field(
                builders.changed(efi(free_byte=False), builders.PCIR_END, b"\x0e\x10\x0f\x10\0\0"),
                PciDataStructure,
                PCIR,
                device_list_pointer=builders.PCIR_END - PCIR,
            ),
            0x3E,
        ),
        "other": builders.with_field(legacy(last=False), PciDataStructure, PCIR, code_type=1)
        + legacy(),
    }
    assert len(found) == BUILT_ROMS
    return found


@pytest.mark.parametrize(("name", "data"), built_roms().items(), ids=list(built_roms()))
def test_mutants_of_small_roms_give_a_result_or_an_error(name: str, data: bytes):
    """In every other one an unused byte mends the sum, since a right sum leads further."""
    places = [
        0,
        PCIR,
        PCIR,
        builders.DRIVER,
        builders.IPXE,
        builders.PNP,
        *range(1024, len(data), 512),
    ]
    slot = builders.DRIVER - 1
    all_mutants = enumerate(mutants(data, OF_BUILT_ROM, name, places))
    cases = (
        mended(case, slot) if number % 2 and len(case) > slot else case
        for number, case in all_mutants
    )
    assert try_all(cases, handle_rom, name) == OF_BUILT_ROM


COMMANDED = "both", "three", "mrom and efi", "efi list", "signed"


@pytest.mark.parametrize("name", COMMANDED)
def test_commands_on_mutants_of_small_roms_end_with_status_0_or_1(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
):
    """The commands around the functions above: what they print, and as JSON."""
    path, parts, new = tmp_path / "mutant.rom", tmp_path / "parts", tmp_path / "new.rom"
    commands = (
        ["inspect", path],
        ["inspect", "--json", path],
        ["split", path, "-d", parts, "--json"],
        ["combine", path, "-o", new],
    )
    data = built_roms()[name]

    def run_all(case: bytes) -> None:
        path.write_bytes(case)
        for command in commands:
            status = command_line.main([str(word) for word in command])
            shown = capsys.readouterr()
            assert status == 0 or (
                status == 1 and (shown.err.startswith("romforge: ") or "fault" in shown.out)
            ), command

    assert (
        try_all(
            mutants(data, OF_COMMANDS, f"commands {name}", [0, PCIR, 1024, 1024 + PCIR]),
            run_all,
            name,
        )
        == OF_COMMANDS
    )


# Of the signed driver: the number of data directories, the entry of the certificate table, the
# table itself, and the PE headers.
OF_SIGNATURE = [0x40 + 24 + 108, 0x40 + 24 + 108 + 4 + 32, 1024, 0x40, 0x40 + 24]


def test_mutants_of_a_signed_driver_give_a_result_or_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Damaged certificate tables: what reads them, and `efirom`, which wraps such a driver."""
    path, new = tmp_path / "mutant.efi", tmp_path / "new.rom"
    command = ["efirom", "--stored", "--id", "8086:100e", str(path), str(new)]

    def wrap(case: bytes) -> None:
        refusal(partial(pe.certificate_table, case))
        path.write_bytes(case)
        status = command_line.main(command)
        assert status == 0 or (status == 1 and capsys.readouterr().err.startswith("romforge: "))
        if status == 0:
            handle_rom(new.read_bytes())
            assert case in new.read_bytes()

    cases = mutants(builders.signed_driver(), OF_COMMANDS, "signed driver", OF_SIGNATURE)
    assert try_all(cases, wrap, "signed driver") == OF_COMMANDS


def handle_stream(data: bytes) -> None:
    found = decoder.decompress(data, effort=rom_check.EFFORT)
    assert len(found) == decoder.sizes(data)[1]


def small_streams() -> dict[str, bytes]:
    text = b"".join(b"line %d of %d\n" % (index, index % 7) for index in range(60))
    found = {
        "stored": stored(text),
        "matches": encode(greedy(text)),
        "blocks": encode(greedy(text), per_block=9),
        "tables": builders.table_bomb(20),
        "bomb": builders.bomb()[:3000],
        "own codes": encode(text, characters=flat(set(text)), positions=flat([0])),
    }
    assert len(found) == STREAMS
    return found


@pytest.mark.parametrize(("name", "data"), small_streams().items(), ids=list(small_streams()))
def test_mutants_of_small_streams_give_a_result_or_an_error(name: str, data: bytes):
    """The size in the header is made to fit each mutant, so that they get further than that."""
    fitted = (
        decoder.HEADER.pack(len(case) - 8, 4096) + case[8:] if len(case) > 8 else case
        for case in mutants(data, OF_STREAM, name, [8])
    )
    assert try_all(fitted, handle_stream, name) == OF_STREAM


def test_mutants_of_debians_streams_give_a_result_or_an_error(releases: dict[str, Path]):
    done = 0
    for suite in ("trixie", "sid"):
        for nic in debian.NICS:
            image = option_rom.parse_rom((releases[suite] / f"efi-{nic}.rom").read_bytes()).images[
                1
            ]
            data = (
                image.data[image.header.efi_image_offset :]
                if isinstance(image.header, option_rom.EfiHeader)
                else b""
            )
            done += try_all(
                mutants(data, OF_REAL_STREAM, f"{suite}/{nic}", [0, 8, 40, 80]),
                handle_stream,
                f"{suite}/{nic}",
            )
    assert done == 16 * OF_REAL_STREAM


WORDS = [
    "=",
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    "[[",
    ",",
    ".",
    "\\",
    "#",
    "\n",
    "\0",
    "true",
    "-1",
    "0x100",
    "1e400",
    "1979-05-27",
    '""',
]
WORDS += [
    "[nic.e1000]",
    "nic",
    '"*"',
    '"../.."',
    "{nic}",
    "é",
    "\u202e",
    "source.debian.package",
    "spec = 1",
    '"8086:100e"',
    "🦊",
    "9" * 50,
]


def spec_mutants(text: str, count: int, seed: str) -> Iterator[bytes]:
    """Variants of a spec: words dropped, doubled, swapped, or replaced by tokens of TOML.

    A tenth ends in raw bytes.
    """
    dice = random.Random(seed)
    words = re.findall(r"\n|[\w.-]+|\s+|.", text)
    for _ in range(count):
        work = list(words)
        for _ in range(dice.choice((1, 1, 2, 4))):
            place, other = dice.randrange(len(work)), dice.randrange(len(work))
            odd = dice.choice(
                [
                    *WORDS,
                    chr(dice.randrange(32)),
                    chr(dice.randrange(128)),
                    chr(dice.randrange(0xD800)),
                ]
            )
            put: list[list[str]] = [
                [odd],
                [],
                [work[place], odd],
                [work[place], work[other]],
                [work[other]],
            ]
            work[place : place + 1] = dice.choice(put)
        data = "".join(work).encode()
        yield data[: dice.randrange(len(data))] + dice.randbytes(3) if dice.random() < 0.1 else data


@pytest.mark.parametrize("which", ["checkout", "small"])
def test_mutants_of_specs_give_a_spec_or_an_error(tmp_path: Path, which: str):
    text = (TOP / "romspec.toml").read_text() if which == "checkout" else spec_text("roms")
    path = tmp_path / "romspec.toml"

    def load(data: bytes) -> None:
        path.write_bytes(data)
        loader.load_spec(path, tmp_path / "out")

    assert try_all(spec_mutants(text, OF_SPEC, which), load, which) == OF_SPEC


# In place of a value of a lock: other types, and numbers that no size has.
VALUES = ["true", "1.5", "inf", "nan", "-1", "0", "0x" + "f" * 5000, "1" * 5000, '""', '"\\u0000"']
VALUES += ["[]", "{}", "[[]]", '{ kind = "legacy" }', "1979-05-27", "[1]", '"' + "x" * 5000 + '"']


def exchanged_values(text: str, count: int) -> Iterator[bytes]:
    """Variants of a lock with the value of a key exchanged, or a line doubled; all still TOML."""
    dice = random.Random("values")
    lines = text.split("\n")
    values = [match.span(1) for match in re.finditer(r"= (\d+|\"[^\"]*\"|\[(?s:.)*?\n?\])", text)]
    for number in range(count):
        if number % 8 == 0:
            place = dice.randrange(len(lines))
            yield "\n".join([*lines[:place], lines[place], *lines[place:]]).encode()
            continue
        start, end = dice.choice(values)
        yield (text[:start] + dice.choice(VALUES) + text[end:]).encode()


@pytest.fixture
def locked(tmp_path: Path, releases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a small spec, whose ROMs are built; the current directory is that of the spec."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "romspec.toml").write_text(spec_text(releases["sid"]))
    assert command_line.main(["build"]) == command_line.main(["lock"]) == 0
    return tmp_path / "romspec.lock"


def test_mutants_of_a_lock_give_a_result_or_an_error(
    locked: Path, capsys: pytest.CaptureFixture[str]
):
    """What reads it; and the commands, which say what is wrong with the lock, and where it is."""
    text = locked.read_text()
    cases = [
        *spec_mutants(text, OF_LOCK, "lock"),
        *mutants(text.encode(), OF_LOCK, "bytes of a lock", [0]),
        *exchanged_values(text, OF_LOCK),
    ]
    capsys.readouterr()

    def run_all(case: bytes) -> None:
        locked.write_bytes(case)
        for command in (["lock", "--check"], ["compat", "romspec.lock", "out"]):
            status = command_line.main(command)
            shown = capsys.readouterr()
            assert status in (0, 1, 3), command
            assert status != 1 or shown.out or shown.err.startswith("romforge: romspec.lock: ")
            assert len(shown.err) < 1000

    assert try_all(iter(cases), run_all, "lock") == 3 * OF_LOCK


@pytest.mark.parametrize(
    "action",
    [handle_rom, handle_stream, lambda noise: handle_rom(legacy(last=False) + noise)],
    ids=["rom", "stream", "behind"],
)
def test_noise_gives_a_result_or_an_error(action: Callable[[bytes], object]):
    done = 0

    @given(st.binary(max_size=2000))
    @settings(
        max_examples=OF_NOISE,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def each(noise: bytes) -> None:
        nonlocal done
        done += try_all(iter([noise]), action, "noise")

    each()
    assert done >= OF_NOISE


# Whole commands

MOST_LOOPS, MOST_MEMORY = 32, 200_000_000  # of the yardstick; bytes
ROUNDS = 5  # runs of a command that takes too much: what else the machine does may be the cause


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytecode is compiled once, whoever comes first."""
    for arguments in COMMANDS.values():
        measured(
            tmp_path_factory.mktemp("warm"), *(argument.format("absent") for argument in arguments)
        )


def within_bounds(directory: Path, *arguments: object, prefix: tuple[str, ...] = ()) -> Used:
    """Runs romforge, again where that takes too much; fails the test where it always does."""
    loop = yardstick.spent(yardstick.loop)
    for _ in range(ROUNDS):
        for left in ("parts", "new"):
            shutil.rmtree(directory / left, ignore_errors=True)
            (directory / left).unlink(missing_ok=True)
        used = measured(directory, *arguments, prefix=prefix)
        loop = min(loop, yardstick.spent(yardstick.loop))
        if used.cpu < MOST_LOOPS * loop:
            break
    assert used.cpu < MOST_LOOPS * loop, (arguments, f"{used.cpu / loop:.0f} loops", used)
    assert used.memory < MOST_MEMORY, (arguments, used)
    return used


@pytest.mark.parametrize("name", LARGE)
def test_16_mib_of_anything_take_little_time_and_200_mb(tmp_path: Path, name: str):
    data = LARGE[name]()
    assert LARGEST - option_rom.BLOCK < len(data) <= LARGEST
    (tmp_path / "large.rom").write_bytes(data)
    for command, arguments in COMMANDS.items():
        used = within_bounds(tmp_path, *(argument.format("large.rom") for argument in arguments))
        print(
            f"{name}: {command}: status {used.status}, {used.cpu:.2f} s, "
            f"{used.memory / 1e6:.0f} MB, {used.output[:150]!r}"
        )
        allowed = (0, 1, 3) if command == "compat" else (0, 1)  # 3: no image to boot from
        assert used.status in allowed, used


def sparse(size: int) -> Callable[[Path], object]:
    """Makes a file of that size with nothing in it."""

    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def unreadable(path: Path) -> None:
    path.touch(0)


def behind_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


TOO_LARGE = "too many for an option ROM, which has at most 16384 KiB"

# what makes the file, and what all commands say of it
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file or directory"),
    "directory": (lambda path: path.mkdir(), "is not a file"),
    "link to the null device": (lambda path: path.symlink_to("/dev/null"), "is not a file"),
    "link to endless zeros": (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
    "pipe": (os.mkfifo, "is not a file"),
    "link to itself": (
        lambda path: path.symlink_to(path.name),
        "Too many levels of symbolic links",
    ),
    "link to nothing": (lambda path: path.symlink_to("nothing"), "No such file or directory"),
    "behind a file": (behind_a_file, "Not a directory"),
    "a byte too large": (
        sparse(LARGEST + 1),
        TOO_LARGE,
    ),
    "1 TiB": (sparse(1 << 40), TOO_LARGE),
    "unreadable": (unreadable, "Permission denied"),
}
# What a reader may take too much for, and what root must meet without its privileges.
COSTLY = "link to endless zeros", "a byte too large", "1 TiB", "unreadable"


def without_privileges() -> tuple[str, ...]:
    """What root must put in front of a command to meet files that cannot be read."""
    return (
        ("/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search")
        if os.geteuid() == 0
        else ()
    )


@pytest.mark.parametrize("name", ODD)
def test_a_file_that_cannot_be_read_is_told_in_words_by_every_command(tmp_path: Path, name: str):
    make, message = ODD[name]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "odd.rom")
    for command, arguments in COMMANDS.items():
        words = [argument.format("in/odd.rom") for argument in arguments]
        if name in COSTLY:
            used = within_bounds(tmp_path, *words, prefix=without_privileges())
        else:
            used = forked(tmp_path, *words)
        assert used.status == 1, (command, used)
        assert used.output.startswith("romforge: in/odd.rom: "), (command, used)
        is_set = (command, name) == ("compat", "directory")
        assert ("holds no *.rom file" if is_set else message) in used.output, (command, used)
        assert not (tmp_path / "new").exists()


def forked(directory: Path, *arguments: str) -> Used:
    """Runs romforge in a fork; its time and memory are not measured."""
    done = run([sys.executable, "-m", "romforge", *arguments], directory)
    return Used(done.returncode, 0, 0, done.stdout + done.stderr)


FEW = [b"", b"\x55", b"\x55\xaa", b"\x55\xaa\x01", b"MZ", b"\n" * 100]


@pytest.mark.parametrize("data", FEW, ids=lambda data: data.hex()[:12] or "empty")
def test_a_few_bytes_are_no_rom(tmp_path: Path, data: bytes):
    (tmp_path / "few.rom").write_bytes(data)
    for command in ("inspect", "split", "combine"):
        used = forked(tmp_path, *(argument.format("few.rom") for argument in COMMANDS[command]))
        assert used.status == 1, (command, used)
        assert used.output.strip(), (command, used)


SPEC_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "a byte": lambda path: path.write_bytes(b"\xff"),
    "directory": lambda path: path.mkdir(),
    "link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "link to the null device": lambda path: path.symlink_to("/dev/null"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "unreadable": unreadable,
    "16 MiB of zeros": lambda path: path.write_bytes(bytes(LARGEST)),
    "16 MiB of noise": lambda path: path.write_bytes(random.Random(17).randbytes(LARGEST)),
    "nested lists": lambda path: path.write_text("a = " + "[" * 200_000),
    "nested tables": lambda path: path.write_text("a = " + "{a=" * 60_000),
    "long keys": lambda path: path.write_text("a." * 100_000 + "a = 1"),
    "many keys": lambda path: path.write_text(
        "spec = 1\n" + "".join(f"k{number} = 1\n" for number in range(20_000))
    ),
    "many tables": lambda path: path.write_text(
        "spec = 1\n" + "".join(f"[nic.n{number}]\n" for number in range(15_000))
    ),
    "many problems": lambda path: path.write_text(
        "spec = 1\n[nic]\n" + "".join(f"n{number} = 1\n" for number in range(20_000))
    ),
    "a long text": lambda path: path.write_text('spec = "' + "x" * 250_000 + '"'),
    "a long number": lambda path: path.write_text("spec = " + "1" * 250_000),
    "escapes": lambda path: path.write_text('spec = "' + "\\u0041" * 40_000),
}


@pytest.mark.parametrize("name", SPEC_FILES)
def test_a_file_that_is_no_spec_is_told_in_words(tmp_path: Path, name: str):
    SPEC_FILES[name](tmp_path / "romspec.toml")
    used = within_bounds(tmp_path, "check", prefix=without_privileges())
    print(
        f"{name}: check: status {used.status}, {used.cpu:.2f} s, "
        f"{used.memory / 1e6:.0f} MB, {used.output[:150]!r}"
    )
    assert used.status == 2, used
    assert used.output.startswith(("romforge: ", "romspec.toml")), used


LOCK_FILES: dict[str, Callable[[Path], object]] = {
    "a directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "1 TiB": sparse(1 << 40),
    "nested lists": lambda path: path.write_text("a = " + "[" * 200_000),
    "long keys": lambda path: path.write_text("a." * 100_000 + "a = 1"),
    "a long number": lambda path: path.write_text("lock = " + "1" * (3 << 20)),
    "latin-1": lambda path: path.write_bytes('lock = 1\n[sources]\na = "ü"'.encode("latin-1")),
    "16 MiB of noise": lambda path: path.write_bytes(random.Random(17).randbytes(LARGEST)),
}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_a_file_that_is_no_lock_is_told_in_words(tmp_path: Path, name: str):
    LOCK_FILES[name](tmp_path / "odd.lock")
    (tmp_path / "x.rom").write_bytes(legacy())
    used = within_bounds(tmp_path, "compat", "odd.lock", "x.rom")
    assert used.status == 1, used
    assert used.output.startswith("romforge: odd.lock: is not a valid lock ("), used


@pytest.mark.parametrize("path", ["d{}/x.rom", "d/x{}.rom"], ids=["one name", "many names"])
def test_thousands_of_roms_in_a_lock_take_little_time_and_200_mb(tmp_path: Path, path: str):
    """Each may be what QEMU opens in place of one file, and none names all others."""
    entry = "bucket = 65536\nused = 1\nimages = []\n"
    tables = [f'[rom."{path.format(number)}"]\n{entry}' for number in range(5000)]
    (tmp_path / "odd.lock").write_text("lock = 1\n" + "".join(tables))
    (tmp_path / "x.rom").write_bytes(legacy())
    used = within_bounds(tmp_path, "compat", "odd.lock", "x.rom")
    assert used.status == 1, used.status
    assert used.output.count("\n") > 5000
