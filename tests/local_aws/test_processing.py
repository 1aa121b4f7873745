from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from local_aws_support import ROLE, SCIKIT_LEARN, log_lines, settled, wait_until

SCRIPT = """
import json, os, sys
names = sorted(os.listdir("/opt/ml/processing/input"))
with open("/opt/ml/processing/output/result.json", "w") as file:
    json.dump({"names": names, "arguments": sys.argv[1:], "colour": os.environ.get("COLOUR")}, file)
print("looked at", len(names))
"""


def request(name: str, entrypoint: list[str], **changes):
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": SCIKIT_LEARN, "ContainerEntrypoint": entrypoint},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
    } | changes


def s3_input(name: str, uri: str, path: str):
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def run(sagemaker, name: str, entrypoint: list[str], **changes):
    sagemaker.create_processing_job(**request(name, entrypoint, **changes))
    return settled(sagemaker.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)


def test_a_script_sees_opt_ml_and_its_output_is_uploaded(sagemaker, s3, bucket, client, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/code/look.py", Body=SCRIPT)
    s3.put_object(Bucket=bucket, Key=f"{name}/in/a.csv", Body=b"1")
    s3.put_object(Bucket=bucket, Key=f"{name}/in/b.csv", Body=b"2")
    output = {
        "S3Uri": f"s3://{bucket}/{name}/out",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    sagemaker.create_processing_job(
        **request(
            name,
            ["python3", "/opt/ml/processing/code/look.py"],
            AppSpecification={
                "ImageUri": SCIKIT_LEARN,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/look.py"],
                "ContainerArguments": ["--deep", "yes"],
            },
            Environment={"COLOUR": "blue"},
            ProcessingInputs=[
                s3_input("code", f"s3://{bucket}/{name}/code/look.py", "/opt/ml/processing/code"),
                s3_input("data", f"s3://{bucket}/{name}/in", "/opt/ml/processing/input"),
            ],
            ProcessingOutputConfig={"Outputs": [{"OutputName": "result", "S3Output": output}]},
        )
    )
    job = settled(sagemaker.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    result = json.load(s3.get_object(Bucket=bucket, Key=f"{name}/out/result.json")["Body"])
    assert result == {"names": ["a.csv", "b.csv"], "arguments": ["--deep", "yes"], "colour": "blue"}
    assert log_lines(client("logs"), "/aws/sagemaker/ProcessingJobs", f"{name}/algo-1") == ["looked at 2"]


def test_a_script_that_fails_fails_the_job_with_its_message(sagemaker, name):
    program = "import pathlib, sys; pathlib.Path('/opt/ml/output/message').write_text('no rows'); sys.exit(3)"
    job = run(sagemaker, name, ["python3", "-c", program])
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["ExitMessage"] == "no rows"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert job["FailureReason"].endswith("exit code: 3")


def test_stop_ends_children_that_left_their_parent(sagemaker, client, name):
    program = (
        "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    sagemaker.create_processing_job(**request(name, ["python3", "-c", program]))
    logs, group = client("logs"), "/aws/sagemaker/ProcessingJobs"
    wait_until(lambda: _has_stream(logs, group, name))
    (child,) = wait_until(lambda: log_lines(logs, group, name))
    sagemaker.stop_processing_job(ProcessingJobName=name)
    job = settled(sagemaker.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name)
    assert job["ProcessingJobStatus"] == "Stopped"
    wait_until(lambda: not _runs(int(child)))


def test_the_maximum_run_time_ends_a_script(sagemaker, name):
    limit = {"MaxRuntimeInSeconds": 1}
    job = run(sagemaker, name, ["sleep", "600"], StoppingCondition=limit)
    assert job["ProcessingJobStatus"] == "Stopped"


def test_an_entrypoint_that_is_not_there_fails_the_job(sagemaker, name):
    job = run(sagemaker, name, ["/no/such/program"])
    assert job["ProcessingJobStatus"] == "Failed"


def test_an_input_that_would_leave_the_container_is_refused(sagemaker, s3, bucket, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/a.csv", Body=b"1")
    path = "/opt/ml/processing/../../../../escaped"
    inputs = [s3_input("data", f"s3://{bucket}/{name}/", path)]
    job = run(sagemaker, name, ["true"], ProcessingInputs=inputs)
    assert job["ProcessingJobStatus"] == "Failed"
    assert "leads out" in job["FailureReason"]


def test_a_key_that_would_leave_its_directory_is_refused(sagemaker, s3, bucket, name):
    s3.put_object(Bucket=bucket, Key=f"{name}/in/../../../../../../escaped", Body=b"1")
    inputs = [s3_input("data", f"s3://{bucket}/{name}/in/", "/opt/ml/processing/input")]
    job = run(sagemaker, name, ["true"], ProcessingInputs=inputs)
    assert job["ProcessingJobStatus"] == "Failed"
    assert "leads out" in job["FailureReason"]


def test_names_are_unique_and_unknown_ones_not_found(sagemaker, name):
    run(sagemaker, name, ["true"])
    with pytest.raises(ClientError, match="Job name must be unique") as caught:
        sagemaker.create_processing_job(**request(name, ["true"]))
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError, match=f"Could not find requested job with name: {name}-x") as caught:
        sagemaker.describe_processing_job(ProcessingJobName=f"{name}-x")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as caught:
        sagemaker.stop_processing_job(ProcessingJobName=f"{name}-x")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_a_machine_without_namespaces_gets_the_path_rewritten(monkeypatch, tmp_path):
    from local_aws import mounts
    from local_aws.sagemaker import sandbox

    monkeypatch.setattr(mounts, "_unshare", lambda _: None)
    prepared = sandbox.sandboxed(tmp_path, ["python3", "/opt/ml/processing/code/x.py"], {"IN": "/opt/ml/a"})
    assert prepared.command == ["python3", f"{tmp_path}/opt/ml/processing/code/x.py"]
    assert prepared.environment == {"IN": f"{tmp_path}/opt/ml/a", "LOCAL_AWS_ML_ROOT": f"{tmp_path}/opt/ml"}


def _has_stream(logs, group: str, prefix: str) -> bool:
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return bool(
        groups and logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    )


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False
