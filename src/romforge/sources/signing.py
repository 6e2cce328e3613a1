# SPDX-License-Identifier: GPL-2.0-or-later
"""Signs EFI drivers for Secure Boot by sbsign or osslsigncode, and verifies the signatures.

A signature is an attribute certificate at the end of the PE file (Microsoft's Authenticode; UEFI
Specification, 32.2). osslsigncode is preferred: it writes the time of SOURCE_DATE_EPOCH, if there
is one, and a build with it is reproducible. sbsign always writes the present time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from romforge.base import fingerprint, output_files
from romforge.base.errors import RomforgeError
from romforge.base.fingerprint import InputStates
from romforge.base.programs import MissingTool
from romforge.plan.steps import Signing

OSSLSIGNCODE, SBSIGN = "osslsigncode", "sbsign"
_PACKAGES = {OSSLSIGNCODE: "osslsigncode", SBSIGN: "sbsigntool"}
# What the tools say where the key is not that of the certificate.
_MISMATCH = "key values mismatch", "consistency of a private key"
_LARGEST_PEM = 1 << 20  # bytes
_DIGEST = re.compile(r"^(?:Current|Calculated) message digest\s*: ([0-9A-F]+)", re.MULTILINE)


def signing_tool() -> str:
    """The program that signs; raises MissingTool if there is none."""
    for tool in _PACKAGES:
        if shutil.which(tool):
            return tool
    packages = " or ".join(_PACKAGES.values())
    raise MissingTool(
        f"{' and '.join(_PACKAGES)}: not found, and one of them must sign the drivers;"
        f" install the Debian package {packages}"
    )


def is_reproducible() -> bool:
    """Whether signatures that are made now have the same bytes in every build."""
    return signing_tool() == OSSLSIGNCODE and _epoch() is not None


def _epoch() -> str | None:
    """The time of SOURCE_DATE_EPOCH in seconds; None if it is not set to one."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return epoch if epoch.isdecimal() else None


def require_key(signing: Signing, inputs: InputStates | None = None) -> None:
    """Raises RomforgeError unless key and certificate are files in PEM, the key without a password.

    The states of the files are noted in ``inputs``.
    """
    key = _read_pem(signing.key, "PRIVATE KEY", inputs)
    if b"ENCRYPTED" in key:
        raise RomforgeError(
            f"{signing.key}: the key is encrypted, and a build cannot ask for its password;"
            f" decrypt it with `openssl pkey -in {os.path.basename(signing.key)} -out NEW.key`,"
            " where only the build can read it"
        )
    _read_pem(signing.certificate, "CERTIFICATE", inputs)


def _read_pem(path: str, title: str, inputs: InputStates | None) -> bytes:
    """The content of a file in PEM, which has a block with ``title``; raises RomforgeError."""
    if not os.path.isfile(path):
        kind = "is not a file" if os.path.exists(path) else "there is no such file"
        raise RomforgeError(f"{path}: {kind}; sign names the files of a key and its certificate")
    data, state = fingerprint.read_file(Path(path), _LARGEST_PEM)
    if inputs is not None:
        inputs[path] = state
    if not re.search(rf"^-----BEGIN [A-Z0-9 ]*{title}-----".encode(), data, re.MULTILINE):
        raise RomforgeError(
            f"{path}: has no {title} in PEM; openssl converts other forms,"
            " with `-inform DER` for DER"
        )
    return data


def sign_driver(driver: bytes, signing: Signing, out: Path) -> bytes:
    """The driver with a signature behind it.

    Raises MissingTool without a tool, and RomforgeError if the tool fails.
    """
    tool = signing_tool()
    with _scratch(out) as scratch:
        source, signed = Path(scratch) / "driver.efi", Path(scratch) / "signed.efi"
        source.write_bytes(driver)
        if tool == OSSLSIGNCODE:
            command = [tool, "sign", "-certs", signing.certificate, "-key", signing.key]
            command += ["-h", "sha256", "-in", str(source), "-out", str(signed)]
            epoch = _epoch()
            if epoch is not None:
                command += ["-time", epoch]
        else:
            command = [tool, "--key", signing.key, "--cert", signing.certificate]
            command += ["--output", str(signed), str(source)]
        status, said = _run(command)
        if status or not signed.is_file():
            raise RomforgeError(_explain_failure(tool, signing, said))
        return signed.read_bytes()


def verify_driver(driver: bytes, signing: Signing, out: Path) -> None:
    """Raises RomforgeError unless the signature of a driver is that of the certificate.

    Whether the certificate is still valid, and who issued it, is not looked at, as in firmware.
    """
    with _scratch(out) as scratch:
        path = Path(scratch) / "wrapped.efi"
        path.write_bytes(driver)
        if shutil.which("sbverify"):
            command = ["sbverify", "--cert", signing.certificate, str(path)]
            status, said = _run(command)
            verified = not status
        else:
            command = [OSSLSIGNCODE, "verify", "-CAfile", signing.certificate, "-in", str(path)]
            status, said = _run(command)
            digests = _DIGEST.findall(said)
            verified = not status or (len(digests) == 2 and digests[0] == digests[1])
    if not verified:
        raise RomforgeError(
            f"the signature of the driver in the ROM does not verify with {signing.certificate}:"
            f" {_last_lines(said)}"
        )


def _explain_failure(tool: str, signing: Signing, said: str) -> str:
    if any(text in said for text in _MISMATCH):
        return (
            f"{signing.key} is not the key of the certificate {signing.certificate};"
            " name the two that belong together in sign"
        )
    return f"{tool} cannot sign with {signing.key} and {signing.certificate}: {_last_lines(said)}"


def _last_lines(said: str) -> str:
    return "\n  ".join(["", *said.strip().splitlines()[-3:]])


def _run(command: Sequence[str]) -> tuple[int, str]:
    """The status of a program and what it said. It has no terminal to ask for passwords."""
    package = _PACKAGES.get(command[0], _PACKAGES[SBSIGN])
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        raise MissingTool(
            f"{command[0]}: cannot be run: {error.strerror}; install the Debian package {package}"
        ) from None
    return done.returncode, done.stdout.decode(errors="replace")


def _scratch(out: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=output_files.temporary(out))
