"""A server that listens until it is interrupted."""

import contextlib
import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import uvicorn

from glad_ray.errors import UserError
from glad_ray.serve.access import TOKEN, Access, check_token, hosts_of
from glad_ray.serve.app import make_app
from glad_ray.serve.watch import Watch
from glad_ray.storage import Storage

_AT_ONCE = 100
_GRACE_SECONDS = 2


class Ready(NamedTuple):
    """A server that is about to answer."""

    server: uvicorn.Server
    listening: socket.socket
    address: str
    """what to open in a browser"""

    def run(self) -> None:
        """Answer until this process is interrupted, or the server is told to end."""
        self.server.run(sockets=[self.listening])


@contextlib.contextmanager
def ready(
    storages: Sequence[Storage],
    *,
    host: str,
    port: int,
    token: str | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Ready]:
    """A server of a page on some storages, which have been read once and are read on until the end.

    `port` 0: any that is free. `tell` is told what is waited for. Raises `UserError` if a storage has no sweep or
    search, or the address cannot be listened at.
    """
    with contextlib.closing(listen(host, port)) as listening, contextlib.ExitStack() as stack:
        access = make_access(listening, host, token)
        watches = [Watch(storage) for storage in storages]
        for watch in watches:
            watch.start(tell)
            stack.callback(watch.end)
        config = uvicorn.Config(
            make_app(watches, access),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http="h11",
            loop="asyncio",
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        yield Ready(uvicorn.Server(config), listening, address_of(listening, host, access))


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; raises `UserError` if there cannot be one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"{host} is no address of this machine: name one, or leave --host out.") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise UserError(
            f"Port {port} of {host} cannot be listened at ({error.strerror or error}): name another with --port, or "
            "--port 0 for any that is free."
        ) from error
    return listening


def make_access(listening: socket.socket, host: str, token: str | None) -> Access:
    """Who may ask: anybody on this machine, or with a token, which is made where others can ask and none is given."""
    address, port = listening.getsockname()[:2]
    if token is not None:
        check_token(token)
    local = ipaddress.ip_address(address).is_loopback
    if not local and token is None:
        token = secrets.token_urlsafe(24)
    return Access(token=token, hosts=hosts_of(address, host) if local else None, cookie=f"glad-ray-{port}")


def address_of(listening: socket.socket, host: str, access: Access) -> str:
    """What to open in a browser."""
    address, port = listening.getsockname()[:2]
    name = socket.gethostname() if ipaddress.ip_address(address).is_unspecified else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + ("" if access.token is None else f"?{TOKEN}={access.token}")
