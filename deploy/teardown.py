"""The end of an environment: nothing that is billed is left, or only what was asked to be kept.

First Airflow goes, which would begin new things; then what it began - training stacks, jobs, endpoints,
models - and then the stacks, in the reverse of their order. What stacks keep on purpose is found by its tag
and what the templates call it, and logs by how their names begin: a stack that is gone names nothing any
more, and a teardown that was killed is just run again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.code_bucket import CodeBucket
from deploy.environment import Environment
from deploy.errors import DeployError
from deploy.model_registry import ModelRegistry
from deploy.planning import AIRFLOW, DATABASE, STORAGE, known_values, templates_of
from deploy.sagemaker_work import SageMakerWork
from deploy.stacks import ENVIRONMENT_TAG, clusters_of, delete_stack, find_stack, free_cluster
from deploy.templates import read_template, stack_name, substituted
from vigil.aws import Aws, error_code

# Kept together: the buckets, the key that they are encrypted by, and the registry.
HOLD_DATA = (STORAGE, "pipeline")
_TRAINING_STACK_TAG = "vigil:training-stack"
_DELETED_AT_ONCE = 1000
_KEY_WAIT_DAYS = 7
_ENDING = "PendingDeletion"


@dataclass(frozen=True)
class Teardown:
    """Removes one environment.

    Attributes:
        environment: what to remove.
        aws: clients with the deployer's permissions.
        tell: is told each step, a line at a time.
        keep_data: leave buckets, key, registry and the database's last snapshot.
        take_over: go on although somebody is said to be deploying, who was killed.
        poll_s: seconds between two looks at what takes time.
    """

    environment: Environment
    aws: Aws
    tell: Callable[[str], None]
    keep_data: bool = False
    take_over: bool = False
    poll_s: float = 5.0

    def tear_down(self) -> list[str]:
        """Remove everything; return what is left, as its ARNs.

        Raises:
            DeployError: the database is protected, or somebody deploys, and nothing was removed; or a stack
                could not be deleted.
        """
        self._refuse_a_protected_database()
        values = known_values(self.aws, self.environment)
        with self._deployments_kept_out(values):
            self._delete_stack_of(AIRFLOW)
            self._end_training_stacks()
            if "SageMakerRoleArn" in values:
                sagemaker, role = self.aws.client("sagemaker"), values["SageMakerRoleArn"]
                SageMakerWork(sagemaker, role, self.tell, self.poll_s).end()
            if not self.keep_data:
                self._empty_registry(values)
            for template in reversed(templates_of(self.environment)):
                if not (self.keep_data and template.name in HOLD_DATA):
                    self._delete_stack_of(template.name)
        if not self.keep_data:
            self._delete_snapshots()
            self._delete_buckets_and_key()
        self._delete_what_lay_in_no_stack()
        return self.what_is_left()

    def _deployments_kept_out(self, values: dict[str, str]) -> AbstractContextManager[None]:
        """Let nobody deploy meanwhile: what comes back behind a teardown would be billed."""
        if "CodeBucketName" not in values:
            return nullcontext()
        bucket = CodeBucket(self.aws.client("s3"), values["CodeBucketName"])
        return bucket.locked(self.take_over)

    def _refuse_a_protected_database(self) -> None:
        cloudformation, rds = self.aws.client("cloudformation"), self.aws.client("rds")
        stack = stack_name(self.environment.name, DATABASE)
        if DATABASE in self.environment.leave_out or not find_stack(cloudformation, stack):
            return
        for name in clusters_of(cloudformation, stack):
            try:
                (cluster,) = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
            except rds.exceptions.DBClusterNotFoundFault:
                continue  # it went, and its stack could not
            if cluster["DeletionProtection"]:
                raise DeployError(
                    f"The database {name} is protected, and nothing was removed: put `DeletionProtection: "
                    "false` under parameters and deploy that, or, where that cannot be deployed, say "
                    f"`{free_cluster(name)}`. Then destroy again."
                )

    def what_is_left(self) -> list[str]:
        """Return the ARN of everything that still carries the environment's tag."""
        tagging = self.aws.client("resourcegroupstaggingapi")
        wanted = [{"Key": ENVIRONMENT_TAG, "Values": [self.environment.name]}]
        pages = tagging.get_paginator("get_resources").paginate(TagFilters=wanted)
        arns = [found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]]
        return sorted(arn for arn in arns if not self._is_a_key_that_ends(arn))

    def _is_a_key_that_ends(self, arn: str) -> bool:
        return ":kms:" in arn and _key(self.aws.client("kms"), arn)["KeyState"] == _ENDING

    def _delete_stack_of(self, template: str) -> None:
        name = stack_name(self.environment.name, template)
        cloudformation = self.aws.client("cloudformation")
        if find_stack(cloudformation, name):
            self.tell(f"deleting the stack {name}")
            delete_stack(cloudformation, name, self.poll_s)

    def _end_training_stacks(self) -> None:
        cloudformation = self.aws.client("cloudformation")
        for page in cloudformation.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
                ours = tags.get(ENVIRONMENT_TAG) == self.environment.name
                if ours and _TRAINING_STACK_TAG in tags and stack["StackStatus"] != "DELETE_COMPLETE":
                    self.tell(f"ending the training stack {stack['StackName']}")
                    delete_stack(cloudformation, stack["StackId"], self.poll_s)

    def _empty_registry(self, values: dict[str, str]) -> None:
        group = values.get("ModelPackageGroupArn")
        sagemaker, name = self.aws.client("sagemaker"), self.environment.name
        ModelRegistry(sagemaker, name, self._own_buckets, group, self.tell).empty()

    def _delete_snapshots(self) -> None:
        """Delete the snapshots of the database, as the one that was taken when its stack was deleted.

        People put the environment's tag on things of their own, such as a cluster that they restored.
        """
        rds, ours = self.aws.client("rds"), f"{stack_name(self.environment.name, DATABASE)}-cluster-"
        tag = {"Key": ENVIRONMENT_TAG, "Value": self.environment.name}
        pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
        for snapshot in [one for page in pages for one in page["DBClusterSnapshots"]]:
            name = snapshot["DBClusterSnapshotIdentifier"]
            if tag in snapshot.get("TagList", []) and snapshot["DBClusterIdentifier"].startswith(ours):
                self.tell(f"deleting the snapshot {name}")
                rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)

    def _delete_buckets_and_key(self) -> None:
        """Delete what the storage's stack made, and nothing else that bears the environment's tag.

        CloudFormation puts no tag of its own on a key, and the alias goes with the stack: a key is known by
        what the template writes into it.
        """
        buckets, keys = self._own_buckets, self._storage_names("AWS::KMS::Key", "Description")
        for arn in self.what_is_left():
            service, thing = arn.split(":")[2], arn.rpartition(":")[2]
            if service == "s3" and thing in buckets:
                self._delete_bucket(thing)
            elif service == "kms" and _key(self.aws.client("kms"), arn).get("Description") in keys:
                self._delete_key(thing.removeprefix("key/"))

    @property
    def _own_buckets(self) -> set[str]:
        return self._storage_names("AWS::S3::Bucket", "BucketName")

    def _storage_names(self, resource_type: str, field: str) -> set[str]:
        """Return what the storage's template calls its resources of a type; none if it is left out."""
        if STORAGE in self.environment.leave_out:
            return set()
        values = {
            "Environment": self.environment.name,
            "AWS::AccountId": self.environment.account,
            "AWS::Region": self.environment.region,
        }
        resources = read_template(STORAGE).content["Resources"].values()
        ours = [one["Properties"] for one in resources if one["Type"] == resource_type]
        return {substituted(one[field]["Fn::Sub"], values) for one in ours}

    def _delete_bucket(self, bucket: str) -> None:
        try:
            self._empty(bucket)
            self.aws.client("s3").delete_bucket(Bucket=bucket)
        except ClientError as error:
            if error_code(error) != "NoSuchBucket":
                raise

    def _empty(self, bucket: str) -> None:
        self.tell(f"emptying the bucket {bucket}, every version")
        s3 = self.aws.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            for start in range(0, len(objects), _DELETED_AT_ONCE):
                part = {"Objects": objects[start : start + _DELETED_AT_ONCE], "Quiet": True}
                s3.delete_objects(Bucket=bucket, Delete=part)

    def _delete_key(self, key: str) -> None:
        """Let the key be deleted after the shortest time there is; until then it costs nothing."""
        self.aws.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=_KEY_WAIT_DAYS)
        self.tell(f"the key {key} will be gone in {_KEY_WAIT_DAYS} days; nothing is billed for it")

    def _delete_what_lay_in_no_stack(self) -> None:
        if self.environment.database_connection_from:
            self.aws.client("secretsmanager").delete_secret(
                SecretId=self.environment.secret_name, ForceDeleteWithoutRecovery=True
            )
        self._delete_logs(f"airflow-vigil-{self.environment.name}-")
        self._delete_logs(f"/aws/rds/cluster/{stack_name(self.environment.name, DATABASE)}-cluster-")

    def _delete_logs(self, prefix: str) -> None:
        """Delete the log groups of a prefix, but none of an environment whose name goes on after it."""
        logs = self.aws.client("logs")
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for name in [group["logGroupName"] for group in page["logGroups"]]:
                if "-" not in name.removeprefix(prefix):
                    logs.delete_log_group(logGroupName=name)


def _key(kms: Any, key: str) -> dict[str, Any]:
    return dict(kms.describe_key(KeyId=key)["KeyMetadata"])
