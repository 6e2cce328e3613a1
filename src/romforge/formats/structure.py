# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads and writes little-endian structures.

A structure is a frozen dataclass. Its fields are those of the specification, in their order.
"""

from __future__ import annotations

import struct
from dataclasses import astuple
from typing import ClassVar, TypeVar

from romforge.base.errors import FormatError
from romforge.base.text import format_bytes

S = TypeVar("S", bound="Structure")


class Structure:
    """Base of all structures. ``LAYOUT`` packs the fields, ``TITLE`` is the name in messages."""

    LAYOUT: ClassVar[struct.Struct]
    TITLE: ClassVar[str]

    @classmethod
    def parse(cls: type[S], data: bytes, offset: int = 0) -> S:
        """Reads the structure at ``offset`` bytes into ``data``.

        Raises FormatError if it is not within the data.
        """
        if offset < 0 or offset + cls.LAYOUT.size > len(data):
            title = f"{cls.TITLE} of {format_bytes(cls.LAYOUT.size)}"
            raise FormatError(offset, f"the {title} lies outside the {format_bytes(len(data))}")
        return cls(*cls.LAYOUT.unpack_from(data, offset))

    def emit(self) -> bytes:
        """Returns the bytes of the structure, the inverse of ``parse``."""
        return self.LAYOUT.pack(*astuple(self))  # type: ignore[call-overload]
