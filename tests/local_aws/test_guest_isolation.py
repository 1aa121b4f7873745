from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances_support import Cloud, cloud, processes_with
from local_aws_support import PROJECT

PROBE = PROJECT / "tests/local_aws/test_guest_isolation.py"

# Runs a script in an instance of this process's own, without a server: as whoever runs it.
ALONE = """
import sys, threading
from pathlib import Path
from local_aws.ec2 import machine
from local_aws.ec2.console import Console
from local_aws.reaper import Reaper

state = Path(sys.argv[1])
(state / "work").mkdir()
machine.check(state)
console, reaper = Console(), Reaper()
script = machine.Script(sys.argv[2], "alone", {})
one = machine.Machine(script, state, reaper, console, lambda: None, lambda was_up: None)
assert one.ended.wait(30)
reaper.close()
print(console.read().decode())
"""
REMOUNT = """
for place in / /usr /etc /proc/sys {project}; do
    for how in remount,rw remount,bind,rw; do
        mount -o "$how" "$place" 2>/dev/null && touch "$place/soiled" 2>/dev/null \
            && [ "$place" != / ] && echo "ouch: $how $place"
    done
    umount -l "$place" 2>/dev/null && echo "ouch: umount $place"
done
for place in /usr /etc {project} {python}; do
    touch "$place/soiled" 2>/dev/null && echo "ouch: written to $place"
done
mount -t proc proc /mnt 2>/dev/null && echo "ouch: another proc"
unshare -Urm mount -o remount,bind,rw {project} 2>/dev/null && echo "ouch: nested"
unshare -Urmpf mount -t proc proc /mnt 2>/dev/null && echo "ouch: nested proc"
(echo 60 >/proc/sys/kernel/panic) 2>/dev/null && echo "ouch: the kernel's settings"
(echo h >/proc/sysrq-trigger) 2>/dev/null && echo "ouch: the kernel's keys"
ls /dev | grep -E '^(sd|vd|nvme|mem|kmsg|kvm)' && echo "ouch: devices"
"""


@pytest.fixture(scope="module")
def cloud_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("isolation") / "state") as made:
        yield made


def attempts() -> str:
    return REMOUNT.format(project=PROJECT, python=sys.base_prefix)


def test_nothing_of_the_machine_can_be_written_or_switched(cloud_):
    said = cloud_.run(attempts())
    assert "ouch" not in said
    assert "it is done" in said
    assert not any(
        Path(place, "soiled").exists() for place in ("/", "/usr", "/etc", PROJECT, sys.base_prefix)
    )


def test_an_instance_has_places_of_its_own_to_write_to(cloud_):
    places = "/ /tmp /var/tmp /root /home /opt /run /var/log /mnt /srv /dev/shm"
    said = cloud_.run(
        f'for place in {places}; do echo mine >"$place/a-file-of-an-instance" || echo "not $place"; done'
    )
    assert "not " not in said
    assert not any(Path(place, "a-file-of-an-instance").exists() for place in places.split())


def test_neither_processes_nor_sockets_nor_files_of_the_machine_are_seen(cloud_, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    short = Path(tempfile.mkdtemp(prefix="s-"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / "socket"))
        said = cloud_.run(
            f"ps ax | wc -l; cat {secret}; ls -a {short} /run /home {PROJECT}/var {cloud_.server.state_dir}; "
            f"kill -0 {os.getpid()} && echo ouch; hostname; cat /proc/1/comm; ls /proc | grep -c '^[0-9]'"
        )
    shutil.rmtree(short)
    assert "a secret" not in said
    assert "ouch" not in said
    assert "socket" not in said.replace(str(short / "socket"), "")
    assert "moto.pickle" not in said
    assert int(said.splitlines()[1]) < 12


def test_the_project_and_its_python_can_be_read(cloud_):
    said = cloud_.run(f"head -c 9 {PROBE}; echo; python3 -c 'import numpy, sys; print(sys.executable)'")
    assert "from __fu" in said
    assert str(Path(sys.executable).parent) in said


def test_background_processes_that_leave_their_session_end_with_the_instance(cloud_):
    cloud_.run("setsid nohup sleep 9654321 >/dev/null 2>&1 & (setsid sleep 9654321 &) & sleep 0.2")
    assert not processes_with("sleep 9654321")


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_can_run_instances_too():
    state = Path(tempfile.mkdtemp(prefix="ordinary-"))
    os.chown(state, 65534, 65534)
    script = f"#!/bin/sh\nid -u\n{attempts()}\npython3 -c 'print(\"python\", 6 * 7)'\npoweroff\n"
    # Where this Python lies in a folder that nobody else may enter, it is shown under a fresh one.
    show = (
        'python=$1 around=$2 held=$3; shift 3; if [ -n "$around" ]; then mount --rbind "$python" "$held" &&'
        ' mount -t tmpfs -o mode=755 tmpfs "$around" && mkdir -p "$python" &&'
        ' mount --rbind "$held" "$python"; fi && exec setpriv --reuid=65534 --regid=65534 --clear-groups'
        ' --inh-caps=-all "$@"'
    )
    held = Path(tempfile.mkdtemp(prefix="python-"))
    shut = [str(one) for one in Path(sys.base_prefix).parents if not one.stat().st_mode & 0o001]
    command = ["unshare", "-m", "sh", "-c", show, "sh", sys.base_prefix, shut[-1] if shut else "", str(held)]
    done = subprocess.run(
        [*command, sys.executable, "-c", ALONE, str(state), script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shutil.rmtree(state)
    held.rmdir()
    assert done.returncode == 0, done.stderr
    assert "\n0\n" in done.stdout
    assert "python 42" in done.stdout
    assert "ouch" not in done.stdout
    assert "power down" in done.stdout
