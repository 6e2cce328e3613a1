# SPDX-License-Identifier: GPL-2.0-or-later
"""How a browser shows the page of `romforge report`: at any width and scheme, and on paper.

Sets are shown of a tree that has grown since the lock, of ROMs of which nearly everything is wrong,
of forty ROMs, and of files that are no ROMs.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from romforge.analysis.summary import Proven
from romforge.base.pci_id import PciId
from romforge.cli import build_state
from romforge.html.page import render_page
from tests.support import boot_files, builders, linked
from tests.support import browser as browsers
from tests.support.browser import HEIGHT, opened, violations
from tests.support.project import run, spec_text

pytestmark = pytest.mark.slow

WIDTHS = 390, 800, 1400
SCHEMES = "light", "dark"
LONG = "a-directory-with-a-rather-long-name"
IDS = {"e1000": PciId(0x8086, 0x100E), "virtio": PciId(0x1AF4, 0x1000)}
NICS = 'e1000 = "8086:100e"\nvirtio = "1af4:1000"'
TREE_NICS = {
    "e1000": "8086:100e",
    "pcnet": "1022:2000",
    "rtl8139": "10ec:8139",
    "virtio": "1af4:1000",
}
WITHOUT_DNS = '[config.qemu.general]\nundef = ["NET_PROTO_DNS"]'
FORTY = 40  # ROMs
PROOFS = 33  # of each, as of a ROM for five architectures
PLATFORMS = [("pcbios", "legacy"), ("i386-efi", "i386"), ("x86_64-efi", "x86_64")]
PLATFORMS += [(f"{arch}-efi", arch) for arch in ("arm64", "riscv64", "loong64")]
LARGEST_PAGE = 1_000_000  # bytes, of forty ROMs
# So many sums take about a second on a machine on which the page may take one.
SUMS = """(() => {
  const began = performance.now();
  let sum = 0;
  for (let i = 0; i < 1e8; i++) sum = (sum + i * 7) % 1000003;
  return performance.now() - began + sum * 0;
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.started() as started:
        yield started


def command(top: Path, *words: str, status: int = 0) -> None:
    done = run([sys.executable, "-m", "romforge", *words], top)
    assert done.returncode == status, done.stdout + done.stderr


def tree_spec(config: str = "") -> str:
    lines = ["spec = 1", '[source.ipxe]\ntree = "tree"\nconfig = "qemu"', config]
    lines += ['[bucket.all]\nsize = "256KiB"', "[platform.pcbios]", "[platform.x86_64-efi]"]
    lines += [f'[nic.{nic}]\nid = "{ids}"' for nic, ids in TREE_NICS.items()]
    lines.append('[target.qemu]\ndir = "roms"\nfile = "efi-{nic}.rom"\nbucket = "all"')
    lines.append('images = ["pcbios", "x86_64-efi"]\nlevel = "stored"')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a tree that was locked without DNS, and of which a driver grew since."""
    top = tmp_path_factory.mktemp("grown")
    linked.minipxe(top / "tree")
    (top / "romspec.toml").write_text(tree_spec(WITHOUT_DNS))
    command(top, "build")
    command(top, "lock")
    (top / "romspec.toml").write_text(tree_spec())
    driver = top / "tree/src/drivers/net/virtio-net.c"
    text = driver.read_text()
    driver.unlink()  # a hard link
    table = "static volatile const unsigned char table[4000] = { [0 ... 3999] = 5 };\n"
    text = text.replace("static uint64_t virtio_probe", f"{table}static uint64_t virtio_probe")
    driver.write_text(text.replace("return 0;", "return table[at];"))
    command(top, "build")
    command(top, "verify", "verify:roms/efi-e1000.rom:structure")
    command(top, "report", "-o", "page.html", "--against", "lock=romspec.lock")
    return top / "page.html"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a set with long paths, faults, a missing ROM, failed proofs and stuck guests."""
    top = tmp_path_factory.mktemp("broken")
    (top / "roms").mkdir()
    for nic, ids in IDS.items():
        data = builders.legacy(ids, last=False, blocks=140) + builders.efi(ids=ids)
        (top / f"roms/efi-{nic}.rom").write_bytes(data)
    text = spec_text("roms", nics=NICS, extra="[verify]\ntimeout = 1\n")
    text = text.replace('"usr/share/qemu"', f'"usr/share/{"/".join([LONG] * 4)}"')
    (top / "romspec.toml").write_text(text)
    command(top, "build")
    command(top, "lock")
    out = top / f"out/usr/share/{'/'.join([LONG] * 4)}"
    older = top / "older"
    shutil.copytree(out, older)
    (older / "pxe-e1000.rom").write_bytes((older / "pxe-e1000.rom").read_bytes() * 4)
    proof = f"verify:{(out / 'pxe-e1000.rom').relative_to(top / 'out')}"
    command(top, "verify", f"{proof}:bios-romfile", f"{proof}:structure", status=1)
    damaged = bytearray((out / "efi-e1000.rom").read_bytes())
    damaged[100] ^= 1
    (out / "efi-e1000.rom").write_bytes(bytes(damaged) + bytes(1 << 18))
    (out / "efi-virtio.rom").unlink()
    command(top, "report", "-o", "page.html", "--against", "older", status=1)
    return top / "page.html"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of files alone, with a long path: one has grown, and one is altered."""
    top = tmp_path_factory.mktemp("files")
    boot_files.build(top, f"usr/share/{'/'.join([LONG] * 4)}")
    boot_files.without_roms(top)
    boot_files.let_grow(top, boot_files.NET)
    (disk,) = (top / "out/usr").rglob("*.rom")
    disk.write_bytes(b"altered")
    command(top, "report", "-o", "page.html", status=1)
    return top / "page.html"


@pytest.fixture(scope="module")
def forty(grown: Path) -> Path:
    """The page of forty ROMs, each of another NIC, with six images and many proofs.

    All is that of the miniature, whose objects each NIC has under names of its own.
    """
    top = grown.parent
    spec = top / "romspec.toml"
    built = build_state.gather_state(spec, top / "out", [f"lock={top / 'romspec.lock'}"])
    row, images = built.rows[0], built.images[:1] + built.images[-1:]
    (verdict,) = [one for one in built.sets["lock"] if one.new_path == row.path]
    rows, objects, proofs, verdicts = [], [], [], []
    for number in range(FORTY):
        nic, path = f"nic{number}", f"usr/share/qemu/efi-nic{number}.rom"
        segments = tuple(row.images[0]._replace(name=name, kind=kind) for name, kind in PLATFORMS)
        rows.append(replace(row, nic=nic, path=path, bucket=1 << 20, images=segments))
        verdicts.append(replace(verdict, new_path=path))
        for index, (name, kind) in enumerate(PLATFORMS):
            image = images[index > 0]
            own = tuple(item._replace(name=f"{item.name}{number}") for item in image.objects)
            one = replace(image, nics=(nic,), platform=name, kind=kind, objects=own)
            objects.append(replace(one, goal=nic))
        for index in range(PROOFS):
            text = f"{nic}.efidrv: {index} calls, packets sent and received from 0xe298000"
            proofs.append(Proven(path, f"column-{index}", "proven", text, 1.5))
    large = replace(
        built,
        rows=tuple(rows),
        images=tuple(objects),
        proofs=tuple(proofs),
        sets={"lock": tuple(verdicts), "old": tuple(verdicts)},
    )
    file = top / "forty.html"
    file.write_text(render_page(large, build_state.locked_roms(spec)))
    return file


@pytest.fixture
def page_file(request: pytest.FixtureRequest) -> Path:
    file: Path = request.getfixturevalue(request.param)
    return file


def rows(page: Page) -> list[str]:
    """The rows of the table that are shown, each as the texts of its NIC and target."""
    cells = page.locator("table.roms tr.rom:visible").evaluate_all(
        "rows => rows.map(row => [row.cells[0].innerText, row.cells[1].innerText])"
    )
    return [f"{nic.split()[0]} {target}" for nic, target in cells]


def numbers(page: Page, column: int) -> list[float]:
    """What a column of the table is sorted by, of the rows that are shown."""
    keys: list[float] = page.locator("table.roms tr.rom:visible").evaluate_all(
        f"rows => rows.map(row => Number(row.cells[{column}].dataset.key))"
    )
    return keys


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page_file", ["grown", "broken", "files"], indirect=True)
def test_it_fits_and_all_can_read_it(browser: Browser, page_file: Path, width: int, scheme: str):
    """Nothing overflows, the console is silent, axe finds nothing, and the scheme is the reader's.

    Also with all opened that can be.
    """
    size = {"width": width, "height": HEIGHT}
    with opened(browser, page_file, viewport=size, color_scheme=scheme) as page:
        assert violations(page) == []
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        # all of one name are exclusive, and their contents alike
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", colour)[:3]))
        assert (brightness < 200) == (scheme == "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_colours_by_growth_can_be_read(browser: Browser, grown: Path, scheme: str):
    """And are others than those by kind; the objects that changed are in them."""
    with opened(browser, grown, color_scheme=scheme) as page:

        def fill(selector: str) -> str:
            text: str = page.locator(selector).first.evaluate("one => getComputedStyle(one).fill")
            return text

        same = ".map rect:not(.grew, .shrank, .frame)"
        assert fill(".map .grew.much") in {fill("rect.k0"), fill("rect.k1")}
        page.get_by_label("by growth since the lock").check()
        assert fill(".map .grew.much") != fill(same) == fill("rect.k0")
        legend = page.locator(".growth-legend .grew.much")
        colour = legend.evaluate("one => getComputedStyle(one).backgroundColor")
        assert fill(".map .grew.much") == colour
        titles = page.locator(".map .grew.much title").all_text_contents()
        assert any(
            re.match(r"drivers/net/virtio-net: .* since the lock", title) for title in titles
        )
        assert violations(page) == []


@pytest.mark.parametrize("key", [None, "Enter", "Space"])
def test_columns_are_sorted_by_click_and_by_key(browser: Browser, broken: Path, key: str | None):
    """A number the largest first, a text the smallest; a second time the other way round."""
    with opened(browser, broken) as page:
        worst_first = rows(page)

        def use(name: str) -> None:
            button = page.get_by_role("button", name=name, exact=True)
            if key is None:
                button.click()
            else:
                button.focus()
                page.keyboard.press(key)

        heading = page.locator("th", has=page.get_by_role("button", name="full", exact=True))
        assert heading.get_attribute("aria-sort") is None
        use("full")
        assert heading.get_attribute("aria-sort") == "descending"
        assert numbers(page, 3) == sorted(numbers(page, 3), reverse=True) != numbers(page, 3)[::-1]
        use("full")
        assert heading.get_attribute("aria-sort") == "ascending"
        assert numbers(page, 3) == sorted(numbers(page, 3))
        use("NIC")
        assert heading.get_attribute("aria-sort") is None
        nics = [row.split()[0] for row in rows(page)]
        assert nics == sorted(nics) != [row.split()[0] for row in worst_first]
        use("worst first")
        assert rows(page) == worst_first
        assert page.locator("[aria-sort]").count() == 0


def test_a_row_moves_with_all_that_is_behind_it(browser: Browser, broken: Path):
    with opened(browser, broken) as page:
        page.get_by_role("button", name="NIC", exact=True).click()
        for body in page.locator("table.roms > tbody").all():
            nic = body.locator("tr.rom th").inner_text().split()[0]
            assert f"-{nic}.rom" in (body.locator(".rom-all .path").text_content() or "")


def test_the_filter_shows_what_is_looked_for(browser: Browser, broken: Path):
    """By NIC, target and file, and what is wrong alone; and it says how many are shown."""
    with opened(browser, broken) as page:
        everything = rows(page)
        assert page.locator("#shown").inner_text() == "4 of 4 shown"
        page.get_by_label("Filter").fill("VIRTIO pxe")
        assert [row.split() for row in rows(page)] == [["virtio", "pxe"]]
        assert page.locator("#shown").inner_text() == "1 of 4 shown"
        page.get_by_label("Filter").fill(LONG)
        assert rows(page) == everything
        page.get_by_label("only what is wrong").check()
        assert len(rows(page)) == 3
        page.get_by_label("Filter").fill("nothing of this name")
        assert rows(page) == []
        assert page.locator("#shown").inner_text() == "0 of 4 shown"


def test_a_link_opens_what_it_leads_to(browser: Browser, broken: Path):
    """From outside, and from a mark in the table, also for a row that the filter hides."""
    path = f"usr/share/{'/'.join([LONG] * 4)}/pxe-e1000.rom"
    with opened(browser, broken, f"#rom/{path}") as page:
        opened_rom = page.locator(f"[id='rom/{path}']")
        opened_rom.wait_for()  # until it is visible
        assert page.locator(".rom-all:visible").count() == 1
        assert "Size mismatch" in opened_rom.inner_text()
    with opened(browser, broken) as page:
        assert page.locator(".rom-all:visible").count() == 0
        mark = page.locator(f"a[href='#proof/{path}']:visible").first
        mark.focus()
        page.keyboard.press("Enter")
        page.locator(f"[id='proof/{path}']").wait_for()
        page.get_by_label("Filter").fill("virtio")
        page.locator(f"[id='proof/{path}']").wait_for(state="hidden")
        page.locator(f"#faults a[href='#rom/{path.replace('pxe', 'efi')}']").first.click()
        page.locator(f"[id='rom/{path.replace('pxe', 'efi')}']").wait_for()


def test_all_is_reached_by_keyboard(browser: Browser, broken: Path):
    """The first stop skips to the table; each summary of a ROM can be opened."""
    with opened(browser, broken) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the table of ROMs"
        assert page.evaluate("document.activeElement.getBoundingClientRect().x") >= 0
        summary = page.locator("table.roms tr.all summary").first
        summary.focus()
        page.keyboard.press("Enter")
        page.locator(".rom-all:visible").wait_for()
        assert page.locator(".rom-all:visible").count() == 1


def test_the_verdicts_of_files_lead_to_their_table(browser: Browser, files: Path):
    """And so does the first stop of the keyboard, where there is no table of ROMs."""
    with opened(browser, files, viewport={"width": 390, "height": HEIGHT}) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the table of files"
        page.get_by_role("link", name="2 files not built").click()
        assert page.evaluate("document.querySelector(':target').id") == "files"
        row = page.locator("table.files tbody tr").first
        assert "was changed since it was built" in row.inner_text()
        row.get_by_role("link").first.click()
        assert row.evaluate("row => row.matches(':target')")


def test_without_a_script_all_is_there(browser: Browser, broken: Path):
    """The same rows in the same order, the details that a summary opens, and no dead controls."""
    with opened(browser, broken) as page:
        wanted = rows(page)
    with opened(browser, broken, java_script_enabled=False) as page:
        assert rows(page) == wanted
        assert page.locator("button:visible, .tools:visible").count() == 0
        page.locator("table.roms tr.all summary").first.click()
        assert page.locator(".rom-all:visible").count() == 1


@pytest.mark.parametrize("page_file", ["grown", "broken"], indirect=True)
def test_on_paper_all_roms_are_opened(browser: Browser, page_file: Path):
    """And all pictures; there are no controls, and the paper is white, whatever the scheme."""
    with opened(browser, page_file, color_scheme="dark") as page:
        count = page.locator("table.roms tr.rom").count()
        pictures = page.locator(".map").count()
        consoles = page.locator("pre").count()
        page.emulate_media(media="print")
        for selector, number in ((".rom-all", count), (".map", pictures), ("pre", consoles)):
            shown = page.locator(selector).evaluate_all(
                "all => all.filter(one => one.checkVisibility()).length"
            )
            assert shown == number
        assert page.locator(".tools:visible").count() == 0
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )


def test_a_narrow_page_has_lists_and_a_column_that_stays(browser: Browser, grown: Path):
    """Where labels would be tiny, there are lists; the NICs stay where the table is scrolled."""
    with opened(browser, grown, viewport={"width": 390, "height": HEIGHT}) as page:
        assert page.locator(".map:visible").count() == 0
        page.locator("details.list summary:visible").first.click()
        assert "core" in page.locator(".directories:visible").first.inner_text()
        nic = page.locator("table.roms tr.rom th").first
        target = page.locator("table.roms tr.rom td").first
        before = target.evaluate("one => one.getBoundingClientRect().x")
        page.locator(".scroll:has(.roms)").evaluate("one => one.scrollLeft = 150")
        assert target.evaluate("one => one.getBoundingClientRect().x") == before - 150
        assert 0 <= nic.evaluate("one => one.getBoundingClientRect().x") < 30


def test_a_page_of_forty_roms_is_small_and_soon_ready(browser: Browser, forty: Path):
    """It has at most a megabyte, and is ready, and sorted, before as many sums are done."""
    assert forty.stat().st_size <= LARGEST_PAGE
    ratios = []
    for _ in range(5):
        with opened(browser, forty) as page:
            ready = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            page.get_by_role("button", name="full", exact=True).click()
            assert len(rows(page)) == FORTY
            ratios.append(ready / page.evaluate(SUMS))
        if ratios[-1] <= 1:
            break
    assert min(ratios) <= 1
