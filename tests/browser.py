"""A real browser, driven through its debugging pipe; nothing but the standard library."""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)

# The browser wants its pipe at 3 and 4, which may be in use here.
_PLACE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page in a browser, and everything that it was seen to do."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": params}
        if self._session:
            call["sessionId"] = self._session
        os.write(self._writer, json.dumps(call).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        """Load a file or an address and wait until it is there."""
        address = page.as_uri() if isinstance(page, Path) else page
        self.events.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        self.send(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.protocol !== 'about:'")

    def run(self, script: str) -> Any:
        """Value of an expression in the page; a promise is waited for."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, *, seconds: float = 30.0) -> None:
        """Wait for an expression to become true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def press(self, key: str, **more: Any) -> None:
        """Press and let go of a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **more)

    def click(self, x: float, y: float) -> None:
        """Press and let go of the mouse at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, *, whole: bool = False) -> bytes:
        """PNG of the window, or of the whole page."""
        found = self.send(
            "Page.captureScreenshot",
            format="png",
            captureBeyondViewport=whole,
            **({"clip": self._page_box()} if whole else {}),
        )
        return base64.b64decode(found["data"])

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        found = self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(found["data"])

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for, apart from data in the page."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
            and not event["params"]["request"]["url"].startswith("data:")
        ]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the page, refusals of its policy among them."""
        told = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                told.append(json.dumps(params["exceptionDetails"])[:500])
            if event.get("method") == "Runtime.consoleAPICalled" and params["type"] != "log":
                told.append(json.dumps(params["args"])[:500])
            if event.get("method") == "Log.entryAdded":
                told.append(params["entry"]["text"][:500])
        return told

    def _page_box(self) -> dict[str, float]:
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._reader, 1 << 20)
            assert part, "the browser is gone"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(message))


@contextmanager
def browse(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own."""
    assert CHROMIUM is not None
    theirs, mine = zip(os.pipe(), reversed(os.pipe()), strict=True)
    # theirs: (their reading end, their writing end); mine: (my writing end, my reading end)
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in theirs]

    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _PLACE,
            *map(str, high),
            CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=high,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (*theirs, *high):
        os.close(end)
    try:
        yield Browser(mine[1], mine[0])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for end in mine:
            os.close(end)


def violations(browser: Browser) -> list[Any]:
    """What axe finds at fault, and how grave it is."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe is not installed: pip install axe-playwright-python")
    code = Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    browser.run(f"{code}; 0")
    return list(
        json.loads(
            browser.run(
                "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => JSON.stringify("
                "violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(' '))])))"
            )
        )
    )
