"""A headless Chromium that is told what to do over two pipes, by its DevTools protocol; no driver is needed."""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_SECONDS = 60.0


def find_browser():
    """Where it is; None: this machine has none."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Page:
    """The one page of a browser, with what its console said and what it asked for."""

    def __init__(self, process, to_browser, from_browser):
        self.process, self._to, self._from = process, to_browser, from_browser
        self._sent, self._answers, self._session = 0, {}, None
        self._told = threading.Condition()
        self.events = defaultdict(list)
        threading.Thread(target=self._read, daemon=True).start()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")

    @property
    def errors(self):
        """What the console told of errors, and exceptions that nothing caught."""
        said = [event["exceptionDetails"]["text"] for event in self.events["Runtime.exceptionThrown"]]
        said += [
            str(event) for event in self.events["Runtime.consoleAPICalled"] if event["type"] in ("error", "assert")
        ]
        entries = [event["entry"] for event in self.events["Log.entryAdded"]]
        return said + [f"{each['text']} {each.get('url')}" for each in entries if each["level"] == "error"]

    @property
    def asked_for(self):
        """Addresses of all requests; what stands in the page itself is none."""
        addresses = [event["request"]["url"] for event in self.events["Network.requestWillBeSent"]]
        return [each for each in addresses if not each.startswith("data:")]

    def go(self, url):
        """Open an address and wait until it is shown."""
        loaded = len(self.events["Page.loadEventFired"])
        self._ask("Page.navigate", url=url)
        self.until(lambda: len(self.events["Page.loadEventFired"]) > loaded)

    def text(self):
        """What the page says."""
        return self.run("document.body.innerText")

    def run(self, script):
        """The value of an expression on the page."""
        answer = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def colours(self, scheme):
        """Prefer light or dark."""
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def medium(self, name):
        """Be shown on `print`, or on the screen: an empty name."""
        self._ask("Emulation.setEmulatedMedia", media=name)

    def scripts(self, allowed):
        """Whether pages that are opened next may run scripts."""
        self._ask("Emulation.setScriptExecutionDisabled", value=not allowed)

    def picture(self, path, width=1280, height=None):
        """The page as a PNG, all of it unless a height is given."""
        sized = {"width": width, "height": height or 900, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **sized)
        time.sleep(0.5)
        data = self._ask("Page.captureScreenshot", captureBeyondViewport=height is None)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def press(self, key, number=0):
        """A key; those that move something are known by a number."""
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number)

    def until(self, there, seconds=_PATIENCE_SECONDS):
        """Wait for something."""
        end = time.monotonic() + seconds
        while not (found := there()):
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.05)
        return found

    def _ask(self, method, **parameters):
        with self._told:
            self._sent += 1
            number = self._sent
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        with self._told:
            assert self._told.wait_for(lambda: number in self._answers, _PATIENCE_SECONDS), method
            answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _read(self):
        buffer = b""
        while piece := os.read(self._from, 2**16):
            *messages, buffer = (buffer + piece).split(b"\0")
            for message in map(json.loads, messages):
                with self._told:
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events[message["method"]].append(message["params"])
                    self._told.notify_all()


@contextlib.contextmanager
def browser(path):
    """A page of a browser of its own."""
    reads_commands, to_browser = os.pipe()
    from_browser, writes_answers = os.pipe()
    # It reads commands from descriptor 3 and writes to 4, which the pipes must not have themselves.
    ends = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (reads_commands, writes_answers)]

    def place():
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        )  # fmt: skip
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(
            [path, *options],
            preexec_fn=place,
            close_fds=False,
            start_new_session=True,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
        )
        for end in (reads_commands, writes_answers, *ends):
            os.close(end)
        try:
            yield Page(process, to_browser, from_browser)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(to_browser)
