"""A real Chromium, and a server for it to look at."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

import stagelight
from realstack import free_port
from stagelight import _guard, _sinks
from stagelight._registry import REGISTRY
from stagelight.health._monitor import MONITOR, Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

if not (BROWSER and DRIVER):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

from selenium import webdriver  # noqa: E402 - only where there is a browser
from selenium.webdriver.chrome.service import Service  # noqa: E402 - the same

_FLAGS = (
    *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
    *("disable-dev-shm-usage", "hide-scrollbars"),
)


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        found = webdriver.Chrome(options=options, service=Service(DRIVER))
        yield found
        found.quit()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Start with nothing registered, and leave nothing behind."""
    before, events = dict(REGISTRY.pipelines), list(_sinks.EVENTS)
    REGISTRY.pipelines.clear()
    MONITOR.__dict__.update(Monitor().__dict__)
    _guard.reset()
    yield
    errors = dict(_guard.ERRORS)
    REGISTRY.pipelines.clear()
    REGISTRY.pipelines.update(before)
    _sinks.EVENTS[:] = events
    _guard.reset()
    assert errors == {}


class Page:
    """The page in the browser."""

    def __init__(self, driver: webdriver.Chrome, server: stagelight.Server) -> None:
        self.driver = driver
        self.server = server

    def open(self, width: int = 1440, height: int = 900, *, dark: bool = False) -> None:
        """Load it in a window of some size, in a colour scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": False}
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [scheme]}
        )
        self.driver.get_log("browser")
        self.driver.get(self.server.url)
        self.until(lambda: self.js("return document.querySelectorAll('tr').length > 2"))

    def js(self, script: str, *arguments: object):
        """Run a script in it."""
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """Texts of all elements that a selector finds."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(e => e.innerText ?? e.textContent)"
        )
        return self.js(script, selector)

    def cell(self, name: str, field: str) -> str:
        """What a table shows of a stage or queue."""
        found = self.texts(f'tr[data-name="{name}"] [data-field="{field}"] .value')
        return found[0] if found else ""

    def until(self, check: Callable[[], object], seconds: float = 60.0) -> float:
        """Wait for something to be so; returns how long it took."""
        began = time.monotonic()
        while not check():
            assert time.monotonic() - began < seconds, self.texts("body")
            time.sleep(0.05)
        return time.monotonic() - began

    def complaints(self) -> list[str]:
        """What the browser's console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture
def pipeline() -> stagelight.Pipeline:
    """A pipeline without stages."""
    return stagelight.Pipeline("shop")


@pytest.fixture
def server(pipeline) -> Iterator[stagelight.Server]:
    """A server on a port that nobody else is given, not even once it is closed."""
    link = "http://jaeger.test/trace/{trace_id}"
    with stagelight.serve(f"127.0.0.1:{free_port()}", trace_url=link) as running:
        yield running


@pytest.fixture
def page(driver, server) -> Page:
    """The page, not opened yet."""
    return Page(driver, server)
