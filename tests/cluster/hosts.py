"""Hosts on this machine: a client's place, and around it hosts that share no more with it than a wire and one folder.

Each is a process with namespaces of its own for the network, mounts, processes and names, so that it has a host name,
addresses, a home, a /tmp and a /dev/shm of its own, and sees no processes but its own. They hang on one another: hosts
live in the client's process namespace, and that ends with this process, however it ends; the kernel then takes down
whatever is left of them. Nothing of it has a name on the machine outside.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.faults.processes import parent, processes, until

ROOT = Path(__file__).parents[2]
CLIENT = "10.77.0.1"
HOME = "/mnt/home"
SHARED = "/mnt/shared"
COMMANDS = ("ip", "unshare", "nsenter", "setpriv", "mount", "ssh", "sshd", "ssh-keygen", "rsync", "nc", "tmux")

# The first process of a place, with its name, its folder, and what it then becomes. Of what lies under the folders that
# it covers, it keeps the paths in $KEPT in sight.
_FIRST = """
set -eu
hostname "$1"
cd "$2"
for path in $KEPT; do
    case $path in /tmp/*|/mnt/*|/run/*) mkdir -p ".$path"; mount --bind "$path" ".$path";; esac
done
for file in passwd shadow hosts resolv.conf; do
    mount --bind "$file" "/etc/$file"
done
mount --bind "$SHARED" mnt/shared
mount -t tmpfs tmpfs /dev/shm
mount --bind run /run
mount --rbind mnt /mnt
mount --rbind tmp /tmp
cd /
shift 2
exec "$@"
"""
_OPTIONS = {
    "AuthorizedKeysFile": ".ssh/id_ed25519.pub",
    "HostKey": "/run/host_key",
    "PidFile": "none",
    "PermitRootLogin": "prohibit-password",
    "StrictModes": "no",
    "UsePAM": "no",
}
_ENVIRONMENT = {
    "HOME": HOME,
    "USER": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONUNBUFFERED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Place:
    """Where processes run: a host, or the client's."""

    name: str
    address: str
    process: int
    """the first of its processes, as it is known outside"""

    def entering(self, *kinds: str) -> list[str]:
        """The beginning of a command in its namespaces, in all of them if none is named."""
        kinds = kinds or ("net", "mount", "pid", "uts", "ipc")
        return ["nsenter", f"--target={self.process}", *(f"--{kind}" for kind in kinds)]

    def titles(self) -> dict[int, str]:
        """What runs there, by the numbers that processes have outside."""
        return {pid: text for pid, text in processes("cmdline") if text and namespace(pid) == namespace(self.process)}


class Hosts:
    """A client's place and hosts, by name; `folder` keeps what they write in their homes and /tmp."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self.namespaces: set[str] = set()
        """of the processes of all places that there were"""
        self.addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, 2)}
        self.hosts: dict[str, Place] = {}

    def __enter__(self) -> Self:
        """Start them all."""
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """End them all: the first of them is the client's, and the others go with it."""
        for started in self._started:
            started.kill()
        for started in self._started:
            started.wait()
        until(lambda: not self.left())

    def _start(self) -> None:
        self.shared.mkdir(parents=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hosts", "-f", str(self.folder / "key"))
        self.client = self._place("client", CLIENT, ["sleep", "infinity"], within=())
        self._on_wire(self.client, "ip link add wire type bridge", f"ip address add {CLIENT}/24 dev wire")
        self._on_wire(self.client, "ip link set lo up", "ip link set wire up")
        for name in self.addresses:
            self.power_on(name)

    def home(self, name: str) -> Path:
        """A home, as it is seen outside."""
        return self.folder / name / HOME.strip("/")

    @property
    def shared(self) -> Path:
        """The folder that all share, as it is seen outside."""
        return self.folder / "shared"

    def power_on(self, name: str) -> None:
        """Start a host, with the files it had."""
        options = [word for each in _OPTIONS.items() for word in ("-o", "=".join(each))]
        sshd = [shutil.which("sshd"), "-D", "-f", "/dev/null", "-E", "/run/sshd.log", *options]
        log = self.folder / name / "run/sshd.log"
        log.unlink(missing_ok=True)
        host = self._place(name, self.addresses[name], sshd, within=self.client.entering("pid"))
        self.hosts[name] = host
        self._on_wire(
            self.client,
            f"ip link add {name} type veth peer name eth0 netns {host.process}",
            f"ip link set {name} master wire up",
        )
        self._on_wire(
            host,
            "ip link set lo up",
            f"ip address add {host.address}/24 dev eth0",
            "ip link set eth0 up",
            # Not led anywhere: but without one, Ray takes 127.0.0.1 for its address.
            f"ip route add default via {CLIENT}",
        )
        until(lambda: log.exists() and "listening" in log.read_text())

    def power_off(self, name: str) -> None:
        """End a host as a pulled plug does: nobody is told."""
        self._on_wire(self.client, f"ip link delete {name}")
        host = self.hosts.pop(name)
        os.kill(host.process, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{host.process}").exists())

    def command(self, typed: str) -> list[str]:
        """The words that run a command line as it is typed at the client's, in the folder of the project."""
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = [f"{name}={value}" for name, value in (_ENVIRONMENT | {"PATH": path}).items()]
        return [*self.client.entering(), "env", "-i", f"--chdir={ROOT}", *variables, "bash", "-c", typed]

    def left(self) -> list[str]:
        """What there still is of them: processes, mounts and interfaces; nothing, once they are closed."""
        mine = [f"process {text}" for pid, text in processes("cmdline") if namespace(pid) in self.namespaces]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        mine += [f"mount {line}" for line in mounts if str(self.folder) in line]
        interfaces = {*self.addresses, "wire"} & set(os.listdir("/sys/class/net"))
        return mine + [f"interface {name}" for name in interfaces]

    def _place(self, name: str, address: str, first: list[str], within: Sequence[str]) -> Place:
        self._furnish(self.folder / name)
        kept = (ROOT, sys.prefix, sys.base_prefix, Path(sys.executable).resolve().parent.parent)
        environment = os.environ | {"KEPT": " ".join(map(str, kept)), "SHARED": str(self.shared)}
        unshare = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child"]
        words = [*unshare, "sh", "-c", _FIRST, "first", name, str(self.folder / name), *first]
        words = ["setpriv", "--pdeathsig=KILL", *within, *words]
        started = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        self._started.append(started)
        until(lambda: _comm(_first_of(started.pid)) == Path(first[0]).name or started.poll() is not None)
        place = Place(name, address, _first_of(started.pid))
        if not place.process:
            raise OSError(f"The host {name} could not be made: that takes root, and a kernel that has namespaces.")
        self.namespaces.add(namespace(place.process))
        return place

    def _furnish(self, folder: Path) -> None:
        """The files of a place that has none yet: those of a user, of the system, and where programs put theirs."""
        if folder.exists():
            return
        home = folder / HOME.strip("/")
        shutil.copytree("/etc/skel", home)
        for each in (home / ".ssh", folder / "tmp", folder / "mnt/shared", folder / "run/sshd"):
            each.mkdir(parents=True)
        for name in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(self.folder / f"key{Path(name).suffix}", home / ".ssh" / name)
        shutil.copy(self.folder / "key", folder / "run/host_key")
        users = {"root": f"0:0::{HOME}:/bin/bash", "sshd": "100:65534::/run/sshd:/usr/sbin/nologin"}
        (folder / "passwd").write_text("".join(f"{user}:x:{rest}\n" for user, rest in users.items()))
        (folder / "shadow").write_text("root:*:19000:0:99999:7:::\n")
        known = {"localhost": "127.0.0.1", **self.addresses}
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in known.items()))
        # Nobody answers for names, and nobody is waited for.
        (folder / "resolv.conf").touch()

    @staticmethod
    def _on_wire(place: Place, *lines: str) -> None:
        for line in lines:
            _run(*place.entering("net"), *shlex.split(line))


def _first_of(process: int) -> int:
    """The first process of the namespace that a command made, 0 while there is none."""
    while process and _numbers(process)[-1:] != ["1"]:
        process = next((pid for pid, _ in processes("comm") if parent(pid) == process), 0)
    return process


def _numbers(process: int) -> list[str]:
    """Those that a process has in the namespaces around it, from the outermost to its own."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return []
    return next(line.split()[1:] for line in lines if line.startswith("NSpid:"))


def _comm(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def namespace(process: int) -> str:
    """That of the processes that a process can see, which tells places apart; empty if it has ended."""
    try:
        return os.readlink(f"/proc/{process}/ns/pid")
    except OSError:
        return ""


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
