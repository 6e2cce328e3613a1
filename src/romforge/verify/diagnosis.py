# SPDX-License-Identifier: GPL-2.0-or-later
"""Explains from a guest's console why it did not boot from the network; QEMU is not needed here.

For UEFI firmware there is also the report of a program on a disk. It shows which driver is bound to
the NIC, whether that has a network interface, and which protocols the firmware installed on it. For
a PC BIOS there is only the console.
"""

from __future__ import annotations

import re

from romforge.verify.guest_report import GuestReport, Interfaces, strip_terminal_codes

# Messages of the firmware and of iPXE.
_PXE_ERROR = re.compile(r"PXE-E[0-9A-F]{2}[^\n]*")
_PXE_STARTED = re.compile(r">>Start PXE over IPv[46][^\n]*")
_HTTP_STARTED = re.compile(r">>Start HTTP Boot over IPv[46][^\n]*")
_LOAD_FAILED = re.compile(
    r"failed to (?:load|start) Boot[0-9A-F]{4}[^\n]*: ([A-Z][A-Za-z ]+)$", re.M
)
_IPXE_ERROR = re.compile(r"[^\n]*\(https?://ipxe\.org/[^\n]*")
_IPXE_BANNER = re.compile(r"iPXE [0-9][^\n]*Network Boot Firmware[^\n]*")
_IPXE_STARTED = re.compile(r"iPXE \(PCI [^\n]*")
# What iPXE prints where it cannot load itself, and then runs in a loop for ever. Before it are
# three numbers, of which the second says why.
IPXE_STOPPED = "Installation failed"
_IPXE_STOPPED = re.compile(
    rf"[0-9A-F]{{8}} (?P<address>[0-9A-F]{{8}}) [0-9A-F]{{8}}\s+{IPXE_STOPPED}", re.IGNORECASE
)
_IPXE_STOPS = {
    "BABABABA": (
        "its image is an .mrom, and the NIC has no memory BAR that is as large as the ROM: "
        "make the bucket smaller, or build .rom"
    )
}
_IPXE_STOP = "its image is damaged, or is an .mrom whose payload is not right behind it"
_IPXE_NO_NIC = re.compile(r"No more network devices|No network devices")
_SEABIOS_END = re.compile(r"No bootable device[^\n]*")


def explain_uefi(console: str, report: GuestReport | None) -> str:
    """Why UEFI firmware did not boot from the network.

    ``report`` is that of the program on the disk; None where that did not run.
    """
    text = strip_terminal_codes(console)
    errors = _download_errors(text)
    if not report or not report.interfaces:
        return _unexamined(errors)
    interfaces = report.interfaces
    if report.driver == "none":
        return _no_driver(interfaces)
    name = report.driver_name or "without a name"
    if report.driver == "built-in":
        return f"the NIC has a driver of the firmware's own ({name}), not that of the ROM"
    if not interfaces.snp:
        return no_interface(name, bool(interfaces.nii))
    if errors or _PXE_STARTED.search(text) or _HTTP_STARTED.search(text):
        return _failed_download(errors)
    return _no_boot_option(name, interfaces)


def lacks_network_stack(console: str, report: GuestReport | None) -> bool:
    """Whether a boot failed only because the firmware has no network stack.

    The ROM's driver is bound to the NIC then and has its network interface, and no driver of the
    firmware supports any network interface.
    """
    if not report or not report.interfaces or report.driver != "rom":
        return False
    text = strip_terminal_codes(console)
    if _PXE_STARTED.search(text) or _HTTP_STARTED.search(text) or _download_errors(text):
        return False
    interfaces = report.interfaces
    there = interfaces.snp and interfaces.rng
    booting = interfaces.mnp or interfaces.pxe or interfaces.loadfile
    return bool(there and not booting and not interfaces.stack)


def explain_bios(console: str) -> str:
    """Why a PC BIOS did not boot from the network."""
    text = strip_terminal_codes(console)
    errors = _IPXE_ERROR.findall(text)
    if errors:
        return f'iPXE ran, and its boot failed; its last error is "{errors[-1].strip()}"'
    started = _IPXE_BANNER.search(text) or _IPXE_STARTED.search(text)
    if started:
        return _ipxe_without_error(text, started[0].strip())
    given_up = _SEABIOS_END.search(text)
    if given_up:
        return (
            f'iPXE printed nothing, and the BIOS says "{given_up[0].strip()}"; the BIOS did not '
            "run the ROM's legacy image, or that image did not start: check its IDs, which must be "
            "the NIC's, and its checksum (romforge inspect)"
        )
    if not text.strip():
        return "the console is empty: the BIOS stopped before its first line"
    return "neither iPXE nor the BIOS says why"


def _unexamined(errors: list[str]) -> str:
    """Why UEFI firmware did not boot, from the console's errors alone."""
    if errors:
        return _failed_download(errors)
    return "nothing on the console says why"


def _ipxe_without_error(text: str, started: str) -> str:
    """Why iPXE, whose first line is ``started``, did not boot and printed no error."""
    no_nic = _IPXE_NO_NIC.search(text)
    if no_nic:
        return (
            f'iPXE ran and has no network device: it says "{no_nic[0]}"; its driver does not '
            "support the NIC, or failed to start it"
        )
    stopped = _IPXE_STOPPED.search(text)
    if stopped:
        cause = _IPXE_STOPS.get(stopped["address"].upper(), _IPXE_STOP)
        return f'iPXE stopped the machine: it says "Installation failed"; {cause}'
    return f'iPXE ran as far as "{started}", and printed nothing after that'


def _no_driver(interfaces: Interfaces) -> str:
    if not interfaces.images:
        return (
            "no driver is bound to the NIC, and the firmware holds no driver from its ROM; the ROM "
            "has no EFI image for this architecture, or the firmware could not load it, or the "
            "driver's entry point returned an error: check the ROM with romforge inspect"
        )
    return (
        "no driver is bound to the NIC, although the firmware loaded one from its ROM; the driver "
        "does not support this device, or failed to start it: check that it is built for the NIC's "
        "IDs"
    )


def no_interface(name: str, identified: bool) -> str:
    """The message about a bound driver that offers no network interface.

    ``identified`` is whether it has a Network Interface Identifier, which is for UNDI.
    """
    undi = ""
    if identified:
        undi = " (a Network Interface Identifier is there)"
    return (
        f"the ROM's driver ({name}) is bound to the NIC, but offers no network interface: neither "
        f"the NIC nor a child of it has an EFI_SIMPLE_NETWORK_PROTOCOL{undi}; an iPXE driver lacks "
        "it where its link left out efi_snp.o: keep the root obj_efi_snp"
    )


def _no_boot_option(name: str, interfaces: Interfaces) -> str:
    """Why there is no network boot, although the driver has its network interface."""
    message = (
        f"the ROM's driver ({name}) offers a network interface, "
        "but the firmware offers no network boot"
    )
    if interfaces.pxe or interfaces.loadfile:
        return f"{message}, although it has PXE Base Code for it"
    if not interfaces.rng:
        return (
            f"{message} (no PXE Base Code, no Load File); it has no source of random numbers, "
            "which the network stack of edk2 since 2024 asks for: add -device virtio-rng-pci, or "
            "on x86 -cpu qemu64,+rdrand"
        )
    if not interfaces.mnp:
        return f"{message}: its network stack is not bound to the interface"
    return f"{message} (no PXE Base Code, no Load File)"


def _failed_download(errors: list[str]) -> str:
    message = "the firmware tried to boot from the network, and the download failed"
    if not errors:
        return f"{message} without an error on the console"
    return f"{message}: {'; '.join(errors)}"


def _download_errors(text: str) -> list[str]:
    """The firmware's own messages about a failed download, each once."""
    errors = [error.strip() for error in _PXE_ERROR.findall(text)]
    for reason in _LOAD_FAILED.findall(text):
        errors.append(f"boot option failed: {reason.strip()}")
    return list(dict.fromkeys(errors))
