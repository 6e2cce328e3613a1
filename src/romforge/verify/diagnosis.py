# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a guest did not boot from the network, from what its console shows; no QEMU is needed here.

Of UEFI firmware there is the report of a program on a disk, which tells how far the NIC came: the driver that has it, its
network interface, and what the firmware built on that. Of a PC BIOS there is the console alone.
"""

from __future__ import annotations

import re

from romforge.verify import guest_program
from romforge.verify.guest_program import GuestReport, Interfaces

# What firmware and iPXE print where they give a download or an image up.
_PXE_ERROR = re.compile(r"PXE-E[0-9A-F]{2}[^\n]*")
_PXE_STARTED = re.compile(r">>Start PXE over IPv[46][^\n]*")
_HTTP_STARTED = re.compile(r">>Start HTTP Boot over IPv[46][^\n]*")
_LOAD_FAILED = re.compile(
    r"failed to (?:load|start) Boot[0-9A-F]{4}[^\n]*: ([A-Z][A-Za-z ]+)$", re.M
)
_IPXE_ERROR = re.compile(r"[^\n]*\(https?://ipxe\.org/[^\n]*")
_IPXE_BANNER = re.compile(r"iPXE [0-9][^\n]*Network Boot Firmware[^\n]*")
_IPXE_STARTED = re.compile(r"iPXE \(PCI [^\n]*")
_IPXE_NO_NIC = re.compile(r"No more network devices|No network devices")
_SEABIOS_END = re.compile(r"No bootable device[^\n]*")


def explain_uefi(console: str, report: GuestReport | None) -> str:
    """What is known of a UEFI boot that did not happen; ``report`` is that of the program on the disk, if it ran."""
    text = guest_program.strip_terminal_codes(console)
    if not report or not report.interfaces:
        quoted = _download_errors(text)
        return _attempt(quoted) if quoted else "nothing on the console says why"
    found = report.interfaces
    if report.driver == "none":
        return _no_driver(found)
    name = report.driver_name or "without a name"
    if report.driver == "built-in":
        return f"the NIC has a driver of the firmware's own ({name}), not that of the ROM"
    if not found.snp:
        return no_interface(name, bool(found.nii))
    quoted = _download_errors(text)
    if quoted or _PXE_STARTED.search(text) or _HTTP_STARTED.search(text):
        return _attempt(quoted)
    return _no_boot_option(name, found)


def explain_bios(console: str) -> str:
    """What is known of a boot by a PC BIOS that did not happen."""
    text = guest_program.strip_terminal_codes(console)
    errors = [match[0].strip() for match in _IPXE_ERROR.finditer(text)]
    if errors:
        return f'iPXE ran, and its boot failed; its last error is "{errors[-1]}"'
    ran = _IPXE_BANNER.search(text) or _IPXE_STARTED.search(text)
    if ran and (without := _IPXE_NO_NIC.search(text)):
        return f'iPXE ran and has no network device: it says "{without[0]}"; its driver does not support the NIC, or found it out of order'
    if ran:
        return f'iPXE ran as far as "{ran[0].strip()}", and says no more'
    if end := _SEABIOS_END.search(text):
        return (
            f'iPXE printed nothing, and the BIOS says "{end[0].strip()}"; the BIOS did not run the '
            "ROM's legacy image, or that image did not start: check its IDs, which must be the "
            "NIC's, and its checksum (romforge inspect)"
        )
    if not text.strip():
        return "the console is empty: the BIOS itself did not come to its first line"
    return "neither iPXE nor the BIOS says why"


def _no_driver(found: Interfaces) -> str:
    if not found.images:
        return (
            "no driver is bound to the NIC, and the firmware holds no driver from its ROM; the ROM has "
            "no EFI image for this architecture, or the firmware could not load it, or the driver's "
            "entry point returned an error: check the ROM with romforge inspect"
        )
    return (
        "no driver is bound to the NIC, although the firmware loaded one from its ROM; the driver "
        "does not support this device, or failed to start it: check that it is built for the NIC's IDs"
    )


def no_interface(name: str, identified: bool) -> str:
    """A driver that is bound and dead; ``identified`` tells whether it has an UNDI interface all the same."""
    behind = " (a Network Interface Identifier is there)" if identified else ""
    return (
        f"the ROM's driver ({name}) is bound to the NIC, but offers no network interface: neither the "
        f"NIC nor a child of it has an EFI_SIMPLE_NETWORK_PROTOCOL{behind}; an iPXE driver lacks it "
        "where its link left out efi_snp.o: keep the root obj_efi_snp"
    )


def _no_boot_option(name: str, found: Interfaces) -> str:
    there = f"the ROM's driver ({name}) offers a network interface, but the firmware offers no network boot"
    if found.pxe or found.loadfile:
        return f"{there}, although it has PXE Base Code for it"
    if not found.rng:
        return (
            f"{there} (no PXE Base Code, no Load File); it has no source of random numbers, which the "
            "network stack of edk2 since 2024 asks for: add -device virtio-rng-pci"
        )
    if not found.mnp:
        return (
            f"{there}: its network stack is not bound to the interface, or it was built without one"
        )
    return f"{there} (no PXE Base Code, no Load File)"


def _attempt(quoted: list[str]) -> str:
    """A download that was tried."""
    tried = "the firmware tried to boot from the network, and the download failed"
    return f"{tried}: {'; '.join(quoted)}" if quoted else f"{tried} without an error on the console"


def _download_errors(text: str) -> list[str]:
    """The firmware's own words of a download that failed, each once."""
    lines = [match[0].strip() for match in _PXE_ERROR.finditer(text)]
    lines += [f"boot option failed: {match[1].strip()}" for match in _LOAD_FAILED.finditer(text)]
    return list(dict.fromkeys(lines))
