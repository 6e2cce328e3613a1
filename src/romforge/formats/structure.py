# SPDX-License-Identifier: GPL-2.0-or-later
"""Little-endian structures: a frozen dataclass whose fields are the specification's, with reader and writer."""

from __future__ import annotations

import struct
from dataclasses import astuple
from typing import ClassVar, TypeVar

from romforge.base.errors import FormatError
from romforge.base.text import format_bytes

S = TypeVar("S", bound="Structure")


class Structure:
    """Base of all structures: ``LAYOUT`` packs the dataclass fields in their order."""

    LAYOUT: ClassVar[struct.Struct]
    TITLE: ClassVar[str]

    @classmethod
    def parse(cls: type[S], data: bytes, offset: int = 0) -> S:
        """Reads the structure at ``offset`` bytes into ``data``; raises FormatError where it does not fit."""
        if offset < 0 or offset + cls.LAYOUT.size > len(data):
            raise FormatError(
                offset,
                f"the {cls.TITLE} of {format_bytes(cls.LAYOUT.size)} lies outside the {format_bytes(len(data))}",
            )
        return cls(*cls.LAYOUT.unpack_from(data, offset))

    def emit(self) -> bytes:
        """The bytes of the structure; ``parse`` of them gives an equal one."""
        return self.LAYOUT.pack(*astuple(self))  # type: ignore[call-overload]
