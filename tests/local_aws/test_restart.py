from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_aws_support import (
    PROJECT,
    ROLE,
    SCIKIT_LEARN,
    channel,
    csv_bytes,
    make_config,
    make_model,
    running,
    settled,
    table,
    training_request,
    wait_until,
)

STACK = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "of-a-stack"}}}}
LARGE = os.urandom(6_000_000)


def fill(server) -> None:
    """Leave something in every service, a model in service and a job at work."""
    s3, sqs, sagemaker = server.client("s3"), server.client("sqs"), server.client("sagemaker")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="large", Body=LARGE, Metadata={"colour": "blue"})
    s3.put_object(Bucket="kept", Key="train/a.csv", Body=csv_bytes(table(300)))
    queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="unread")
    topic = server.client("sns").create_topic(Name="kept")["TopicArn"]
    arn = "arn:aws:sqs:us-east-1:123456789012:kept"
    server.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm = {"Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    compared = {"ComparisonOperator": "LessThanThreshold", "Threshold": 0, "TreatMissingData": "ignore"}
    server.client("cloudwatch").put_metric_alarm(AlarmName="kept", **alarm, **compared)
    server.client("cloudwatch").set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="a test")
    server.client("cloudformation").create_stack(StackName="kept", TemplateBody=json.dumps(STACK))
    # Its key is one that only KMS can write down.
    server.client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=8, Encrypted=True)
    request = training_request("kept", "kept", [channel("train", "s3://kept/train/")])
    sagemaker.create_training_job(**request)
    job = settled(sagemaker.describe_training_job, "TrainingJobStatus", TrainingJobName="kept")
    make_config(sagemaker, "kept", make_model(sagemaker, "kept", job["ModelArtifacts"]["S3ModelArtifacts"]))
    sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="kept")
    settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName="kept")
    sagemaker.create_processing_job(
        ProcessingJobName="at-work",
        RoleArn=ROLE,
        AppSpecification={"ImageUri": SCIKIT_LEARN, "ContainerEntrypoint": ["sleep", "600"]},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
    )
    wait_until(lambda: sleepers(server.state_dir))


def answer(server) -> bytes:
    runtime = server.client("sagemaker-runtime")
    response = runtime.invoke_endpoint(EndpointName="kept", ContentType="text/csv", Body=b"1,2,3")
    return bytes(response["Body"].read())


def sleepers(state_dir: Path) -> list[str]:
    """Find the processes that work below a state directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(f"{state_dir}/work/processing-job"):
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_state_survives_however_the_server_ends(tmp_path, number):
    state_dir = tmp_path / "state"
    with running(state_dir) as server:
        fill(server)
        before = answer(server)
        changed_at = state_dir.joinpath("moto.pickle")
        if (
            number == signal.SIGKILL
        ):  # what is promised is what was written: two seconds after the last change
            saved = changed_at.stat().st_mtime_ns if changed_at.exists() else 0
            server.client("sqs").create_queue(QueueName="last")
            wait_until(lambda: changed_at.exists() and changed_at.stat().st_mtime_ns > saved)
            wait_until(lambda: b'"at-work"' in (state_dir / "sagemaker.json").read_bytes())
        assert server.end(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_until(lambda: not sleepers(state_dir))
    with running(state_dir) as server:
        assert answer(server) == before
        kept = server.client("s3").get_object(Bucket="kept", Key="large")
        assert (kept["Body"].read(), kept["Metadata"]) == (LARGE, {"colour": "blue"})
        sqs = server.client("sqs")
        queue = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        assert [message["Body"] for message in messages] == ["unread"]
        server.client("sns").publish(TopicArn="arn:aws:sns:us-east-1:123456789012:kept", Message="new")
        assert sqs.receive_message(QueueUrl=queue)["Messages"]
        sagemaker = server.client("sagemaker")
        job = sagemaker.describe_processing_job(ProcessingJobName="at-work")
        assert job["ProcessingJobStatus"] == "Failed"
        assert "The embedded AWS was stopped while the job ran" in job["FailureReason"]
        found = settled(sagemaker.describe_endpoint, "EndpointStatus", EndpointName="kept")
        assert found["EndpointStatus"] == "InService"
        (alarm,) = server.client("cloudwatch").describe_alarms(AlarmNames=["kept"])["MetricAlarms"]
        assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "a test")
        cloudformation = server.client("cloudformation")
        assert (
            cloudformation.describe_stacks(StackName="kept")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        )
        cloudformation.delete_stack(StackName="kept")
        assert not any(url.endswith("/of-a-stack") for url in sqs.list_queues()["QueueUrls"])


def test_a_server_in_memory_neither_writes_nor_reads_what_is_kept(tmp_path):
    with running(tmp_path / "state") as server:
        server.client("s3").create_bucket(Bucket="kept")
    kept = (tmp_path / "state" / "moto.pickle").read_bytes()
    with running(tmp_path / "state", "--in-memory") as server:
        assert server.client("s3").list_buckets()["Buckets"] == []
        server.client("sqs").create_queue(QueueName="forgotten")
    assert (tmp_path / "state" / "moto.pickle").read_bytes() == kept


def test_state_of_another_moto_is_left_aside_and_said_so(tmp_path):
    state_dir = tmp_path / "state"
    with running(state_dir) as server:
        server.client("s3").create_bucket(Bucket="old")
        server.client("sagemaker").create_model_package_group(ModelPackageGroupName="kept")
    kept = state_dir / "moto.pickle"
    header, _, rest = kept.read_bytes().partition(b"\n")
    kept.write_bytes(header.replace(b'"moto": "', b'"moto": "0.') + b"\n" + rest)
    with running(state_dir) as server:
        assert server.client("s3").list_buckets()["Buckets"] == []
        assert server.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
        assert "starting empty" in server.log.read_text()


def test_what_is_kept_is_private_and_no_more_than_there_is(tmp_path):
    state_dir = tmp_path / "state"
    with running(state_dir) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="mine")
        s3.put_object(Bucket="mine", Key="large", Body=LARGE)
        (kept,) = wait_until(lambda: list((state_dir / "objects").glob("[0-9a-f]*")))
        assert kept.stat().st_size == len(LARGE)
        s3.delete_object(Bucket="mine", Key="large")
        wait_until(lambda: not kept.exists())
    for name in ("moto.pickle", "sagemaker.json"):
        assert (state_dir / name).stat().st_mode & 0o777 == 0o600
    assert state_dir.stat().st_mode & 0o777 == 0o700
    (state_dir / "moto.pickle").chmod(0o666)
    refused = command("serve", "--port", "0", "--state-dir", str(state_dir))
    assert refused.returncode != 0
    assert "moto.pickle may have been written by somebody else" in refused.stderr


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_aws", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_status_tells_where_it_runs_and_reset_waits_until_it_does_not(tmp_path):
    state_dir = str(tmp_path / "state")
    with running(tmp_path / "state") as server:
        server.client("s3").create_bucket(Bucket="mine")
        found = command("status", "--state-dir", state_dir)
        assert (found.returncode, found.stdout.split()[3].rstrip(",")) == (0, server.url)
        assert command("reset", "--state-dir", state_dir).returncode == 1
        second = command("serve", "--port", "0", "--state-dir", state_dir)
        assert (second.returncode, "already runs" in second.stderr) == (1, True)
    assert command("status", "--state-dir", state_dir).returncode == 1
    assert command("reset", "--state-dir", state_dir).returncode == 0
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["lock"]


def test_help_names_every_command():
    shown = command("--help").stdout
    assert all(name in shown for name in ("serve", "status", "reset", "127.0.0.1"))


def test_only_this_machine_can_reach_it(local_aws):
    port = f"{int(local_aws.rsplit(':', 1)[1]):04X}"
    with open("/proc/net/tcp") as file:
        listening = [line.split()[1] for line in file if line.split()[3] == "0A"]
    assert [one for one in listening if one.endswith(f":{port}")] == [f"0100007F:{port}"]
