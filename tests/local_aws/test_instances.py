from __future__ import annotations

import base64
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from botocore.exceptions import ClientError
from instances_support import STOP_TIMEOUT_S, Cloud, cloud, processes_with
from local_aws_support import wait_until


@pytest.fixture(scope="module")
def cloud_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("instances") / "state") as made:
        made.s3.create_bucket(Bucket="results")
        yield made


@pytest.fixture(scope="module")
def lasting(cloud_: Cloud) -> str:
    """An instance that only tests of describing use."""
    return cloud_.launch(
        "sleep 600",
        InstanceInitiatedShutdownBehavior="stop",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "colour", "Value": "blue"}]}],
    )


def test_a_script_runs_as_root_and_leaves_an_object_in_s3(cloud_):
    said = cloud_.run('[ "$(id -u)" = 0 ] && echo "by $(id -un)" | aws s3 cp - s3://results/by-root.txt')
    assert cloud_.s3.get_object(Bucket="results", Key="by-root.txt")["Body"].read() == b"by root\n"
    assert "upload: - to s3://results/by-root.txt" in said


def test_an_instance_passes_through_its_states_and_says_why_it_ended(cloud_):
    instance = cloud_.launch("until aws s3 ls s3://results/go; do sleep 0.05; done; shutdown -h now")
    assert cloud_.reaches(instance, "running")["StateTransitionReason"] == ""
    cloud_.s3.put_object(Bucket="results", Key="go")
    ended = cloud_.reaches(instance, "terminated")
    assert ended["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }
    assert re.fullmatch(
        r"User initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)", ended["StateTransitionReason"]
    )
    assert isinstance(ended["LaunchTime"], datetime)
    assert "power down" in cloud_.console(instance)


@pytest.mark.parametrize(
    "command",
    [
        "shutdown -h now",
        "shutdown now",
        "shutdown -P now",
        "shutdown -h 0",
        "shutdown -h +0",
        "shutdown --poweroff --no-wall now 'good bye'",
        "/sbin/shutdown -h now",
        "/usr/sbin/poweroff",
        "poweroff",
        "poweroff -f -f",
        "halt -p",
        "init 0",
        "telinit 0",
        "systemctl poweroff",
        "systemctl poweroff --force",
        "/bin/systemctl --force --force poweroff",
        "python3 -c 'import os; os.system(\"shutdown -h now\")'",
        "systemd-run --on-active=0.2 systemctl poweroff",
        "systemd-run systemctl poweroff",
    ],
)
def test_every_way_to_power_off_ends_the_instance(cloud_, command):
    instance = cloud_.launch(command)
    assert cloud_.reaches(instance, "terminated")["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_what_shuts_down_is_told_its_time_and_can_be_cancelled(cloud_):
    instance = cloud_.launch(
        "shutdown; shutdown -c; shutdown -P +1; shutdown -h 5; shutdown -c; shutdown -k now; "
        "shutdown 25:00; echo status $?; systemctl start docker; echo status $?; init 3; echo status $?"
    )
    said = cloud_.says(instance, "user-data ended")
    assert said.count("Shutdown scheduled for ") == 3
    assert "Failed to parse time specification: 25:00\nstatus 1" in said
    assert said.count("status 1\n") == 3
    cloud_.reaches(instance, "running")
    cloud_.ec2.terminate_instances(InstanceIds=[instance])


def test_what_was_stopped_with_stop_behaviour_can_start_and_runs_nothing_anew(cloud_):
    instance = cloud_.launch(
        "echo ran >/tmp/x; aws s3 cp /tmp/x s3://results/ran.txt; poweroff",
        InstanceInitiatedShutdownBehavior="stop",
    )
    stopped = cloud_.reaches(instance, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    cloud_.s3.delete_object(Bucket="results", Key="ran.txt")
    before = cloud_.console(instance)
    assert cloud_.ec2.start_instances(InstanceIds=[instance])["StartingInstances"][0]["CurrentState"][
        "Name"
    ] == ("pending")
    cloud_.reaches(instance, "running")
    cloud_.ec2.reboot_instances(InstanceIds=[instance])
    assert cloud_.state(instance) == "running"
    stopping = cloud_.ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert (stopping["CurrentState"]["Name"], stopping["PreviousState"]["Name"]) == ("stopping", "running")
    stopped = cloud_.reaches(instance, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert cloud_.console(instance) == before
    assert "Contents" not in cloud_.s3.list_objects_v2(Bucket="results", Prefix="ran.txt")


@pytest.mark.parametrize("command", ["halt", "halt -f", "shutdown -H now", "systemctl halt"])
def test_a_halted_instance_goes_on_running_and_costing(cloud_, command):
    instance = cloud_.launch(f"sleep 7654321 & systemd-run --on-active=1 shutdown now; {command}")
    said = cloud_.says(instance, "system halted")
    assert "halt: every process is asked to end" in said
    assert not processes_with("sleep 7654321")
    cloud_.reaches(instance, "running")
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "terminated")


@pytest.mark.parametrize("command", ["reboot", "shutdown -r now", "systemctl reboot", "init 6"])
def test_a_rebooted_instance_goes_on_and_runs_nothing_anew(cloud_, command):
    instance = cloud_.launch(f"echo begun; {command}; sleep 60")
    said = cloud_.says(instance, "restarted")
    assert said.count("begun\n") == 1
    cloud_.reaches(instance, "running")
    cloud_.ec2.stop_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "stopped")


def test_a_reboot_from_outside_ends_what_runs(cloud_):
    instance = cloud_.launch("sleep 7654322")
    wait_until(lambda: processes_with("sleep 7654322"))
    cloud_.reaches(instance, "running")
    cloud_.ec2.reboot_instances(InstanceIds=[instance])
    cloud_.says(instance, "restarted")
    assert not processes_with("sleep 7654322")
    cloud_.reaches(instance, "running")


def test_an_instance_whose_script_has_ended_goes_on_running(cloud_):
    instance = cloud_.launch("exit 3")
    cloud_.says(instance, "user-data ended with status 3")
    cloud_.reaches(instance, "running")
    answer = cloud_.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert (answer["CurrentState"]["Name"], answer["PreviousState"]["Name"]) == ("shutting-down", "running")
    cloud_.reaches(instance, "terminated")


def test_a_script_is_asked_to_end_before_it_is_killed(cloud_):
    instance = cloud_.launch("trap 'echo last words; exit' TERM; echo ready; while :; do sleep 0.05; done")
    cloud_.says(instance, "ready")
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    ended = cloud_.reaches(instance, "terminated")
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert "last words" in cloud_.console(instance)
    assert "killed" not in cloud_.console(instance)


def test_a_script_that_does_not_end_when_asked_is_killed_when_the_time_is_over(cloud_):
    instance = cloud_.launch("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    cloud_.says(instance, "ready")
    begun_at = time.monotonic()
    answer = cloud_.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert answer["CurrentState"]["Name"] == "shutting-down"
    assert cloud_.state(instance) == "shutting-down"
    again = cloud_.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert again["PreviousState"]["Name"] == "shutting-down"
    cloud_.reaches(instance, "terminated")
    assert time.monotonic() - begun_at >= STOP_TIMEOUT_S
    assert "what did not end is killed" in cloud_.console(instance)
    again = cloud_.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert (again["CurrentState"]["Name"], again["PreviousState"]["Name"]) == ("terminated", "terminated")


def test_an_init_that_a_script_holds_up_does_not_keep_the_instance(cloud_):
    attach = "import ctypes, time; ctypes.CDLL(None).ptrace(16, 1, 0, 0); print('held', flush=True)"
    instance = cloud_.launch(f'python3 -c "{attach}; time.sleep(99)"')
    cloud_.says(instance, "held")
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "terminated")


def test_kill_all_does_not_disarm_a_timer_nor_a_scheduled_shutdown(cloud_):
    for arm in ("systemd-run --unit=end --on-active=1s --timer-property=AccuracySec=1s systemctl poweroff",):
        instance = cloud_.launch(f"trap '' TERM; {arm}; kill -9 -1; kill -9 1; kill 1; sleep 60")
        ended = cloud_.reaches(instance, "terminated")
        assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
        said = cloud_.console(instance)
        assert "Running timer as unit: end.timer" in said
        (ended_after_s,) = re.findall(r"\[ +(\d+\.\d+)\] init: poweroff", said)
        assert float(ended_after_s) >= 1


def test_a_service_outlives_who_asked_for_it(cloud_):
    instance = cloud_.launch(
        "systemd-run --unit=later --collect --no-block --setenv=WORD=hello --setenv=SCRIPT=$$ "
        "-p WorkingDirectory=/tmp "
        "sh -c 'while kill -0 $SCRIPT; do sleep 0.2; done; echo $WORD from $(pwd)'\n"
        "systemctl is-active later; systemd-run -u later true; echo status $?\n"
        "systemd-run --wait true || echo refused; systemd-run --unit=t --on-active='1h 30min' true; "
        "systemctl is-active t.timer; systemctl stop t.timer; systemctl is-active t.timer; exit 5"
    )
    said = cloud_.says(instance, "later.service ended with status 0")
    assert said.index("user-data ended with status 5") < said.index("hello from /tmp")
    assert "already loaded" in said
    assert [line for line in said.splitlines() if line.endswith("active")] == ["active", "active", "inactive"]
    assert "option --wait not recognized\nrefused" in said


def test_the_environment_holds_what_an_sdk_needs_and_nothing_of_the_machine(cloud_):
    said = cloud_.run("env; ls /root; pwd; python3 -c 'import boto3, sys; print(sys.prefix)'")
    given = dict(line.split("=", 1) for line in said.splitlines() if re.match(r"[A-Z_]+=", line))
    assert given.pop("PATH").startswith("/opt/local-aws/bin:")
    assert given.pop("AWS_ENDPOINT_URL") == cloud_.server.url
    assert given["AWS_REGION"] == given["AWS_DEFAULT_REGION"] == "us-east-1"
    assert given["HOME"] == "/root"
    kept = {"HOME", "LANG", "LD_LIBRARY_PATH", "PWD", "OLDPWD", "SHLVL", "_", "PYTHONDONTWRITEBYTECODE"}
    assert not {name for name in given if not name.startswith("AWS_")} - kept
    assert "\n/\n" in said


def test_what_is_no_script_is_not_run(cloud_):
    for data in ("#cloud-config\nruncmd: [poweroff]", "shutdown -h now", b"\x1f\x8b\x08\x00binary"):
        instance = cloud_.launch(None, UserData=data)
        cloud_.reaches(instance, "running")
        assert cloud_.console(instance) == ""


def test_a_script_without_its_interpreter_leaves_the_instance_running(cloud_):
    instance = cloud_.launch(None, UserData="#!/no/such/program\n")
    cloud_.says(instance, "user-data could not be started")
    cloud_.reaches(instance, "running")


def test_the_console_keeps_the_last_64_kilobytes_after_the_end_too(cloud_):
    said = cloud_.run("echo first; seq 1 20000")
    assert len(said) == 65_536
    assert "first" not in said
    assert "\n20000\nit is done\n" in said


def test_instances_are_found_by_tag_and_state(cloud_, lasting):
    cloud_.reaches(lasting, "running")
    running = {"Name": "instance-state-name", "Values": ["running"]}

    def found(*filters: dict[str, object]) -> list[str]:
        pages = cloud_.ec2.get_paginator("describe_instances").paginate(Filters=list(filters))
        return [
            one["InstanceId"]
            for page in pages
            for reservation in page["Reservations"]
            for one in reservation["Instances"]
        ]

    assert found({"Name": "tag:colour", "Values": ["blue"]}, running) == [lasting]
    assert found({"Name": "tag-key", "Values": ["colour"]}, running) == [lasting]
    assert found({"Name": "tag:colour", "Values": ["red"]}) == []
    assert lasting in found(running)
    assert lasting not in found({"Name": "instance-state-name", "Values": ["terminated"]})


def test_the_shutdown_behaviour_can_be_asked_for_and_changed(cloud_, lasting):
    name = "instanceInitiatedShutdownBehavior"

    def behaviour() -> str:
        found = cloud_.ec2.describe_instance_attribute(InstanceId=lasting, Attribute=name)
        return str(found["InstanceInitiatedShutdownBehavior"]["Value"])

    assert behaviour() == "stop"
    cloud_.ec2.modify_instance_attribute(
        InstanceId=lasting, InstanceInitiatedShutdownBehavior={"Value": "terminate"}
    )
    assert behaviour() == "terminate"


def test_volumes_go_with_their_instance_unless_they_are_to_stay(cloud_):
    instance = cloud_.launch(
        "poweroff",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}},
            {"DeviceName": "/dev/xvdb", "Ebs": {"VolumeSize": 11, "DeleteOnTermination": False}},
        ],
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "volumes"}]}],
    )
    cloud_.reaches(instance, "terminated")
    mine = [{"Name": "tag:of", "Values": ["volumes"]}]
    assert [(one["Size"], one["State"]) for one in cloud_.ec2.describe_volumes(Filters=mine)["Volumes"]] == [
        (11, "available")
    ]
    assert cloud_.describe(instance)["InstanceId"] == instance


def test_a_launch_template_is_honoured_and_the_request_comes_first(cloud_):
    iam = cloud_.server.client("iam")
    iam.create_instance_profile(InstanceProfileName="worker")
    key = cloud_.ec2.create_key_pair(KeyName="mine")["KeyName"]
    group = cloud_.ec2.create_security_group(GroupName="closed", Description="closed")["GroupId"]
    tags = [
        {
            "ResourceType": kind,
            "Tags": [{"Key": "colour", "Value": "red"}, {"Key": "shape", "Value": "round"}],
        }
        for kind in ("instance", "volume")
    ]
    template = cloud_.ec2.create_launch_template(
        LaunchTemplateName="worker",
        LaunchTemplateData={
            "ImageId": cloud_.image,
            "InstanceType": "m5.large",
            "KeyName": key,
            "SecurityGroupIds": [group],
            "IamInstanceProfile": {"Name": "worker"},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 33}}],
            "InstanceInitiatedShutdownBehavior": "terminate",
            "InstanceMarketOptions": {"MarketType": "spot"},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "TagSpecifications": tags,
            "UserData": base64.b64encode(b"#!/bin/sh\necho by the template; sleep 600\n").decode(),
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    request = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": template}}
    own = [{"ResourceType": "instance", "Tags": [{"Key": "colour", "Value": "blue"}]}]
    made = cloud_.ec2.run_instances(**request, InstanceType="t3.small", TagSpecifications=own)["Instances"][0]
    instance = made["InstanceId"]
    cloud_.says(instance, "by the template")
    found = cloud_.describe(instance)
    assert (found["InstanceType"], found["ImageId"], found["KeyName"]) == ("t3.small", cloud_.image, key)
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    assert found["IamInstanceProfile"]["Arn"].endswith("/worker")
    assert found["InstanceLifecycle"] == "spot"
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    given = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert (given["colour"], given["shape"], given["aws:ec2launchtemplate:id"]) == ("blue", "round", template)
    (volume,) = [one["Ebs"]["VolumeId"] for one in found["BlockDeviceMappings"]]
    (described,) = cloud_.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert described["Size"] == 33
    assert {"Key": "colour", "Value": "red"} in described["Tags"]
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "terminated")
    with pytest.raises(ClientError, match=r"InvalidVolume\.NotFound"):
        cloud_.ec2.describe_volumes(VolumeIds=[volume])
    cloud_.ec2.delete_security_group(GroupId=group)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "t3.gigantic"}, "InvalidParameterValue"),
        ({"KeyName": "nobodys"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-00000000"]}, "InvalidGroup.NotFound"),
        ({"InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_is_made(cloud_, changes, code):
    before = len(cloud_.ec2.describe_instances()["Reservations"])
    with pytest.raises(ClientError) as caught:
        cloud_.launch("poweroff", **changes)
    assert caught.value.response["Error"]["Code"] == code
    assert len(cloud_.ec2.describe_instances()["Reservations"]) == before


def test_a_terminated_instance_can_neither_be_stopped_nor_started_nor_rebooted(cloud_):
    instance = cloud_.launch(None)
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "terminated")
    for call in (cloud_.ec2.stop_instances, cloud_.ec2.start_instances, cloud_.ec2.reboot_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            call(InstanceIds=[instance])


def test_an_instance_protected_against_termination_stays(cloud_):
    instance = cloud_.launch("sleep 600", DisableApiTermination=True)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    cloud_.ec2.terminate_instances(InstanceIds=[instance])
    cloud_.reaches(instance, "terminated")


def test_monitoring_can_be_switched(cloud_, lasting):
    switched = cloud_.ec2.monitor_instances(InstanceIds=[lasting])["InstanceMonitorings"]
    assert switched == [{"InstanceId": lasting, "Monitoring": {"State": "enabled"}}]
    assert cloud_.describe(lasting)["Monitoring"]["State"] == "enabled"
    cloud_.ec2.unmonitor_instances(InstanceIds=[lasting])
    assert cloud_.describe(lasting)["Monitoring"]["State"] == "disabled"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_server_and_nothing_is_resumed(tmp_path, number):
    mark = f"sleep 76543{number.value}"
    state_dir = tmp_path / "state"
    with cloud(state_dir) as first:
        script = f"setsid {mark} & systemd-run {mark}; echo ready; trap '' TERM; {mark}"
        ends = first.launch(script)
        stops = first.launch(script, InstanceInitiatedShutdownBehavior="stop")
        for instance in (ends, stops):
            first.says(instance, "ready")
        wait_until(lambda: len(processes_with(mark)) >= 6)
        kept = state_dir / "moto.pickle"
        if number == signal.SIGKILL:
            saved = kept.stat().st_mtime_ns if kept.exists() else 0
            first.ec2.create_tags(Resources=[ends], Tags=[{"Key": "a", "Value": "b"}])
            wait_until(lambda: kept.exists() and kept.stat().st_mtime_ns > saved)
        first.server.end(number)
    wait_until(lambda: not processes_with(mark))
    with cloud(state_dir) as second:
        assert second.state(ends) == "terminated"
        assert second.state(stops) == "stopped"
        reason = second.describe(ends)["StateReason"]
        assert "The embedded AWS was stopped while the instance ran" in reason["Message"]
        assert "ready" in second.console(ends)
        second.ec2.start_instances(InstanceIds=[stops])
        second.reaches(stops, "running")
        assert not processes_with(mark)


def test_where_namespaces_are_not_allowed_a_script_is_refused_and_the_reason_given(tmp_path):
    shim = tmp_path / "bin" / "unshare"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    shim.chmod(0o755)
    with cloud(tmp_path / "state", PATH=f"{shim.parent}:{os.environ['PATH']}") as poor:
        with pytest.raises(ClientError) as caught:
            poor.launch("poweroff")
        error = caught.value.response["Error"]
        assert error["Code"] == "UnsupportedOperation"
        assert "unshare: unshare failed: Operation not permitted" in error["Message"]
        assert "seccomp=unconfined" in error["Message"]
        poor.reaches(poor.launch(None), "running")
