"""Commands as a user types them at the client's: streamed while they run, and told."""

import os
import signal
import subprocess
import threading
import time

from tests.cluster.page import plain


class Command:
    """A command that runs, with a terminal to read from."""

    def __init__(self, hosts, typed):
        self.typed, self.lines = typed, []
        print(f"\n$ {typed}", flush=True)
        self._began = time.monotonic()
        terminal, its_end = os.openpty()
        self._process = subprocess.Popen(
            hosts.command(typed),
            stdin=its_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        os.close(its_end)
        self._terminal = terminal
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def running(self):
        return self._process.poll() is None

    @property
    def seconds(self):
        return time.monotonic() - self._began

    def wait(self):
        """Its exit code, once all is read."""
        code = self._process.wait()
        self._reader.join(10)
        os.close(self._terminal)
        self.took = self.seconds
        return code

    def kill(self):
        """With all that it started, as where a laptop is switched off."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def said(self, text):
        """Seconds after which it printed a line with some text, from its beginning; None: it did not."""
        return next((at for at, line in self.lines if text in line), None)

    @property
    def output(self):
        return [line for _, line in self.lines]

    def _read(self):
        for line in self._process.stdout:
            self.lines.append((self.seconds, plain(line)))
            print(f"  {plain(line)}", flush=True)


def run(hosts, told, typed):
    """A command from its beginning to its end, which is that of success; returns it."""
    command = Command(hosts, typed)
    assert command.wait() == 0, command.output[-20:]
    told.ran(typed, command.took, command.output)
    return command
