"""What an instance sees: the machine's programs, read-only, and fresh places to write to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from local_aws.ec2.guest import kernel

STAND_INS = "/opt/local-aws/bin"
PROGRAMS = (
    "aws",
    "halt",
    "init",
    "poweroff",
    "reboot",
    "shutdown",
    "systemctl",
    "systemd-run",
    "telinit",
)
_OF_THE_MACHINE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix")
_FOR_ALL, _PROGRAM = 0o1777, 0o755
_WRITABLE = {
    "/home": 0o755,
    "/media": 0o755,
    "/mnt": 0o755,
    "/opt": 0o755,
    "/root": 0o700,
    "/run": 0o755,
    "/run/lock": _FOR_ALL,
    "/srv": 0o755,
    "/sys": 0o555,
    "/tmp": _FOR_ALL,  # noqa: S108 - the instance's own
    "/var/cache": 0o755,
    "/var/lib/cloud/instance": 0o755,
    "/var/log": 0o755,
    "/var/spool": 0o755,
    "/var/tmp": _FOR_ALL,  # noqa: S108 - the instance's own
}
_PLACES_OF_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LINKS = {"/var/run": "/run", "/var/lock": "/run/lock"}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_KERNEL_SETTINGS = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
_KERNEL_SECRETS = ("kcore", "keys", "kmsg", "timer_list", "sched_debug")


def enter(mount_point: str, shown: Sequence[str], hidden: Sequence[str], links: dict[str, str]) -> None:
    """Build the instance's root on a mount point and go there; nothing else of the machine is seen any more.

    `shown` are folders to be read besides the system's, `hidden` those below them not to be seen after all,
    `links` symbolic links to be there.
    """
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", mount_point, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for path, mode in _WRITABLE.items():
        os.makedirs(mount_point + path)
        os.chmod(mount_point + path, mode)
    for path, target in _LINKS.items():
        os.symlink(target, mount_point + path)
    for path in _OF_THE_MACHINE:
        _show_top(mount_point, path)
    _show_resolver(mount_point)
    for path in shown:
        if not _is_of_the_machine(path):
            _show(mount_point, path)
    for path in hidden:
        if os.path.isdir(mount_point + path):
            _hide(mount_point, path, shown)
    for path, target in links.items():
        _link(mount_point, path, target)
    _make_devices(f"{mount_point}/dev")
    _make_processes(f"{mount_point}/proc")
    kernel.change_root(mount_point)


def put_stand_ins(command: Sequence[str]) -> None:
    """Place our programs first on the path, and over those of the machine that bear their names."""
    os.makedirs(STAND_INS)
    quoted = " ".join("'" + part.replace("'", "'\\''") + "'" for part in command)
    for name in PROGRAMS:
        path = f"{STAND_INS}/{name}"
        with open(path, "w") as file:
            file.write(f'#!/bin/sh\nexec {quoted} "$0" "$@"\n')
        os.chmod(path, _PROGRAM)
        places = {os.path.realpath(f"{folder}/{name}") for folder in _PLACES_OF_PROGRAMS}
        # What is a link to another one, as shutdown to systemctl, is told apart by the name it is called by.
        for place in places:
            if os.path.isfile(place) and os.path.basename(place) in (name, "systemd"):
                kernel.bind(path, place)
                kernel.make_read_only(place)


def _is_of_the_machine(path: str) -> bool:
    return any(os.path.realpath(path).startswith(f"{top}/") for top in _OF_THE_MACHINE)


def _show_top(mount_point: str, path: str) -> None:
    if os.path.islink(path):
        os.symlink(os.readlink(path), mount_point + path)
    elif os.path.isdir(path):
        _show(mount_point, path)


def _show(mount_point: str, path: str) -> None:
    os.makedirs(mount_point + path, exist_ok=True)
    kernel.bind(path, mount_point + path)
    kernel.make_read_only(mount_point + path)


def _hide(mount_point: str, path: str, shown: Iterable[str]) -> None:
    kernel.mount("tmpfs", mount_point + path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for inner in shown:
        if inner.startswith(f"{path}/"):
            _show(mount_point, inner)
    kernel.make_read_only(mount_point + path)


def _link(mount_point: str, path: str, target: str) -> None:
    if not os.path.lexists(mount_point + path):
        os.makedirs(os.path.dirname(mount_point + path), exist_ok=True)
        os.symlink(target, mount_point + path)


def _show_resolver(mount_point: str) -> None:
    """Keep names resolvable where the resolver's settings lie in /run."""
    place = os.path.realpath("/etc/resolv.conf")
    if os.path.isfile(place) and not _is_of_the_machine(place):
        with open(place) as file:
            text = file.read()
        os.makedirs(os.path.dirname(mount_point + place), exist_ok=True)
        with open(mount_point + place, "w") as file:
            file.write(text)


def _make_devices(devices: str) -> None:
    os.makedirs(f"{devices}/shm")
    os.chmod(f"{devices}/shm", _FOR_ALL)
    os.makedirs(f"{devices}/pts")
    for name in _DEVICES:
        if stat.S_ISCHR(os.stat(f"/dev/{name}").st_mode):
            os.close(os.open(f"{devices}/{name}", os.O_CREAT | os.O_WRONLY))
            kernel.bind(f"/dev/{name}", f"{devices}/{name}")
    kernel.mount("devpts", f"{devices}/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{devices}/{name}")


def _make_processes(processes: str) -> None:
    """Show the instance's own processes; the kernel's switches can be read at most, whoever started us."""
    os.makedirs(processes)
    kernel.mount("proc", processes, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    for name in _KERNEL_SETTINGS:
        path = f"{processes}/{name}"
        if os.path.exists(path):
            kernel.bind(path, path)
            kernel.make_read_only(path)
    for name in _KERNEL_SECRETS:
        path = f"{processes}/{name}"
        if os.path.exists(path):
            kernel.bind("/dev/null", path)
