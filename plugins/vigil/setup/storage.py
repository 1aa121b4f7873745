"""Checks of the bucket."""

from __future__ import annotations

from botocore.exceptions import ClientError

from vigil.aws import error_code
from vigil.setup.findings import Look, failing, fine
from vigil.setup.ground import Ground

# Under a prefix that tasks may write to and delete from, and whose objects the bucket deletes in the end.
_KEY = "exports/check-setup"
_TEMPLATE = "deploy/storage.yaml has it so: deploy it again"


def bucket(ground: Ground) -> Look:
    """Look whether the bucket is there, and of this account."""
    name = ground.settings.bucket
    try:
        ground.aws.client("s3").head_bucket(Bucket=name)
    except ClientError as error:
        seen = "does not exist" if error_code(error) == "404" else f"cannot be opened ({error_code(error)})"
        return failing(f"{name} {seen}", "set bucket to the output BucketName of the storage's stack")
    return fine(name)


def versions(ground: Ground) -> Look:
    """Look whether the bucket keeps what is overwritten."""
    answer = ground.aws.client("s3").get_bucket_versioning(Bucket=ground.settings.bucket)
    status = answer.get("Status", "Disabled")
    if status != "Enabled":
        return failing(f"versioning is {status.lower()}", _TEMPLATE)
    return fine("kept")


def encryption(ground: Ground) -> Look:
    """Look whether what lies in the bucket is encrypted."""
    try:
        answer = ground.aws.client("s3").get_bucket_encryption(Bucket=ground.settings.bucket)
    except ClientError as error:
        if error_code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return failing("no encryption is configured", _TEMPLATE)
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return fine(", ".join(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules))


def privacy(ground: Ground) -> Look:
    """Look whether the bucket can be opened to the public."""
    try:
        answer = ground.aws.client("s3").get_public_access_block(Bucket=ground.settings.bucket)
    except ClientError as error:
        if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        return failing("nothing blocks public access", _TEMPLATE)
    blocked = answer["PublicAccessBlockConfiguration"]
    open_doors = sorted(name for name, is_on in blocked.items() if not is_on)
    if open_doors:
        return failing(f"{', '.join(open_doors)} is off", _TEMPLATE)
    return fine("public access is blocked")


def writing(ground: Ground) -> Look:
    """Look whether objects can be written, by one that is deleted again."""
    s3, name = ground.aws.client("s3"), ground.settings.bucket
    s3.put_object(Bucket=name, Key=_KEY, Body=b"")
    s3.delete_object(Bucket=name, Key=_KEY)
    return fine(f"s3://{name}/{_KEY} was written and deleted")
