# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaving out roots took out of an image: its link is compared with one from all roots of the tree.

That link is made on demand, in the platform's working tree, with the image's own stages out of the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from romforge import gnumake, images, ipxe, linking
from romforge.errors import RomforgeError
from romforge.ipxe import Tree, Trees
from romforge.plan import Make


class Stripped(NamedTuple):
    """For an image the bytes of each object in its link, and of each that a link from all roots has besides."""

    goal: str
    dropped: tuple[str, ...]
    stayed: dict[str, int]
    left: dict[str, int]


def report(step: Make, out: Path, goals: list[str]) -> list[Stripped]:
    """What stayed and what left in images of a platform; raises RomforgeError where they are not built as they are now."""
    trees = Trees(out)
    if stale := ipxe.stale(step, out, goals, trees):
        goal, why = next(iter(stale.items()))
        raise RomforgeError(f"{step.task}: {goal}.{step.media} must be built first: {why}")
    tree = trees.of(step)
    drop = linking.dropped(step, tree.src)
    stayed = {goal: _sizes(step, out, goal) for goal in goals}
    whole = _linked_whole(step, out, tree, goals) if drop else stayed
    return [
        Stripped(goal, drop, stayed[goal], {name: size for name, size in whole[goal].items() if name not in stayed[goal]}) for goal in goals
    ]


def _sizes(step: Make, out: Path, goal: str) -> dict[str, int]:
    path = out / step.directory / "src" / step.bin / f"{goal}.{images.linked(step)}.tmp.map"
    sizes = linking.read_map(path).sizes()
    return dict(sorted(sizes.items(), key=lambda both: (-both[1], both[0])))


def _linked_whole(step: Make, out: Path, tree: Tree, goals: list[str]) -> dict[str, dict[str, int]]:
    """The sizes of links from all roots; the images and their stages are as before when it ends."""
    with gnumake.build():
        found = ipxe.prepare(step, out, tree)
        work = out / step.directory
        directory, aside = work / "src" / step.bin, work / "aside"
        aside.mkdir()
        stages = [path for goal in goals for path in images.stages(step, directory, goal)]
        for path in stages:
            path.rename(aside / path.name)
        words = images.variables(step) + [f"{step.bin}/{goal}.{images.linked(step)}.tmp" for goal in goals]
        status = images.run(step, words, work / "src", work / "stripped.log")
        sizes = {goal: _sizes(step, out, goal) for goal in goals} if status == 0 else {}
        for goal in goals:
            for path in images.stages(step, directory, goal):
                path.unlink()
        for path in stages:
            (aside / path.name).rename(path)
        aside.rmdir()
        ipxe.save(step, out, found)
    if status:
        raise RomforgeError(f"{step.task}: the link from all roots ended with status {status}; see {work / 'stripped.log'}")
    return sizes
