# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of the command line: each takes the parsed arguments and returns the exit status."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from romforge import combine as combining
from romforge import compat as comparing
from romforge import eficompress, faults, install, keys, pcirom, prebuilt, specfile
from romforge import plan as planning
from romforge.efirom import wrap
from romforge.errors import FormatError, RomforgeError, UsageError, amount, at, human, listing, near
from romforge.table import BOLD, GREEN, RED, YELLOW, Column, colours, paint, render

Arguments = Any  # argparse.Namespace, whose attributes no type checker knows


def build(given: Arguments) -> int:
    from romforge import tasks

    dodo = tasks.load(given.spec, given.out, _tree(), every=bool(given.selection))
    return tasks.run(dodo, [_selected(dodo.plan, one) for one in given.selection], given.jobs, given.json)


def check(given: Arguments) -> int:
    spec = specfile.load(given.spec, given.out)
    plan = planning.make(spec, _tree())
    roms = sum(1 for _ in plan.roms())
    counts = {"nics": len(spec.nic), "platforms": len(spec.platform), "targets": len(spec.target), "roms": roms}
    if given.json:
        _print_json(counts)
    else:
        names = ("NIC", "platform", "target", "ROM")
        told = listing(f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in zip(names, counts.values()))
        print(f"{given.spec}: fine: {told}")
    return 0


def plan(given: Arguments) -> int:
    found = planning.make(specfile.load(given.spec, given.out), _tree())
    if given.why:
        return _why(found, given)
    steps = list(_steps(found, given.out))
    if given.json:
        _print_json(steps)
        return 0
    for step in steps:
        print(paint(step["task"], BOLD, colours()))
        for part in ("tool", "inputs", "outputs", "ids", "bucket"):
            for line in step[part] if isinstance(step[part], list) else [step[part]]:
                print(f"  {part:<8}{line}")
    return 0


def _why(found: planning.Plan, given: Arguments) -> int:
    """Tells what a build of all would do, and why."""
    from romforge import tasks

    why = tasks.why(found, given.out)
    if given.json:
        _print_json(why)
        return 0
    for task, reason in why.items():
        print("\n  ".join([paint(task, BOLD, colours()), *reason.splitlines()]))
    if not why:
        print("all is up to date")
    return 0


def stripped(given: Arguments) -> int:
    from romforge import jobserver, lock
    from romforge import stripped as stripping

    found = planning.make(specfile.load(given.spec, given.out), _tree())
    selected = [_selected(found, one) for one in given.selection]
    lock.hold(given.out)
    jobserver.begin(None)
    rows = []
    for make in found.makes:
        if goals := _goals(found, make, selected):
            rows += [(make, one) for one in stripping.report(make, given.out, goals)]
    if given.json:
        _print_json([{"task": make.task, **one._asdict()} for make, one in rows])
        return 0
    for make, one in rows:
        print(paint(f"{make.platform} {one.goal}.{make.media}", BOLD, colours()) + f": {listing(one.dropped)} dropped")
        cells = [[name, f"{size:,}", verb] for verb, sizes in (("stayed", one.stayed), ("left", one.left)) for name, size in sizes.items()]
        cells += [
            [f"{len(sizes)} objects", f"{sum(sizes.values()):,}", verb] for verb, sizes in (("stayed", one.stayed), ("left", one.left))
        ]
        print("\n".join(f"  {line}" for line in render([Column("object"), Column("bytes", right=True), Column("")], cells)))
    return 0


def _goals(found: planning.Plan, make: planning.Make, selected: list[str]) -> list[str]:
    """The images of a platform that a selection of tasks stands for."""
    if make.task in selected:
        return list(make.goals)
    roms = found.selected(selected) if not selected or set(selected) - {one.task for one in found.makes} else []
    return list(dict.fromkeys(rom.goal for rom in roms for pick in rom.picks if pick.make == make.task))


def inspect(given: Arguments) -> int:
    found, unread = [], []
    for path in given.roms:
        try:
            found.append(_inspected(path))
        except RomforgeError as why:  # the others are told all the same
            unread.append(str(why))
    if given.json:
        _print_json(found)
    elif found:
        print("\n\n".join("\n".join(_inspection(one)) for one in found))
    for told in unread:
        _warn(told)
    return int(bool(unread) or any(fault["severity"] != "note" for one in found for fault in one["faults"]))


def split(given: Arguments) -> int:
    data, _ = prebuilt.read_rom(given.rom)
    with _named(given.rom):
        chain = pcirom.parse_rom(data)
    if not pcirom.is_padding(data[chain.end :]):
        _warn(f"{given.rom}: {at(chain.end)}: what lies behind the last image is no padding, and is left out")
    effort = faults.effort_each(chain.images)
    given.directory.mkdir(parents=True, exist_ok=True)
    written = []
    for index, image in enumerate(chain.images):
        stem = f"{index}-{image.kind.replace(' ', '-')}"
        written.append((f"{stem}.rom", image.data, "the image, byte for byte"))
        if isinstance(image.header, pcirom.EfiHeader):
            with _named(f"{given.rom}: image {index}"):
                driver = pcirom.driver_of(image, effort)
            written.append((f"{stem}.efi", driver, "the driver inside"))
    for name, content, _ in written:
        install.replace(given.directory / name, content)
    rows = [[str(given.directory / name), f"{len(content):,}", what] for name, content, what in written]
    if given.json:
        _print_json([{"file": row[0], "size": len(one[1])} for row, one in zip(rows, written)])
    else:
        print("\n".join(render([Column("file"), Column("bytes", right=True), Column("what")], rows)))
    return 0


def combine(given: Arguments) -> int:
    ids = _argument(keys.ID, given.id, "--id")
    bucket = _argument(keys.SIZE, given.bucket, "--bucket")
    parts = []
    for path in given.images:
        parts += [combining.Part(image, image.kind, str(path)) for image in _images(path).images]
    if ids is None and len({part.image.ids for part in parts}) > 1:
        found = listing(f"{pcirom.show_ids(part.image.ids)} ({part.name})" for part in parts)
        _warn(f"{given.output}: the images are of different devices: {found}; --id VVVV:DDDD rewrites them")
    with _named(listing(map(str, given.images))):
        chained = combining.chain(parts, ids=ids)
    try:
        data = combining.fit(chained, bucket=bucket)
    except combining.BucketError as error:
        raise RomforgeError(f"{given.output}: {error}") from None
    faults.require_sound(data, str(given.output))
    install.replace(given.output, data)
    count = f"{len(parts)} image{'' if len(parts) == 1 else 's'}"
    print(f"{given.output}: {count}, {len(data):,} bytes, bucket {human(combining.bucket_of(len(data)))}")
    return 0


def efirom(given: Arguments) -> int:
    ids = _argument(keys.ID, given.id, "--id")
    with _named(given.driver):
        image = wrap(prebuilt.read_rom(given.driver)[0], ids)
    install.replace(given.output, image)
    print(f"{given.output}: {pcirom.parse_image(image).kind} image of {amount(len(image))}, {given.id}")
    return 0


def compat(given: Arguments) -> int:
    verdicts = comparing.compare(*comparing.read_sets(given.old, given.new))
    if given.json:
        _print_json([_verdict(one) for one in verdicts])
    else:
        columns = [Column("file"), Column("old", right=True), Column("new", right=True), Column("guests"), Column("why")]
        lines = render(columns, comparing.rows(verdicts))
        marks = ["", "", *("" if one.compatible else RED for one in verdicts)]
        print("\n".join(paint(line, mark, colours() and bool(mark)) for line, mark in zip(lines, marks)))
    return int(not all(one.compatible for one in verdicts))


def _tree() -> str | None:
    """The source tree that the environment names."""
    return os.path.abspath(tree) if (tree := os.environ.get("IPXE_SRC")) else None


def _selected(plan: planning.Plan, given: str) -> str:
    """A selection as the name of a task; raises UsageError for what the spec does not have."""
    tasks = {"all", *(f"target:{name}" for name in plan.targets), *(step.task for step in plan.steps())}
    tasks |= {f"nic:{rom.nic}" for rom in plan.roms()}
    if given in tasks:
        return given
    if f"rom:{given}" in tasks:
        return f"rom:{given}"
    close = near(given, tasks)
    raise UsageError(f'there is no "{given}" to build{close}; select nic:NAME, target:NAME, rom:PATH or all')


def _steps(plan: planning.Plan, out: Path) -> Iterator[dict[str, Any]]:
    for fetch in plan.fetches:
        where = f"package {fetch.package}" if fetch.package else fetch.deb
        tool = "apt-get download, dpkg-deb" if fetch.package else "dpkg-deb"
        outputs = [str(out / fetch.directory)]
        yield {"task": fetch.task, "tool": tool, "inputs": [where], "outputs": outputs, "ids": [], "bucket": []}
    for make in plan.makes:
        tree = f"tree {' or '.join(make.trees)}"
        outputs = [str(out / make.directory / "src" / make.bin / f"{goal}.{make.media}") for goal in make.goals]
        yield {"task": make.task, "tool": "make", "inputs": [tree], "outputs": outputs, "ids": [], "bucket": []}
    for rom in plan.roms():
        inputs = [f"{pick.platform} of {pick.make or 'ROMs'} {out / pick.root}" for pick in rom.picks]
        ids = f"{pcirom.show_ids(rom.ids)} {'written' if rom.fix_ids else 'checked'}"
        bucket = f"{human(rom.bucket)}{', padded' if rom.pad else ''}" if rom.bucket else "any"
        yield {"task": rom.task, "tool": "romforge", "inputs": inputs, "outputs": [str(out / rom.path)], "ids": ids, "bucket": bucket}


def _inspected(path: Path) -> dict[str, Any]:
    """All that inspect says of a file."""
    data, _ = prebuilt.read_rom(path)
    chain = pcirom.parse_chain(data)
    parts = [combining.Part(image, image.kind, str(path)) for image in chain.images]
    images = [_image(part) for part in parts]
    found = [
        {
            "severity": "note" if one.severity is faults.Severity.NOTE else "fault",
            "image": one.image,
            "offset": one.offset,
            "text": one.text,
        }
        for one in faults.examine(data)
    ]
    used = chain.end if not chain.fault else sum(len(image.data) for image in chain.images)
    bucket = combining.bucket_of(len(data))
    return {"file": str(path), "size": len(data), "used": used, "bucket": bucket, "slack": bucket - used, "images": images, "faults": found}


def _image(part: combining.Part) -> dict[str, Any]:
    image = part.image
    about = {"kind": image.kind, "offset": image.offset, "size": len(image.data), "ids": pcirom.show_ids(image.ids)}
    about |= {"last": image.is_last, "contents": "code"}
    if isinstance(image.header, pcirom.EfiHeader):
        about["contents"] = "driver, stored"
        if image.header.compression_type == pcirom.UEFI_COMPRESSED:
            try:
                stream, original = eficompress.sizes(image.data, image.header.efi_image_offset)
                about["contents"] = f"driver of {original:,} bytes, compressed to {stream:,}"
            except FormatError:
                about["contents"] = "driver, compressed"
    return about


def _inspection(one: dict[str, Any]) -> list[str]:
    lines = [f"{paint(one['file'], BOLD, colours())}: {amount(one['size'])}"]
    lines.append(f"  bucket {human(one['bucket'])}, {one['used']:,} used, {one['slack']:,} of slack")
    if one["images"]:
        columns = [
            Column("#"),
            Column("image"),
            Column("offset", right=True),
            Column("bytes", right=True),
            Column("IDs"),
            Column("contents"),
        ]
        cells = [
            [str(index), image["kind"], f"{image['offset']:#x}", f"{image['size']:,}", image["ids"], image["contents"]]
            for index, image in enumerate(one["images"])
        ]
        lines += [f"  {line}" for line in render(columns, cells)]
    for fault in one["faults"]:
        where = "" if fault["image"] is None else f"image {fault['image']}, "
        tint = RED if fault["severity"] == "fault" else YELLOW
        text = f"{where}{at(fault['offset'])}: {fault['text']}"
        lines.append(f"  {paint(fault['severity'], tint, colours())}: {text}")
    if all(fault["severity"] == "note" for fault in one["faults"]):
        examined = not any(fault["text"].startswith(faults.NOT_EXAMINED) for fault in one["faults"])
        lines.append("  no faults in what was examined" if not examined else f"  {paint('no faults', GREEN, colours())}")
    return lines


@contextmanager
def _named(name: object) -> Iterator[None]:
    """Says of which file a FormatError inside speaks."""
    try:
        yield
    except FormatError as error:
        raise RomforgeError(f"{name}: {error}") from None


def _images(path: Path) -> pcirom.Chain:
    data, _ = prebuilt.read_rom(path)
    if data[:2] == b"MZ":
        raise RomforgeError(f"{path}: is a PE driver, not an image of a ROM; a ROM's image begins with 55 aa")
    chain = pcirom.parse_chain(data)
    # an image split off a chain says that another follows: here the file's end is the image's
    if chain.fault and not (chain.images and chain.end == len(data)):
        raise RomforgeError(f"{path}: {chain.fault}")
    if not pcirom.is_padding(data[chain.end :]):
        raise RomforgeError(f"{path}: {at(chain.end)}: junk behind the last image")
    return chain


def _warn(text: str) -> None:
    print(f"romforge: {text}", file=sys.stderr)


def _argument(kind: keys.Kind, value: str | None, name: str) -> Any:
    if value is None:
        return None
    try:
        return kind.read(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; {kind.right}") from None


def _verdict(one: comparing.Verdict) -> dict[str, Any]:
    def side(rom: comparing.RomFile | None) -> dict[str, Any] | None:
        return {"size": rom.size, "bucket": rom.bucket, "images": rom.images} if rom else None

    return {"file": one.file, "old": side(one.old), "new": side(one.new), "compatible": one.compatible, "reason": one.reason}


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=1)
    print()
