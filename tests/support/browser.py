# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages in Debian's Chromium: what it says of them, and what axe finds that keeps people out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.project import PATIENCE

PROGRAM = "/usr/bin/chromium-headless-shell"
HEIGHT = 900  # pixels


@contextmanager
def started() -> Iterator[Browser]:
    """The browser. It has no sandbox, which root in a container cannot have."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, anchor: str = "", **context: Any) -> Iterator[Page]:
    """A page in a context of its own; fails if the console has a message, or something is loaded.

    ``context`` is what Playwright calls so, as ``color_scheme`` or ``java_script_enabled``.
    """
    made = browser.new_context(**context)
    made.set_default_timeout(PATIENCE * 1000)
    page = made.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: messages.append(request.url))
    address = file.as_uri()
    page.goto(f"{address}{anchor}")
    yield page
    assert messages == [address]
    made.close()


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, and the elements that break it."""
    found = []
    for violation in Axe().run(page).response["violations"]:
        elements = [node["html"][:200] for node in violation["nodes"]]
        found.append(f"{violation['id']}: {elements[:3]}")
    return found
