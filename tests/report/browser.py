"""A headless Chromium that tests drive over a pipe (the DevTools protocol), so that no port is opened."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE_SECONDS = 120.0


def find_browser():
    """The path of a browser; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. Every request that a page makes beyond its own file is kept in `requests`."""

    def __init__(self, process, reading, writing):
        self._process, self._reading, self._writing = process, reading, writing
        self._numbers, self._buffer, self._session = itertools.count(1), b"", None
        self.requests, self.errors = [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """Ask for something, and return the answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda received: received.get("id") == number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def open(self, url):
        """Load a page, and wait until it is whole."""
        self.send("Page.navigate", url=url)
        self._until(lambda received: received.get("method") == "Page.loadEventFired")

    def run(self, script):
        """The value of an expression in the page, promises awaited."""
        made = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in made, made["exceptionDetails"]
        return made["result"].get("value")

    def key(self, name, code):
        """Press and let go of a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def media(self, **features):
        """What the page is told of its reader: media="print", or features such as prefers_color_scheme="dark"."""
        medium = features.pop("media", "")
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media=medium, features=told)

    def screenshot(self, path, width=1280, height=1600):
        """Write what the tab shows as a PNG."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        data = self.send("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def _until(self, wanted):
        ends = time.monotonic() + _PATIENCE_SECONDS
        while True:
            while b"\0" in self._buffer:
                message, _, self._buffer = self._buffer.partition(b"\0")
                received = json.loads(message)
                self._note(received)
                if wanted(received):
                    return received
            ready, _, _ = select.select([self._reading], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self._reading, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError("the browser is gone, or says nothing")
            self._buffer += data

    def _note(self, received):
        method, told = received.get("method"), received.get("params", {})
        if method == "Network.requestWillBeSent" and not told["request"]["url"].startswith("data:"):
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"])
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])


@contextlib.contextmanager
def browser(path):
    """Start a browser, and end it."""
    to_it, writing = os.pipe()
    reading, from_it = os.pipe()
    # The browser reads from file 3 and writes to file 4.
    words = [
        path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        start = f'exec "$@" 3<&{to_it} 4>&{from_it}'
        process = subprocess.Popen(
            ["bash", "-c", start, "browser", *words, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        try:
            yield Browser(process, reading, writing)
        finally:
            os.close(writing)
            os.close(reading)
            process.terminate()
            process.wait(30)
