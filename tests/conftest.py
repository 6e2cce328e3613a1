# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for all tests: Debian's ROMs, and the checkout's commands in their own directory."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import debian, scratch
from tests.support.project import Run, run, write_dodo

scratch.use_memory()

# A shell starts background jobs with these ignored, which all that tests start would inherit.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

# Of what tests run thousands of times, each process would compile romforge anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The time of an example says nothing on a busy machine.
settings.register_profile("romforge", deadline=None)
settings.load_profile("romforge")

FETCHED = {"releases", "applications"}  # fixtures for which Debian's packages are fetched

# Files that take the longest, the longest first, so that workers that share the files end at about
# the same time. `pytest --durations=0` shows where this is no longer so.
TESTS = Path(__file__).parent
LONGEST = (
    "integration/test_debian_package.py",
    "integration/tree/test_interrupted_tree_builds.py",
    "integration/test_verify.py",
    "integration/test_minipxe.py",
    "integration/test_romforge_package.py",
    "integration/test_damaged_input.py",
    "unit/formats/uefi_compression/test_encoder.py",
    "integration/tree/test_tree_options.py",
    "integration/test_compressed_images.py",
    "integration/tree/test_launcher.py",
    "repository/test_code.py",
    "integration/tree/test_tree_builds.py",
    "integration/test_why.py",
    "integration/test_interrupted_builds.py",
    "integration/test_report_page.py",
    "unit/verify/test_diagnosis.py",
    "integration/test_pinned_trees.py",
    "integration/test_examples.py",
    "integration/test_signing.py",
    "integration/test_completion.py",
    "unit/verify/test_guest_program.py",
    "integration/test_compiled_wheel.py",
    "integration/test_doit.py",
    "integration/test_guests.py",
    "unit/verify/test_several_nics.py",
    "integration/test_examples_packaging.py",
    "integration/tree/test_tree_places.py",
    "integration/test_every_command.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses Debian's packages is one of the network, through whatever fixture.

    The files that take the longest come first.
    """
    for item in items:
        if not FETCHED.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("network")
    assert all((TESTS / name).is_file() for name in LONGEST), "LONGEST names what is not there"
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """When a test's file is begun; the files that take little come last, in their order."""
    name = str(item.path.relative_to(TESTS))
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test of exact bytes where Debian's package is a newer one."""
    for marker in item.iter_markers("exact_bytes"):
        for suite in marker.args or tuple(debian.KNOWN):
            message = debian.moved_on(suite)
            if message:
                pytest.skip(message)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The directories of the ROMs of Debian's three releases."""
    return {suite: debian.unpack(suite, tmp_path_factory.mktemp(suite)) for suite in debian.KNOWN}


@pytest.fixture(scope="session")
def e1000(releases: dict[str, Path]) -> bytes:
    """A ROM with a legacy and a compressed EFI image: sid's efi-e1000.rom."""
    return (releases["sid"] / "efi-e1000.rom").read_bytes()


@pytest.fixture
def romforge(tmp_path: Path) -> Run:
    """Runs ``romforge ARGUMENT…`` in an empty directory; a traceback fails the test."""
    return lambda *arguments, **options: run(
        [sys.executable, "-m", "romforge", *map(str, arguments)], tmp_path, **options
    )


@pytest.fixture
def doit(tmp_path: Path) -> Run:
    """Runs ``doit ARGUMENT…`` with a dodo.py like the checkout's, in an empty directory."""
    write_dodo(tmp_path)
    return lambda *arguments, **options: run(
        [sys.executable, "-m", "doit", *map(str, arguments)], tmp_path, **options
    )
