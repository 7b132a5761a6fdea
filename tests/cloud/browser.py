"""A headless Chromium, driven by raw WebDriver calls (W3C WebDriver, 2018): no third-party package."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window. Skips the test where there is no Chromium with its driver."""

    def __init__(self, folder: Path) -> None:
        program, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if program is None or driver is None:
            pytest.skip("needs chromium and chromedriver (apt install chromium chromium-driver)")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._base = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._wait_for_driver()
            options = {"binary": program, "args": [*FLAGS, f"--user-data-dir={folder}/chromium"]}
            wishes = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wishes}})
            self._session = f"/session/{session['sessionId']}"
        except BaseException:
            self._driver.kill()
            raise

    def close(self) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def size(self, width: int, height: int = 900, dark: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Of a script that calls its last argument when it is done."""
        self._call("POST", f"{self._session}/timeouts", {"script": 60_000})
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})

    def find(self, css: str, within: float = 30) -> str:
        """-> an element's id, once it is there and can be seen."""
        end = time.monotonic() + within
        while True:
            try:
                found: str = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": css})[
                    ELEMENT
                ]
                if self._call("GET", f"{self._session}/element/{found}/displayed"):
                    return found
            except LookupError:
                pass
            assert time.monotonic() < end, f"{css} is not on the page: {self.text()[:1500]}"
            time.sleep(0.05)

    def type(self, css: str, text: str) -> None:
        self._call("POST", f"{self._session}/element/{self.find(css)}/value", {"text": text})

    def press(self, key: str) -> None:
        """A key of the keyboard, on what has the focus; WebDriver names those that are no letters U+E000 and on."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}
        self._call("POST", f"{self._session}/actions", body)

    def click(self, css: str, within: float = 30) -> None:
        end = time.monotonic() + within
        while True:  # the page is live: what was found may just have been replaced
            try:
                found = self.find(css, within)
                self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", {ELEMENT: found})
                self._call("POST", f"{self._session}/element/{found}/click", {})
                return
            except LookupError as error:
                assert time.monotonic() < end, f"{css}: {error}"
                time.sleep(0.1)

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def until(self, script: str, within: float = 30) -> Any:
        end = time.monotonic() + within
        while True:
            try:
                if value := self.run(f"return {script}"):
                    return value
            except LookupError:  # the page is just being replaced
                pass
            assert time.monotonic() < end, f"never true: {script}\n{self.text()[:1500]}"
            time.sleep(0.05)

    def speak(self, lang: str) -> None:
        """Choose a language at the log-in, and be on its page: what is typed before that would be gone."""
        if self.run("return document.documentElement.lang") != lang:
            self.click(f".tongues [value={lang}]")
            self.until(f"document.documentElement.lang === {lang!r} && document.readyState === 'complete'")

    def complaints(self) -> list[str]:
        """What the console says that is worse than a remark."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _wait_for_driver(self) -> None:
        end = time.monotonic() + 20
        while True:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            assert time.monotonic() < end, "chromedriver did not start"
            time.sleep(0.05)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            problem = json.load(error)["value"]
            raise LookupError(f"{problem['error']}: {problem['message'][:500]}") from None
