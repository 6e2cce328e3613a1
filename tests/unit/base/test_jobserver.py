# SPDX-License-Identifier: GPL-2.0-or-later
"""The pool of jobs, with makes that the tests start, and a make that starts the test's program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from romforge.base import jobserver
from tests.support.project import PATIENCE, TOP

# Each job appends to "counts" how many run: it creates a file, counts the files, and removes it.
# The first jobs wait until $(MEET) of them run.
COUNT = "touch running/$@; n=$$(ls running | wc -l); echo $$n >> counts"
MEET = "[ $$n -lt $(MEET) ] || touch met"
WAIT = f"[ -e met ] || timeout {PATIENCE} sh -c 'until [ -e met ]; do sleep 0.02; done'"
JOB = f"@{COUNT}; {MEET}; {WAIT}; sleep 0.1; rm running/$@"
MAKEFILE = f"all: $(foreach n,1 2 3 4 5 6 7 8,$(NAME)$(n))\n$(NAME)%:\n\t{JOB}\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "running").mkdir()
    (tmp_path / "Makefile").write_text(MAKEFILE)
    return tmp_path


def start_make(pool: jobserver.Pool, work: Path, name: str, meet: int) -> None:
    with pool.job():
        subprocess.run(
            ["make", f"NAME={name}", f"MEET={meet}"],
            cwd=work,
            env={"PATH": os.environ["PATH"], "MAKEFLAGS": pool.flags()},
            pass_fds=pool.inherited(),
            check=True,
            capture_output=True,
        )


def most_at_once(work: Path) -> int:
    return max(map(int, (work / "counts").read_text().split()))


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2, 3, 5])
def test_makes_that_share_a_pool_run_no_more_jobs_than_it_has(work: Path, jobs: int):
    """Three makes of eight jobs each. Afterwards, the pool is full again."""
    pool = jobserver.make_pool(jobs)
    threads = [threading.Thread(target=start_make, args=(pool, work, name, jobs)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_at_once(work) == jobs
    assert len((work / "counts").read_text().split()) == 24
    os.set_blocking(pool.reading, False)
    assert jobs == 1 or os.read(pool.reading, 99) == b"+" * (jobs - 1)
    pool.close()


def test_a_pool_without_the_descriptors_would_not_be_shared(work: Path):
    """A control: makes without a common pool run more jobs at once."""
    makes = [
        subprocess.Popen(
            ["make", "-j3", f"NAME={name}", "MEET=4"], cwd=work, stdout=subprocess.DEVNULL
        )
        for name in "xyz"
    ]
    assert [process.wait() for process in makes] == [0, 0, 0]
    assert most_at_once(work) > 3


JOINED = """
import os, sys, threading, time
from romforge.base import jobserver
pool = jobserver.join_pool(os.environ)
patience = float(sys.argv[2])
print("joined" if pool else "alone", flush=True)
def work(number):
    with pool.job():
        open(f"running/{sys.argv[1]}{number}", "w").close()
        running = len(os.listdir("running"))
        with open("counts", "a") as counts:
            counts.write(f"{running}\\n")
        if running > 1:
            open("met", "w").close()
        end = time.monotonic() + patience
        while not os.path.exists("met") and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.1)
        os.remove(f"running/{sys.argv[1]}{number}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(8 if pool else 0)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize(("recursive", "output"), [("+", "joined"), ("", "alone")])
def test_a_make_that_starts_us_shares_its_pool_if_its_recipe_says_so(
    tmp_path: Path, recursive: str, output: str
):
    (tmp_path / "running").mkdir()
    (tmp_path / "joined.py").write_text(JOINED)
    recipe = f"\t{recursive}@{sys.executable} joined.py $@ {PATIENCE}\n"
    (tmp_path / "Makefile").write_text(f"all: a b c\na b c:\n{recipe}")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP / "src")}
    process = subprocess.run(
        ["make", "-j3"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert process.stdout.split() == [output] * 3
    if output == "joined":
        assert 1 < most_at_once(tmp_path) <= 3
        assert len((tmp_path / "counts").read_text().split()) == 24


def test_a_named_pipe_is_joined_and_passed_on(tmp_path: Path):
    """As make 4.4 makes it."""
    path = tmp_path / "pool"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)
    os.write(keeper, b"ab")
    pool = jobserver.join_pool({"MAKEFLAGS": f"-j3 --jobserver-auth=fifo:{path}"})
    assert pool is not None
    assert pool.flags() == f"-j --jobserver-auth=fifo:{path}"
    assert pool.inherited() == ()
    with pool.job(), pool.job(), pool.job():
        os.set_blocking(keeper, False)
        with pytest.raises(BlockingIOError):
            os.read(keeper, 1)
    assert sorted(os.read(keeper, 9)) == sorted(b"ab")  # the very bytes that were taken
    pool.close()
    os.close(keeper)


def test_a_job_waits_until_another_ends():
    pool = jobserver.make_pool(2)
    order = []

    def late() -> None:
        with pool.job():
            order.append("late")

    with pool.job():
        with pool.job():
            thread = threading.Thread(target=late)
            thread.start()
            time.sleep(0.1)
            order.append("early")
        thread.join()
    assert order == ["early", "late"]
    pool.close()


def test_a_job_waits_on_where_another_process_took_the_byte():
    """Make sets the shared pipe non-blocking."""
    pool = jobserver.make_pool(2)
    os.set_blocking(pool.reading, False)
    with pool.job(), pool.job():
        timer = threading.Timer(0.1, os.write, (pool.writing, b"+"))
        timer.start()
        with pool.job():
            pass
    pool.close()


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "k",
        "-j4",
        "-j4 --jobserver-auth=-2,-2",
        "--jobserver-auth=998,999",
        "--jobserver-auth=fifo:/nonexistent",
        "--jobserver-auth=0,x",
    ],
)
def test_flags_without_an_accessible_pool_join_none(flags: str):
    assert jobserver.join_pool({"MAKEFLAGS": flags}) is None
    assert jobserver.join_pool({}) is None


def test_the_last_pool_in_makeflags_is_valid():
    assert jobserver.find_pool(
        "-j --jobserver-fds=3,4 --jobserver-auth=fifo:/a --jobserver-auth=5,6"
    ) == ((5, 6), None)


def test_the_jobs_of_this_process_have_a_limit_of_their_own():
    """Jobs of makes do not."""
    pool = jobserver.begin_pool(8, local=2)
    counts: dict[str, list[int]] = {"local": [], "make": []}
    running: dict[str, int] = dict.fromkeys(counts, 0)
    barriers = {
        "local": threading.Barrier(2, timeout=PATIENCE),
        "make": threading.Barrier(3, timeout=PATIENCE),
    }
    lock = threading.Lock()

    def work(kind: str) -> None:
        with pool.local_job() if kind == "local" else pool.job():
            with lock:
                running[kind] += 1
                counts[kind].append(running[kind])
            barriers[kind].wait()
            time.sleep(0.05)  # for one too many to begin
            with lock:
                running[kind] -= 1

    threads = [threading.Thread(target=work, args=(kind,)) for kind in counts for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobserver.end_pool()
    assert max(counts["local"]) == 2
    assert max(counts["make"]) > 2
