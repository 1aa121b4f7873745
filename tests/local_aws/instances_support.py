"""A server whose instances are quick to stop, and what tests of instances need of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_aws_support import Server, running, wait_until

STOP_TIMEOUT_S = 3.0  # a few calls are made meanwhile
AMI_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


class Cloud:
    """The clients of one server, and its instances."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ec2 = server.client("ec2")
        self.s3 = server.client("s3")
        self.stacks = server.client("cloudformation")
        parameter = server.client("ssm").get_parameter(Name=AMI_PARAMETER)
        self.image = str(parameter["Parameter"]["Value"])

    def launch(self, script: str | None, **changes: Any) -> str:
        """Launch an instance that runs a script of the shell."""
        request = {
            "ImageId": self.image,
            "InstanceType": "t3.large",
            "MinCount": 1,
            "MaxCount": 1,
            "InstanceInitiatedShutdownBehavior": "terminate",
        } | changes
        if script is not None:
            request["UserData"] = f"#!/bin/sh\n{script}\n"
        made = self.ec2.run_instances(**request)["Instances"][0]
        assert made["State"] == {"Code": 0, "Name": "pending"}
        return str(made["InstanceId"])

    def describe(self, instance: str) -> Any:
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def state(self, instance: str) -> str:
        return str(self.describe(instance)["State"]["Name"])

    def reaches(self, instance: str, state: str) -> Any:
        wait_until(lambda: self.state(instance) == state)
        return self.describe(instance)

    def console(self, instance: str) -> str:
        return str(self.ec2.get_console_output(InstanceId=instance)["Output"])

    def says(self, instance: str, text: str) -> str:
        wait_until(lambda: text in self.console(instance))
        return self.console(instance)

    def run(self, script: str) -> str:
        """Run a script in an instance to its end, and give what it said."""
        instance = self.launch(f"{script}\necho it is done\nshutdown -h now")
        self.reaches(instance, "terminated")
        return self.console(instance)


@contextmanager
def cloud(state_dir: Path, **environment: str) -> Iterator[Cloud]:
    """Run a server with some environment variables of its own."""
    wanted = {"LOCAL_AWS_INSTANCE_STOP_TIMEOUT_S": str(STOP_TIMEOUT_S)} | environment
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with running(state_dir) as server:
            yield Cloud(server)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def processes_with(mark: str) -> list[str]:
    """Find the processes of this machine that have a text in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in command and int(pid) != os.getpid():
            found.append(pid)
    return found
