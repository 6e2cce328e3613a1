# SPDX-License-Identifier: GPL-2.0-or-later
"""Gets one commit of a git repository, without its history where the server allows that.

A commit is what its name says, since git computes the name from all that is in it. A tag may be
moved: it needs the signature of a known key, and must be the commit that the lock has.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from romforge.base import programs
from romforge.base.errors import RomforgeError
from romforge.plan.steps import PinnedTree
from romforge.spec.value_types import COMMIT

# What git asks of the environment in a hook, and what would make it ask a person.
_REPOSITORY_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_CONFIG_PARAMETERS",
)
_QUIET = {"GIT_TERMINAL_PROMPT": "0"}
# The bytes of files are those of the commit, whatever the user's configuration. A server that is
# silent for a minute is given up.
_SETTINGS = {
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.symlinks": "true",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "advice.detachedHead": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "gc.auto": "0",
}
_KINDS = "heads", "tags"  # of references
_PGP = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


def fetch_commit(step: PinnedTree, directory: Path, locked: str | None) -> Path:
    """Gets the commit or the tag of a step, and checks it out in a new directory.

    ``locked`` is the revision in the lock. Raises RomforgeError.
    """
    assert step.rev is not None
    is_commit = bool(re.fullmatch(COMMIT, step.rev))
    object_format = "sha256" if is_commit and len(step.rev) == 64 else "sha1"
    directory.mkdir()
    _git(directory, ["init", "--quiet", f"--object-format={object_format}"])
    for name, value in _SETTINGS.items():
        _git(directory, ["config", name, value])
    if is_commit:
        _fetch_by_name(step, directory)
        commit = step.rev
    else:
        reference = f"refs/tags/{step.rev}"
        _fetch(step, directory, [f"{reference}:{reference}"])
        commit = _commit_of(directory, reference)
        _require_locked(step, commit, locked)
    if step.signers is not None:
        _require_signature(step, directory, is_commit)
    _git(directory, ["checkout", "--quiet", "--detach", commit])
    return directory


def newest_commit(url: str, wanted: str | None) -> tuple[str, str]:
    """The name of a branch or tag of a repository, and its commit; by default, its main branch.

    Raises RomforgeError where the repository cannot be read, or has no such name.
    """
    patterns = ["HEAD"]
    if wanted is not None:
        patterns = [f"refs/heads/{wanted}", f"refs/tags/{wanted}", f"refs/tags/{wanted}^{{}}"]
    options = ["ls-remote", "--symref", "--", url, *patterns]
    branch = "HEAD"
    commits = {}
    for line in _git(Path(), options).decode(errors="replace").splitlines():
        value, _, name = line.partition("\t")
        if re.fullmatch(COMMIT, value):
            commits[name] = value
        elif value.startswith("ref: refs/heads/"):
            branch = value.removeprefix("ref: refs/heads/")
    if wanted is None and "HEAD" in commits:
        return branch, commits["HEAD"]
    for pattern in reversed(patterns):  # the commit of a tag comes before the tag, and that first
        if pattern in commits:
            assert wanted is not None
            return wanted, commits[pattern]
    raise RomforgeError(f"{url} has no branch or tag {wanted or 'HEAD'}")


def require_unchanged(step: PinnedTree, directory: Path, locked: str | None) -> str:
    """What `git describe` says of a checkout of a step, with the whole commit.

    Raises RomforgeError if it is of another commit, or its files were changed.
    """
    assert step.rev is not None
    again = f"remove {directory}, and get it again"
    head = _git(directory, ["rev-parse", "HEAD"]).decode().strip()
    wanted = step.rev
    if not re.fullmatch(COMMIT, wanted):
        wanted = _commit_of(directory, f"refs/tags/{step.rev}")
        _require_locked(step, head, locked)
    if head != wanted:
        raise RomforgeError(f"{directory} is at the commit {head}, not at {wanted}; {again}")
    changes = _git(directory, ["status", "--porcelain", "--untracked-files=no"]).decode()
    if changes:
        first = changes.splitlines()[0][3:]
        remedy = f"put your changes into a clone of your own, and set IPXE_SRC; then {again}"
        raise RomforgeError(f"{directory}: {first} is not as in {step.rev}; {remedy}")
    options = ["describe", "--always", "--long", "--tags", f"--abbrev={len(head)}"]
    return _git(directory, options).decode().strip()


def _fetch_by_name(step: PinnedTree, directory: Path) -> None:
    """Fetches a commit alone. A server may refuse that; then all branches and tags are fetched."""
    assert step.rev is not None
    try:
        _fetch(step, directory, [step.rev], depth=True)
    except RomforgeError as refusal:
        try:
            # Not below refs/tags: a version would be described by a tag that is there by chance.
            _fetch(step, directory, [f"+refs/{kind}/*:refs/got/{kind}/*" for kind in _KINDS])
        except RomforgeError:
            raise refusal from None
    try:
        _git(directory, ["cat-file", "-e", f"{step.rev}^{{commit}}"])
    except RomforgeError:
        raise RomforgeError(f"{step.url} has no commit {step.rev}") from None


def _fetch(
    step: PinnedTree, directory: Path, references: Sequence[str], depth: bool = False
) -> None:
    options = ["--depth=1"] if depth else []
    _git(directory, ["fetch", "--quiet", "--no-tags", *options, "--", step.url, *references])


def _commit_of(directory: Path, reference: str) -> str:
    options = ["rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"]
    return _git(directory, options).decode().strip()


def _require_locked(step: PinnedTree, commit: str, locked: str | None) -> None:
    """Raises RomforgeError if the lock has another commit for a tag."""
    found = re.search(f"(?:^|-g)({COMMIT})$", locked or "")
    if found and found[1] != commit:
        raise RomforgeError(
            f"{step.rev} of {step.url} is the commit {commit},\n  but romspec.lock has {found[1]}:"
            f" the tag was moved; to build that commit, write it into [source.{step.source}], and"
            " to accept the new one, remove the source from [sources] of the lock"
        )


def _require_signature(step: PinnedTree, directory: Path, is_commit: bool) -> None:
    """Raises RomforgeError if no key of the step's signers has signed the commit or the tag."""
    assert step.signers is not None
    assert step.rev is not None
    try:
        keys = Path(step.signers).read_bytes()
    except OSError as error:
        raise RomforgeError(f"{step.signers}: cannot be read: {error.strerror}") from None
    verb = "verify-commit" if is_commit else "verify-tag"
    with tempfile.TemporaryDirectory(prefix="romforge-") as home:
        settings = ["-c", f"gpg.ssh.allowedSignersFile={step.signers}"]
        if _PGP in keys:
            settings = ["-c", "gpg.program=gpg"]
            keyring = ["gpg", "--batch", "--quiet", "--homedir", home, "--import", step.signers]
            programs.run_program(keyring, package="gpg")
        else:
            settings += ["-c", "gpg.ssh.program=ssh-keygen"]
        try:
            _git(directory, [*settings, verb, step.rev], {"GNUPGHOME": home})
        except programs.MissingTool:
            raise
        except RomforgeError as error:
            what = "the commit" if is_commit else "the tag"
            raise RomforgeError(
                f"{what} {step.rev} of {step.url} has no signature of a key in {step.signers}:"
                f" {error}"
            ) from None
        finally:
            if shutil.which("gpgconf"):
                programs.run_program(["gpgconf", "--homedir", home, "--kill", "all"], package="gpg")


def _git(directory: Path, arguments: Sequence[str], more: dict[str, str] | None = None) -> bytes:
    """The output of git in a repository; raises RomforgeError."""
    environment = {**os.environ, **_QUIET, **(more or {})}
    for name in _REPOSITORY_VARIABLES:
        environment.pop(name, None)
    command = ["git", "-C", str(directory), *arguments]
    return programs.run_program(command, package="git", environment=environment)
