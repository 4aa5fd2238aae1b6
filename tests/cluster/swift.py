"""An object store with the interface of S3: OpenStack Swift as Debian has it (python3-swift, memcached), on loopback
alone.

A proxy with its cache, and one server each for accounts, containers and objects, started here and ended by number.
"""

import contextlib
import getpass
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

SYSTEM_PYTHON = "/usr/bin/python3"
REGION = "us-east-1"

_SERVER = Path(__file__).with_name("swift_server.py")
_STORAGE_SERVERS = ("account", "container", "object")
_END_SECONDS = 10

_SWIFT = """[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = one
default = yes
"""
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}
mount_check = false
disable_fallocate = true
log_level = WARNING
log_address = {folder}/no-syslog
"""
_STORAGE = """[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper refusing cache listing_formats s3api tempauth bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:refusing]
paste.filter_factory = __main__:refusing
folder = {folder}
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache_port}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = {region}
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {secret} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Swift:
    """A running store, known to clients by its endpoint (host:port), access key and secret."""

    access_key = "glad:ray"

    def __init__(self, folder, endpoint, secret, inside):
        self.folder, self.endpoint, self.secret, self.inside = folder, endpoint, secret, inside

    @property
    def environment(self):
        """Where it is and the credentials, as clients take them: then s3://bucket/path is enough."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.endpoint}",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def uri(self, path):
        """A place in a bucket for clients that know the credentials alone."""
        return f"s3://{path}?" + urlencode({"scheme": "http", "endpoint_override": self.endpoint, "region": REGION})

    def make_bucket(self, name):
        """Make one, for nobody else does."""
        code = "import sys; from pyarrow import fs; fs.FileSystem.from_uri(sys.argv[1])[0].create_dir(sys.argv[2])"
        command = [*self.inside, sys.executable, "-c", code, f"{self.uri(name)}&allow_bucket_creation=true", name]
        subprocess.run(command, env=os.environ | self.environment, check=True)

    def refuse(self):
        """Answer every write with 503 from now on, as a store does that is overloaded."""
        (self.folder / "refused").touch()

    def resume(self):
        """Take writes again."""
        (self.folder / "refused").unlink(missing_ok=True)


@contextlib.contextmanager
def swift(folder, *, inside=(), secret="a-secret-that-nobody-else-has"):
    """A store whose servers run for as long as the context; all they write lies in `folder`.

    `inside`: words before every command, such as those that enter a network namespace.
    """
    folder = Path(folder)
    (folder / "disk").mkdir(parents=True)
    python = (*inside, SYSTEM_PYTHON, "-P", str(_SERVER))
    ports = dict(zip((*_STORAGE_SERVERS, "cache", "proxy"), _free_ports(5), strict=True))
    _configure(folder, ports, secret)
    _run([*python, "rings", str(folder), *(str(ports[name]) for name in _STORAGE_SERVERS)])
    with contextlib.ExitStack() as stack:
        cache = [
            *inside,
            "memcached",
            "-l",
            "127.0.0.1",
            "-p",
            str(ports["cache"]),
            "-m",
            "64",
            "-u",
            getpass.getuser(),
        ]
        stack.enter_context(_server(cache, folder / "cache.log"))
        for name in (*_STORAGE_SERVERS, "proxy"):
            command = [*python, "serve", str(folder), f"{name}-server"]
            stack.enter_context(_server(command, folder / f"{name}.log"))
        _run([*python, "answers", *map(str, ports.values())], folder / "proxy.log")
        yield Swift(folder, f"127.0.0.1:{ports['proxy']}", secret, inside)


def _run(command, log=None):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stderr + (log.read_text() if log else "")
    assert done.returncode == 0, f"Swift does not start (apt-get install python3-swift memcached): {told}"


def _configure(folder, ports, secret):
    account, name = Swift.access_key.split(":")
    proxy = _PROXY.format(
        folder=folder, cache_port=ports["cache"], region=REGION, account=account, name=name, secret=secret
    )
    (folder / "swift.conf").write_text(_SWIFT)
    for server in (*_STORAGE_SERVERS, "proxy"):
        common = _COMMON.format(port=ports[server], user=getpass.getuser(), folder=folder)
        own = proxy if server == "proxy" else _STORAGE.format(name=server)
        (folder / f"{server}-server.conf").write_text(common + own)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _server(command, log):
    with log.open("w") as output:
        words = ["setpriv", "--pdeathsig=KILL", *command]
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
