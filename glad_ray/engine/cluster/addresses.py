"""Which Ray cluster a command means, and what its address may look like. Nothing here loads Ray before it is needed."""

import os
import socket
from typing import NamedTuple

from glad_ray.errors import UserError

_ANSWER_SECONDS = 5.0
_VARIABLE = "RAY_ADDRESS"
_FORMS = "use auto, local or HOST:PORT, with the port of the head (6379 unless ray start was given another)"


class Address(NamedTuple):
    """The cluster that a command means."""

    given: str
    """as the user wrote it or Ray keeps it; `local`: a new cluster on this machine"""
    named: str
    """what named it, for messages: the option, the variable, or `ray start`"""

    @property
    def local(self) -> bool:
        """Whether a new cluster is to be started on this machine."""
        return self.given == "local"


def check_address(address: str, named: str = "--address") -> None:
    """Raise `UserError` unless the text is `auto`, `local` or HOST:PORT; nothing is asked of any machine."""
    if address in ("auto", "local"):
        return
    said = f"{named} {address!r} is no address of a Ray cluster"
    if not address.strip():
        raise UserError(f"{named} is empty: {_FORMS}, or leave it out.")
    scheme, marks, _ = address.rpartition("://")
    if marks and scheme == "ray":
        raise UserError(f"{said}'s head but a Ray client's: run the command on the cluster, by ray submit or ray job.")
    if marks and scheme in ("http", "https"):
        raise UserError(f"{said}'s head but of its dashboard, which ray job alone uses: {_FORMS}.")
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host) or not bare or set(bare) & set("/[]@ \t\n") or not port.isdecimal():
        raise UserError(f"{said}: {_FORMS}.")
    if not port.isascii() or not 1 <= int(port) <= 65535:
        raise UserError(f"{said}: a port is a number from 1 to 65535.")


def find_address(address: str | None) -> Address:
    """The cluster at `address`; None: the one that RAY_ADDRESS names, or `ray start` started on this machine, or else a
    new one.

    Raises `UserError` for what is no address, and for `auto` where there is no cluster to be found.
    """
    from ray._private.services import canonicalize_bootstrap_address
    from ray._private.utils import read_ray_address

    variable = os.environ.get(_VARIABLE)
    if address is not None:
        named = Address(address, "--address")
    elif variable:
        named = Address(variable, _VARIABLE)
    else:
        named = Address(read_ray_address() or "local", "ray start")
    check_address(*named)
    if named.given != "auto":
        return named
    if variable:
        check_address(variable, _VARIABLE)
    try:
        return Address(canonicalize_bootstrap_address("auto") or "local", named.named)
    except ConnectionError as error:
        raise _no_cluster("on this machine", str(error)) from error


def check_answer(address: str) -> None:
    """Raise `UserError` where nothing listens at HOST:PORT, which Ray itself would try for more than a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise _no_cluster(f"at {address}", str(error)) from error


def check_machine(address: str) -> None:
    """Raise `UserError` unless this machine is one of a cluster's, as a driver needs; Ray would look for a minute."""
    from ray._private.services import find_node_ids

    if not find_node_ids():
        raise UserError(
            f"This machine is none of the Ray cluster's at {address}: run the command on one that is, by ray submit, "
            f"ray job or ray exec, or let this one join by ray start --address={address}."
        )


def _no_cluster(where: str, reason: str) -> UserError:
    return UserError(
        f"There is no Ray cluster {where}: start one with ray start or ray up, name another by --address HOST:PORT, or "
        f"run on this machine alone by --address local ({reason.rstrip('.')})."
    )
