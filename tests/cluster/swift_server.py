"""One server of Swift, its rings, and whether it answers: run by the system's Python, for which Debian has Swift.

    python3 -P swift_server.py rings FOLDER ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT
    python3 -P swift_server.py serve FOLDER proxy-server
    python3 -P swift_server.py answers PORT...

Without -P, the module beside this one would be taken for the package.
"""

import contextlib
import socket
import sys
import time
from pathlib import Path

from swift.common.ring import RingBuilder
from swift.common.swob import HTTPServiceUnavailable
from swift.common.utils import set_swift_dir
from swift.common.wsgi import run_wsgi

_RINGS = ("account", "container", "object")
_START_SECONDS = 60
_READS = ("GET", "HEAD", "OPTIONS")


def make_rings(folder, *ports):
    """One device each, and one replica."""
    for name, port in zip(_RINGS, ports, strict=True):
        builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
        device = {"ip": "127.0.0.1", "port": int(port), "device": "disk", "region": 1, "zone": 1, "weight": 1}
        builder.add_dev(device)
        builder.rebalance()
        builder.get_ring().save(f"{folder}/{name}.ring.gz")


def refusing(_common, **settings):
    """A filter that answers what writes with 503 for as long as there is a file `refused`."""
    refused = Path(settings["folder"]) / "refused"

    def around(application):
        def call(environ, start_response):
            if environ["REQUEST_METHOD"] not in _READS and refused.exists():
                return HTTPServiceUnavailable()(environ, start_response)
            return application(environ, start_response)

        return call

    return around


def serve(folder, name):
    """Answer until it is told to end."""
    set_swift_dir(folder)
    return run_wsgi(f"{folder}/{name}.conf", name, verbose=True)


def answers(*ports):
    """Wait until there is somebody at every port."""
    for port in ports:
        end = time.monotonic() + _START_SECONDS
        while not _taken(int(port)):
            if time.monotonic() > end:
                return f"nobody at port {port}"
            time.sleep(0.1)
    return 0


def _taken(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


if __name__ == "__main__":
    sys.exit({"rings": make_rings, "serve": serve, "answers": answers}[sys.argv[1]](*sys.argv[2:]))
