"""Settles a launch before anything is paid for: configuration, script, image, price, time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from vigil.aws import Aws, content_hash, error_code, error_message
from vigil.errors import SettingsError
from vigil.paths import jobs_dir
from vigil.stacks.config import TrainingStackConfig, parse_config
from vigil.stacks.deadline import allowance
from vigil.stacks.files import ScriptSource, find_script, launcher_config, read_config
from vigil.stacks.launch import Launch, MachineImage
from vigil.stacks.pricing import price_at_launch

_RUNNER = "run_training_script.py"
_REFUSED = ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "ParameterNotFound", "ValidationException")


def settle_config(s3: Any, name: str | None, options: Mapping[str, Any]) -> TrainingStackConfig:
    """Return the configuration that a person asked for.

    Args:
        s3: client.
        name: of the configuration; None if the options say all.
        options: said in the trigger form; they win, key by key.

    Raises:
        SettingsError: something in it cannot be used, or there is none.
    """
    if name is None and not options:
        raise SettingsError("Nothing says what to launch: name a configuration, or give options.")
    said: dict[str, Mapping[str, Any]] = {}
    launcher = launcher_config()
    if launcher:
        said["lambda-config.json"] = launcher
    if name is not None:
        bucket = launcher.get("s3-training-bucket", launcher.get("s3_training_bucket"))
        said[name] = read_config(s3, name, bucket)
    if options:
        said["the trigger form"] = options
    return parse_config(said)


def settle_launch(
    aws: Aws, config: TrainingStackConfig, *, bucket: str, dag_id: str, run_id: str, now: datetime
) -> tuple[Launch, ScriptSource]:
    """Return everything about a launch that does not depend on its moment, and its script.

    Raises:
        SettingsError: script or image are not there, there is no price, or the time is too short.
    """
    script = find_script(aws.client("s3"), config.training_script_filename, config.s3_training_bucket)
    image = find_image(aws, config.image)
    price = price_at_launch(aws, config, image.platform, now)
    launch = Launch(
        id=content_hash([dag_id, run_id, config.to_json(), script.identity], length=12),
        dag_id=dag_id,
        run_id=run_id,
        config=config,
        bucket=bucket,
        script=script.name,
        image=image,
        price=price,
        allowance=allowance(config, price),
    )
    return launch, script


def put_on_s3(s3: Any, launch: Launch, script: ScriptSource) -> None:
    """Put what the instance fetches where it looks for it."""
    script.copy_to(s3, launch.folder / f"script/{script.name}")
    runner = launch.folder / _RUNNER
    s3.upload_file(str(jobs_dir() / _RUNNER), runner.bucket, runner.key)
    config = launch.config
    content = launch.to_json() | {
        "arguments": list(config.arguments),
        "grace_s": config.grace_seconds,
        "upload_every_s": config.upload_every_seconds,
        "log_limit_bytes": config.log_limit_mb * 1024 * 1024,
    }
    target = launch.folder / "launch.json"
    s3.put_object(Bucket=target.bucket, Key=target.key, Body=json.dumps(content, indent=2).encode())


def find_image(aws: Aws, name: str) -> MachineImage:
    """Return an image by its id, or by the SSM parameter that holds one.

    Raises:
        SettingsError: there is none, or no training script can run on it.
    """
    try:
        image_id = name if name.startswith("ami-") else _parameter(aws, name)
        found = aws.client("ec2").describe_images(ImageIds=[image_id])["Images"]
    except ClientError as error:
        if error_code(error) not in _REFUSED:
            raise
        raise SettingsError(f"There is no image {name}: {error_message(error)}.") from error
    if not found:
        raise SettingsError(f"There is no image {name} in this region.")
    image = found[0]
    if image.get("Platform", "").lower() == "windows":
        raise SettingsError(f"The image {name} is of Windows: a training script needs a Linux with systemd.")
    return MachineImage(
        image_id, image.get("RootDeviceName", "/dev/xvda"), image.get("PlatformDetails", "Linux/UNIX")
    )


def _parameter(aws: Aws, name: str) -> str:
    return str(aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
