# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of a report in the documentation: a page of the miniature's ROMs, in Chromium.

    python bench/report_picture.py

Needs the Debian packages chromium-headless-shell and git. The page shows two sets of four NICs that
grew since the lock, and guests of an older set with another bucket.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PICTURE = TOP / "docs" / "pictures" / "report.png"
BROWSER = "chromium-headless-shell"
SIZE = 1400, 860  # pixels
DATE = "1767225600"  # 2026-01-01, which the page shows
SPEC = """\
spec = 1
[source.ipxe]
tree = "tree"
config = "qemu"
mark = "minipxe {nic} {vendor}:{device} build"
CONFIG
[platform.pcbios]
[platform.x86_64-efi]
[nic.e1000]
id = "8086:100e"
[nic.pcnet]
id = "1022:2000"
[nic.rtl8139]
id = "10ec:8139"
[nic.virtio]
id = "1af4:1000"
[bucket.efi]
size = "32KiB"
[bucket.pxe]
size = "32KiB"
[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
[target.qemu-pxe]
dir = "usr/share/qemu"
file = "pxe-{nic}.rom"
images = ["pcbios"]
bucket = "pxe"
[verify]
roms = ["romfile"]
"""
WITHOUT_DNS = '[config.qemu.general]\nundef = ["NET_PROTO_DNS"]'
ENLARGED = "efi-virtio.rom"  # in the older set


def main() -> None:
    """Builds, locks and proves the set in a directory of its own, and takes the picture."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        ignored = shutil.ignore_patterns("bin", "bin-*")
        shutil.copytree(TOP / "vendor/minipxe", top / "tree", ignore=ignored)
        make_checkout(top / "tree")
        spec = top / "romspec.toml"
        spec.write_text(SPEC.replace("CONFIG", WITHOUT_DNS))
        romforge(top, "build")
        romforge(top, "lock")
        older = top / "older"
        shutil.copytree(top / "out/usr/share/qemu", older)
        enlarged = older / ENLARGED
        enlarged.write_bytes(enlarged.read_bytes() * 2)
        spec.write_text(SPEC.replace("CONFIG", ""))
        romforge(top, "build")
        romforge(top, "verify", "rom:usr/share/qemu/efi-e1000.rom", "target:qemu-pxe")
        sets = ["--against", "older", "--against", "lock=romspec.lock"]
        romforge(top, "report", "-o", "page.html", *sets)
        take_picture(top / "page.html")


def make_checkout(tree: Path) -> None:
    """Makes a git checkout of the tree, of which the page shows the revision."""
    when = f"{DATE} +0000"
    author = ["-c", "user.name=minipxe", "-c", "user.email=minipxe@example.org"]
    environment = os.environ | {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "minipxe"], ["tag", "v1.0.0"]):
        subprocess.run(["git", *author, *words], cwd=tree, env=environment, check=True)


def romforge(top: Path, *words: str) -> None:
    """Runs a command of romforge. The report's status is 1, since guests cannot migrate."""
    environment = os.environ | {"PYTHONPATH": str(TOP / "src"), "SOURCE_DATE_EPOCH": DATE}
    command = [sys.executable, "-m", "romforge", *words]
    done = subprocess.run(command, cwd=top, env=environment, check=False)
    if done.returncode != (words[0] == "report"):
        sys.exit(f"{' '.join(words)}: status {done.returncode}")


def take_picture(page: Path) -> None:
    """Writes the picture of the upper part of a page."""
    PICTURE.parent.mkdir(exist_ok=True)
    width, height = SIZE
    command = [BROWSER, "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={width},{height}", f"--screenshot={PICTURE}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
