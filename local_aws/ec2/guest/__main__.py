"""Run one of the programs of an instance: this file, the name it was called by, its arguments."""

from __future__ import annotations

import os.path
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__)))))

_POWER = ("shutdown", "poweroff", "halt", "reboot", "init", "telinit")


def _main(called: str, arguments: list[str]) -> int:
    name = os.path.basename(called)
    if name == "boot":
        from local_aws.ec2.guest import boot

        return boot.main()
    if name == "aws":
        from local_aws.ec2.guest import aws

        return aws.main(arguments)
    if name in _POWER:
        from local_aws.ec2.guest import power

        return power.main(name, arguments)
    if name == "systemctl":
        from local_aws.ec2.guest import systemctl

        return systemctl.main(arguments)
    if name == "systemd-run":
        from local_aws.ec2.guest import systemd_run

        return systemd_run.main(arguments)
    print(f"{name}: no program of an instance", file=sys.stderr)
    return 127


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
