"""Headless Chromium by its debugging pipe: pages are opened as a reader opens them.

No driver and no network are needed. Skips with a reason where Chromium is absent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import mimetypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
# A page is served under this name, with the headers that a test wants. Nothing leaves the machine.
URL: Final = "http://page.test/report.html"
# The violations that axe-core finds, once `axe_source` was run.
AXE: Final = """axe.run(document, {resultTypes: ["violations"]}).then(found =>
  found.violations.map(each => each.id + ": " + each.nodes[0].html.slice(0, 200)))"""


def chromium() -> str:
    """The program. Skips where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    return found


def axe_source() -> str:
    """axe-core, which RELROB_AXE names. Skips where it is absent."""
    path = Path(os.environ.get("RELROB_AXE") or "node_modules/axe-core/axe.min.js")
    if not path.is_file():
        pytest.skip("no axe-core: npm install axe-core, and RELROB_AXE=.../axe.min.js")
    return path.read_text(encoding="utf-8")


class Browser:
    """A running Chromium."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._next, self._rest = read, write, 0, b""
        self._events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """A command's result; events that come before it are kept."""
        number = self.send(method, session, **params)
        while True:
            got = self._message()
            if got.get("id") == number:
                assert "error" not in got, (method, got["error"])
                result: dict[str, Any] = got["result"]
                return result
            self._keep(got)

    def send(self, method: str, session: str = "", **params: Any) -> int:
        """Send a command without waiting for its result; returns its number."""
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        return self._next

    def events(self, session: str, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events that came so far."""
        mine = [each for each in self._events if each.get("sessionId") == session]
        return [each["params"] for each in mine if each["method"] in methods]

    def wait(self, session: str, method: str) -> dict[str, Any]:
        """The parameters of the next such event, which may have come already."""
        return self.first(session, method)[1]

    def first(self, session: str, *methods: str) -> tuple[str, dict[str, Any]]:
        """The first event of these methods, which may have come already, with its parameters."""
        while True:
            for place, each in enumerate(self._events):
                if each.get("sessionId") == session and each["method"] in methods:
                    del self._events[place]
                    return each["method"], each["params"]
            self._keep(self._message())

    def _keep(self, got: dict[str, Any]) -> None:
        """Keep an event; the result of a command that nobody waits for is dropped."""
        if "method" in got:
            self._events.append(got)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._read, 1 << 20)
            assert data, "chromium ended"
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(head)
        return found


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """Chromium with a profile in that folder."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    command = [chromium(), *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", shell, *command],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    browser = Browser(read, write)
    try:
        yield browser
        with contextlib.suppress(AssertionError):
            browser.call("Browser.close")
    finally:
        os.close(write)
        os.close(read)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Tab:
    """A page that was opened. `width` and `height` in CSS pixels; `headers` as a server sends them;
    without `scripts` none run; `media`: features such as prefers-color-scheme."""

    def __init__(
        self,
        browser: Browser,
        text: str,
        *,
        width: int = 1280,
        headers: dict[str, str] | None = None,
        scripts: bool = True,
        media: dict[str, str] | None = None,
    ) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._target = target
        self._session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")
        self._call("Fetch.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": name, "value": value} for name, value in (media or {}).items()]
        self._call("Emulation.setEmulatedMedia", features=features)
        if not scripts:
            self._call("Emulation.setScriptExecutionDisabled", value=True)
        self._open(text, headers or {})

    def _open(self, text: str, headers: dict[str, str]) -> None:
        """Navigate, and answer the one request."""
        self._browser.send("Page.navigate", self._session, url=URL)
        paused = self._browser.wait(self._session, "Fetch.requestPaused")
        sent = {"Content-Type": "text/html; charset=utf-8", **headers}
        self._answer(paused, text.encode(), sent)
        self._browser.wait(self._session, "Page.loadEventFired")

    def _answer(
        self, paused: dict[str, Any], body: bytes, headers: dict[str, str], code: int = 200
    ) -> None:
        """Give a request its answer."""
        self._call(
            "Fetch.fulfillRequest",
            requestId=paused["requestId"],
            responseCode=code,
            responseHeaders=[{"name": name, "value": value} for name, value in headers.items()],
            body=base64.b64encode(body).decode(),
        )

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives, which is awaited."""
        found = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """Addresses of what was asked for, data in the file itself left out."""
        sent = self._browser.events(self._session, "Network.requestWillBeSent")
        found = [str(each["request"]["url"]) for each in sent]
        return [url for url in found if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """What the console says, errors of scripts and refusals among it."""
        _ = self.value("1")
        told = self._browser.events(
            self._session, "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"
        )
        return [json.dumps(each) for each in told]

    def worked(self) -> float:
        """Seconds of the processor that the page's thread has spent on all its tasks."""
        found = self._call("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in found if each["name"] == "TaskDuration"))

    def printed(self) -> bytes:
        """The page as a PDF."""
        data = self._call("Page.printToPDF", printBackground=True)["data"]
        return base64.b64decode(data)

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)


class SiteTab(Tab):
    """A page of a folder of files, such as a built site; `text` is its path in the folder.
    `missing`: what it asked for and the folder does not hold."""

    def __init__(self, browser: Browser, folder: Path, path: str, **options: Any) -> None:
        self._folder, self.missing = folder, list[str]()
        super().__init__(browser, path, **options)

    def _open(self, text: str, headers: dict[str, str]) -> None:
        """Navigate, and answer every request until all is there."""
        start = "http://page.test/"
        self._browser.send("Page.navigate", self._session, url=start + text)
        while True:
            event, params = self._browser.first(
                self._session, "Fetch.requestPaused", "Page.loadEventFired"
            )
            if event == "Page.loadEventFired":
                return
            url = str(params["request"]["url"]).partition("?")[0]
            file = self._folder / unquote(url.removeprefix(start))
            found = url.startswith(start) and file.is_file()
            self.missing += [] if found else [url]
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            body = file.read_bytes() if found else b""
            self._answer(params, body, {"Content-Type": kind, **headers}, 200 if found else 404)
