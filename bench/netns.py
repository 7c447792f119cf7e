"""Hosts of their own on this machine: network namespaces, and a router between them and us that can lose packets.

        this namespace                 router                      hosts
    database .1, provider .2  ---  .3 | .9, .17  ---  .10 (host 1), .18 (host 2)

Addresses are of 198.18.0.0/15, which is set aside for such things. What is cut off is swallowed on the router:
neither end hears of it, as when a cable is cut two switches away.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

_RANGE = IPv4Network("198.18.0.0/15")
_BLOCK = 32  # addresses of one run: 8 for us, 8 for each of up to three hosts
_NAME = re.compile(r"sc(\d+)(?:r|h\d)\b")


class NotPermitted(Exception):
    """This user or this kernel makes no network namespaces; the message is a sentence that says why."""


class HostNetwork:
    """As a context manager: ``hosts`` namespaces, numbered from 1; they and what runs in them end with it."""

    def __init__(self, hosts: int) -> None:
        self._prefix = f"sc{os.getpid()}"
        self._router = f"{self._prefix}r"
        self._numbers = range(1, hosts + 1)
        first = _RANGE[(os.getpid() * _BLOCK) % _RANGE.num_addresses]
        self.network = IPv4Network(f"{first}/27")
        self.database, self.provider = str(first + 1), str(first + 2)

    def __enter__(self) -> "HostNetwork":
        if os.geteuid() != 0:
            raise NotPermitted("Network namespaces need root, and this is another user.")
        if not shutil.which("ip"):
            raise NotPermitted("Network namespaces need the command ip, of Debian's package iproute2.")
        _remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._remove()

    def prefix(self, host: int) -> list[str]:
        """The command that runs another one on that host."""
        return ["ip", "netns", "exec", self._name(host)]

    def address(self, host: int) -> str:
        return str(self._first(host) + 2)

    def cut(self, host: int, other: str) -> None:
        """From now on nothing that host and address send each other arrives."""
        self._change_rules("add", host, other)

    def mend(self, host: int, other: str) -> None:
        self._change_rules("del", host, other)

    def _build(self) -> None:
        self._make_namespace(self._router)
        self._connect(self._prefix, self.network[0])
        _ip("addr", "add", f"{self.provider}/29", "dev", self._prefix)
        _ip("route", "add", str(self.network), "via", str(self.network[3]))
        for number in self._numbers:
            name = self._name(number)
            self._make_namespace(name)
            self._connect(name, self._first(number))
        forwarding = Path("/proc/sys/net/ipv4/ip_forward")
        _run(["ip", "netns", "exec", self._router, "sh", "-c", f"echo 1 > {forwarding}"])

    def _connect(self, name: str, first: IPv4Address) -> None:
        """A cable between the router and this namespace, or the host of that name."""
        far = f"{name}w"
        _ip("link", "add", name, "type", "veth", "peer", "name", far, "netns", self._router)
        is_host = name != self._prefix
        near, router = (first + 2, first + 1) if is_host else (first + 1, first + 3)
        inside = ["-n", name] if is_host else []
        if is_host:
            _ip("link", "set", name, "netns", name)
        _ip(*inside, "addr", "add", f"{near}/29", "dev", name)
        _ip(*inside, "link", "set", name, "up")
        _ip("-n", self._router, "addr", "add", f"{router}/29", "dev", far)
        _ip("-n", self._router, "link", "set", far, "up")
        if is_host:
            _ip(*inside, "route", "add", "default", "via", str(router))

    def _make_namespace(self, name: str) -> None:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")

    def _change_rules(self, action: str, host: int, other: str) -> None:
        address = self.address(host)
        for source, target in ((address, other), (other, address)):
            _ip("-n", self._router, "rule", action, "from", source, "to", target, "blackhole")

    def _remove(self) -> None:
        for name in (*map(self._name, self._numbers), self._router):
            _remove_namespace(name)
        _remove_link(self._prefix)

    def _name(self, host: int) -> str:
        return f"{self._prefix}h{host}"

    def _first(self, host: int) -> IPv4Address:
        return self.network[8 * host]


def _remove_leftovers() -> None:
    """What a run left that was killed with no chance to clear up."""
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        match = _NAME.match(line)
        if match and not Path(f"/proc/{match[1]}").exists():
            _remove_namespace(line.split()[0])
            _remove_link(f"sc{match[1]}")


def _remove_namespace(name: str) -> None:
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
    for pid in pids.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


def _remove_link(name: str) -> None:
    """The kernel removes it with the router's namespace, but in its own time."""
    subprocess.run(["ip", "link", "del", name], capture_output=True)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
        raise NotPermitted(f"The kernel makes no network of hosts: {' '.join(command)}: {reason[0]}.")
