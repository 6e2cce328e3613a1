# SPDX-License-Identifier: GPL-2.0-or-later
"""Forges, built and not; what is made once is copied for each test that changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forge import BINS, EFI, GOALS, NOTE, Forge, new_forge


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge where nothing was built yet."""
    made = new_forge(tmp_path_factory, NOTE)
    made.spec()
    return made


@pytest.fixture(scope="session")
def ready(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge with two NICs' ROMs for two platforms, for tests that change nothing."""
    made = empty.copy(tmp_path_factory.mktemp("ready"))
    made.build()
    made.asked()
    return made


@pytest.fixture
def forge(empty: Forge, tmp_path: Path) -> Forge:
    return empty.copy(tmp_path)


@pytest.fixture
def built(ready: Forge, tmp_path: Path) -> Forge:
    return ready.copy(tmp_path)


@pytest.fixture(scope="session")
def own(ready: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """A forge like ``ready`` in whose tree its own make has then built the images of e1000."""
    made = ready.copy(tmp_path_factory.mktemp("own"))
    made.prepare(made.src, *(pattern.split("/")[0] for pattern in BINS.values()))
    for pattern in BINS.values():
        made.make(made.src, pattern.format(GOALS["e1000"]))
    return made


@pytest.fixture(scope="session")
def with_qemu(empty: Forge, tmp_path_factory: pytest.TempPathFactory) -> Forge:
    """EFI drivers of two NICs, as the tree's configuration for QEMU has them."""
    made = empty.copy(tmp_path_factory.mktemp("qemu"))
    made.spec({EFI: 'config = "qemu"'})
    made.build()
    made.asked()
    return made
