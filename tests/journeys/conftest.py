"""A browser, a served street, and eyes: nothing wider than the screen, nothing wrong on the console."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ports import free_port
from schema_file import place_schema

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HERE = Path(__file__).resolve().parent
BUILT = HERE.parents[1] / "src/wattkeeper/interfaces/web/static/built/wattkeeper.js"
WIDTHS = {390: 844, 1280: 800}
STARTS_WITHIN_S = 120.0
expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Served:
    """Where the street is served, and the ids of what is there."""

    url: str
    ids: dict[str, int]
    folder: Path

    @contextmanager
    def jobs_held(self) -> Iterator[None]:
        """No job is begun before the block ends."""
        hold = self.folder / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()


@dataclass
class Eyes:
    """A window of the browser and what went wrong in it."""

    page: Page
    served: Served
    width_px: int
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open an address and look."""
        self.page.goto(f"{self.served.url}{path}")
        self.look()

    def look(self) -> None:
        """Check, once charts are drawn, that nothing is wider than the screen."""
        self.page.wait_for_load_state()
        expect(self.page.locator("[data-chart]:empty")).to_have_count(0)
        width_px = self.page.evaluate("document.scrollingElement.scrollWidth")
        assert width_px <= self.page.evaluate("innerWidth"), (self.page.url, width_px)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no browser here: apt-get install chromium lets the pages' journeys run")
    if not BUILT.exists():
        pytest.skip("the web assets are not built: make setup builds them")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A street served by the web server in a process of its own."""
    folder = tmp_path_factory.mktemp("street")
    place_schema(folder)
    port = free_port()
    log = (folder / "log").open("wb")
    command = [sys.executable, str(HERE / "serve_street.py"), str(folder), str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/login/", process, folder / "log")
        yield Served(url, json.loads((folder / "street.json").read_text()), folder)
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an address answers."""
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            pytest.fail(log.read_text())
        try:
            with urlopen(url, timeout=10):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(log.read_text())


@pytest.fixture(params=sorted(WIDTHS), ids=lambda width: f"{width}px")
def eyes(request: pytest.FixtureRequest, served: Served, browser: Browser) -> Iterator[Eyes]:
    """A fresh window, narrow and wide, far from the site's time zone."""
    width_px: int = request.param
    context = browser.new_context(
        viewport={"width": width_px, "height": WIDTHS[width_px]},
        locale="en-GB",
        timezone_id="America/St_Johns",
    )
    page = context.new_page()
    found = Eyes(page, served, width_px)
    page.on("console", lambda told: found.complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    context.close()
    assert found.complaints == []
