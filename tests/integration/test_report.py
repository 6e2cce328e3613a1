# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge report`: the page shows what was built; a browser shows it at any width and scheme."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from romforge.base.pci_id import PciId
from tests.support import builders
from tests.support.project import PATIENCE, TOP, Run, spec_text

pytestmark = pytest.mark.slow

NICS = 'e1000 = "8086:100e"\nvirtio = "1af4:1000"'
BROWSER = "chromium-headless-shell"
WIDTHS = 320, 768, 1600
# What a script in the page finds out; it runs in the tests alone. Contrast as WCAG 2.1 defines it.
PROBE = """<script>
function light(c) { return c.map(v => v / 255)\
.map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0); }
function rgb(text) { return text.match(/[\\d.]+/g).map(Number); }
function below(e) { for (; e; e = e.parentElement) { \
const c = rgb(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; }
function contrast(a, b) { const [x, y] = [light(a.slice(0, 3)), light(b.slice(0, 3))];
  return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); }
document.querySelectorAll('details').forEach(d => d.open = true);
const found = { width: innerWidth, content: document.documentElement.scrollWidth, \
texts: 0, worst: 99, shapes: 99,
  scripts: document.scripts.length,  loaded: performance.getEntriesByType('resource').length, \
background: below(document.body), shown: [] };
const page = below(document.body);
document.querySelectorAll('main *').forEach(e => {
  const own = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
  const style = getComputedStyle(e);
  if (own && e.namespaceURI.endsWith('xhtml')) { found.texts++; \
found.worst = Math.min(found.worst, contrast(rgb(style.color), below(e))); }
  if (e.tagName == 'text' && style.display != 'none') found.worst = Math.min(found.worst,
    contrast(rgb(style.fill), rgb(getComputedStyle(e.parentElement.querySelector('rect')).fill)));
  if (e.tagName == 'rect' && /^k\\d/.test(e.className.baseVal)) \
found.shapes = Math.min(found.shapes, contrast(rgb(style.fill), page));
  if (!e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1) \
found.shown.push(e.tagName);
});
document.body.setAttribute('data-found', JSON.stringify(found));
</script>"""


@pytest.fixture
def built(tmp_path: Path, doit: Run, romforge: Run) -> Path:
    """Two NICs with long names in the paths, locked; a third ROM of them is not built."""
    (tmp_path / "roms").mkdir()
    for nic, ids in (("e1000", builders.E1000), ("virtio", PciId(0x1AF4, 0x1000))):
        data = builders.legacy(ids, last=False, blocks=140) + builders.efi(ids=ids)
        (tmp_path / f"roms/efi-{nic}.rom").write_bytes(data)
    (tmp_path / "romspec.toml").write_text(spec_text("roms", nics=NICS))
    assert doit().returncode == 0
    assert romforge("lock").returncode == 0
    return tmp_path


class Words(HTMLParser):
    """The text of a page, and whether its elements are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.open, self.seen = "", [""], set[str]()
        self.feed(page)
        assert self.open == [""], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def report(top: Path, romforge: Run, *more: str, status: int = 0) -> str:
    done = romforge("report", "-o", "page.html", *more)
    assert (done.returncode, done.stdout) == (status, "page.html\n"), done.stderr
    return (top / "page.html").read_text()


def test_the_page_tells_what_was_built(built: Path, romforge: Run):
    """Bytes and buckets of each ROM, as text and for screen readers.

    The page loads nothing and needs no script.
    """
    page = report(built, romforge)
    contents = Words(page)
    assert "efi-e1000.rom" in contents.words
    assert (
        "pcbios 71,680, x86_64-efi 1,536: 73,216 bytes of 256 KiB, 188,928 free" in contents.words
    )
    label = "usr/share/qemu/pxe-e1000.rom: pcbios 71,680: 71,680 bytes of 128 KiB, 59,392 free"
    assert f'aria-label="{label}"' in page
    assert "script" not in contents.seen
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", page)


def test_the_page_tells_what_changed_and_what_is_wrong(built: Path, romforge: Run):
    """Against the lock; and a ROM with a fault, and one that is gone."""
    assert "Nothing changed." in Words(report(built, romforge)).words
    path = built / "out/usr/share/qemu/efi-e1000.rom"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data) + bytes(1 << 18))
    (built / "out/usr/share/qemu/pxe-virtio.rom").unlink()
    words = Words(report(built, romforge, status=1)).words
    assert "its bucket was 256 KiB, is now 512 KiB" in words
    assert "the checksum is" in words
    assert "pxe-virtio.rom is not built" in words
    assert "2 ROMs not built as the spec says; 2 ROMs not as locked" in words


def test_the_page_tells_whether_guests_migrate(
    built: Path, romforge: Run, releases: dict[str, Path]
):
    """From each older set that is named, with the reason if not.

    The page also shows a file that the older set lacks.
    """
    larger = built / "larger"
    shutil.copytree(built / "out/usr/share/qemu", larger)
    (larger / "efi-e1000.rom").write_bytes((larger / "efi-e1000.rom").read_bytes() * 2)
    (larger / "pxe-virtio.rom").unlink()
    sets = "--against", f"sid={releases['sid']}", "--against", "larger"
    words = Words(report(built, romforge, *sets, status=1)).words
    assert "1 ROM to which guests cannot migrate" in words
    assert "from sid" in words
    assert "from larger" in words
    assert "fails: Size mismatch: 0000:00:02.0/e1000.rom: 0x80000 != 0x40000" in words
    assert "not there" in words


def test_no_older_set_is_lost(built: Path, romforge: Run):
    """Two directories of one name are two sets; the first of these has a larger bucket."""
    for place, size in (("one/qemu", 2), ("two/qemu", 1)):
        shutil.copytree(built / "out/usr/share/qemu", built / place)
        rom = built / place / "efi-e1000.rom"
        rom.write_bytes(rom.read_bytes() * size)
    words = ["--against", "one/qemu", "--against", "two/qemu"]
    done = romforge("report", "-o", "page.html", *words)
    assert (done.returncode, done.stderr) == (1, "romforge: 1 ROM to which guests cannot migrate\n")
    page = (built / "page.html").read_text()
    assert "two/qemu" in page
    done = romforge(
        "report", "-o", "page.html", "--against", "x=one/qemu", "--against", "x=two/qemu"
    )
    assert (done.returncode, "there are two sets x" in done.stderr) == (2, True)


def test_a_set_with_which_nothing_is_compared_is_told(built: Path, romforge: Run):
    (built / "other.rom").write_bytes(builders.legacy())
    done = romforge("report", "-o", "page.html", "--against", "other.rom")
    assert "other.rom: has no file of the name of a ROM" in done.stderr


def test_the_page_tells_of_objects(tmp_path: Path, romforge: Run, doit: Run):
    """Of an image that a tree built: what each object has of the ROM, by the name of the NIC."""
    nics = '[nic.e1000]\nid = "8086:100e"\n'
    target = '[target.qemu]\ndir = "qemu"\nfile = "{nic}.rom"\nimages = ["pcbios", "x86_64-efi"]\n'
    source = f'[source.ipxe]\ntree = "{TOP}/vendor/minipxe"\nconfig = "qemu"\n'
    platforms = "[platform.pcbios]\n[platform.x86_64-efi]\n"
    (tmp_path / "romspec.toml").write_text(f"spec = 1\n{source}{platforms}{nics}{target}")
    assert doit().returncode == 0
    page = report(tmp_path, romforge)
    words = Words(page).words
    images = json.loads(romforge("why", "--json", "qemu/e1000.rom").stdout)["images"]
    for image in images:
        platform = image["name"].split("/")[0]
        assert f"e1000, {platform}: {image['size']:,} bytes in the ROM" in words
        for part in image["parts"]:
            if part["compressed"] <= 0:
                continue  # too small to be drawn
            path = html.escape(f"{part['directory']}/{part['name']}")
            sizes = f"about {part['compressed']:,} bytes in the ROM, {part['size']:,} linked"
            memory = f", {part['memory']:,} of memory" if part["memory"] else ""
            assert f"<title>{path}: {sizes}{memory}</title>" in page
    efi = {part["name"]: part for part in images[1]["parts"]}
    assert (efi["intel"]["directory"], efi["efi_snp"]["directory"]) == (
        "drivers/net",
        "interface/efi",
    )
    # the heap takes memory, and no part of the picture
    assert efi["malloc"]["memory"] > 100 * efi["malloc"]["compressed"]
    assert max(part["compressed"] for part in efi.values()) < images[1]["size"]


def test_what_cannot_be_told_is_said(built: Path, romforge: Run):
    done = romforge("report", "-o", "page.html", "--against", "nowhere.deb")
    assert (done.returncode, "nowhere.deb" in done.stderr) == (1, True), done.stderr
    shutil.rmtree(built / "out")
    done = romforge("report", "-o", "page.html")
    assert (done.returncode, "run doit first" in done.stderr) == (1, True), done.stderr
    assert not (built / "page.html").exists()


def test_names_cannot_break_the_page(tmp_path: Path, romforge: Run, doit: Run):
    """File names and IDs go into it as text."""
    (tmp_path / "roms").mkdir()
    (tmp_path / "roms/efi-e1000.rom").write_bytes(builders.legacy(blocks=140))
    text = (
        spec_text("roms")
        .replace("efi-{nic}.rom", "<b>&'\\\"{nic}.rom")
        .replace(', "x86_64-efi"', "", 1)
    )
    (tmp_path / "romspec.toml").write_text(text)
    assert doit().returncode == 0
    page = report(tmp_path, romforge)
    assert "<b>" not in page
    assert "<b>&'\"e1000.rom" in Words(page).words


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_it(
    built: Path, romforge: Run, releases: dict[str, Path], width: int, scheme: str
):
    """Nothing overflows. Text has a contrast of at least 4.5, shapes of 3.

    The scheme is the reader's.
    """
    page = report(
        built,
        romforge,
        *(word for name, path in releases.items() for word in ("--against", f"{name}={path}")),
    )
    (built / "probe.html").write_text(page.replace("</body>", f"{PROBE}</body>"))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    command = [
        BROWSER,
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},900",
        *dark,
        "--dump-dom",
        f"file://{built}/probe.html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    match = re.search(r'data-found="([^"]*)"', done.stdout)
    assert match, done.stdout[-500:]
    found = json.loads(html.unescape(match[1]))
    assert found["width"] == width
    assert (found["content"] <= width, found["shown"]) == (True, []), found
    assert found["texts"] > 30
    assert found["worst"] >= 4.5
    assert found["shapes"] >= 3
    assert found["scripts"] == 1  # the test's
    assert found["loaded"] == 0
    assert (sum(found["background"][:3]) < 200) == (scheme == "dark")
