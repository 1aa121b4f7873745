"""Checks of the account: who calls, its clock, roles and permissions."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from vigil.aws import error_code
from vigil.setup.configuration import pipeline_of
from vigil.setup.findings import Look, failing, fine, tell_apart
from vigil.setup.ground import Ground
from vigil.setup.policies import lets_in
from vigil.windows import to_utc

# Signatures are refused from five minutes on; windows are judged wrongly long before.
_CLOCKS_APART_S = 30
# One call of each service that tasks talk to, which changes nothing.
_HARMLESS = {
    "cloudformation": "describe_stacks",
    "cloudwatch": "describe_alarms",
    "ec2": "describe_instances",
    "ecr": "describe_repositories",
    "logs": "describe_log_groups",
    "sagemaker": "list_endpoints",
    "scheduler": "list_schedules",
    "ssm": "describe_parameters",
}


def answers(ground: Ground) -> Look:
    """Look whether AWS answers at all."""
    _headers(ground)
    return fine(f"account {ground.account} in {ground.region}")


def caller(ground: Ground) -> Look:
    """Look who calls AWS, and whether it is somebody of the account that the settings name."""
    who = _caller(ground)
    if who["Account"] != ground.account:
        return failing(
            f"{who['Arn']} is of another account than {ground.settings.alert_topic_arn}",
            "take credentials of the settings' account, or mend the settings",
        )
    return fine(who["Arn"])


def clock(ground: Ground) -> Look:
    """Look whether AWS's clock goes with this one."""
    theirs = to_utc(parsedate_to_datetime(_headers(ground)["date"]))
    apart = abs((ground.now() - theirs).total_seconds())
    if apart > _CLOCKS_APART_S:
        return failing(
            f"{apart:.0f} s apart from AWS's",
            f"let this machine keep time by NTP: {_CLOCKS_APART_S} s at most",
        )
    return fine(f"{apart:.0f} s apart from AWS's")


def roles(ground: Ground) -> Look:
    """Look whether each role is there, and trusts the service that takes it."""
    given = ground.settings
    takers = {
        "sagemaker": ("sagemaker_role_arn", given.sagemaker_role_arn),
        "cloudformation": ("training_stack_role_arn", given.training_stack_role_arn),
        "scheduler": ("schedule_role_arn", given.schedule_role_arn),
    }
    looks = {
        option: _role(ground, option, arn, f"{service}.amazonaws.com")
        for service, (option, arn) in takers.items()
        if arn is not None
    }
    return tell_apart(looks, "")


def permissions(ground: Ground) -> Look:
    """Look whether the roles may do what tasks and their jobs do: by simulation, which calls nothing."""
    if not ground.is_in_the_cloud:
        for service, call in _HARMLESS.items():
            getattr(ground.aws.client(service), call)()
        return fine(f"{', '.join(_HARMLESS)} answer; an embedded AWS forbids nothing")
    role = ground.airflow_role_arn or _role_of(ground)
    needs = {role: _needs(ground), ground.settings.sagemaker_role_arn: _needs_of_jobs(ground)}
    denied = {
        who: [action for actions, arn in pairs for action in _denied(ground, who, actions, arn)]
        for who, pairs in needs.items()
    }
    refusals = [f"{who} may not {', '.join(actions)}" for who, actions in denied.items() if actions]
    if refusals:
        return failing("; ".join(refusals), "deploy/roles.yaml allows it: deploy it again, or add it")
    return fine(f"{role} may do what tasks do")


def _headers(ground: Ground) -> dict[str, str]:
    """Return the headers of some answer: S3 is called from everywhere, and also a refusal has them."""
    try:
        answer = ground.aws.client("s3").head_bucket(Bucket=ground.settings.bucket)
    except ClientError as error:
        answer = error.response
    headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


def _caller(ground: Ground) -> dict[str, str]:
    answer: dict[str, str] = ground.aws.client("sts").get_caller_identity()
    return answer


def _role(ground: Ground, option: str, arn: str, service: str) -> Look:
    name = arn.rpartition("/")[2]
    try:
        role = ground.aws.client("iam").get_role(RoleName=name)["Role"]
    except ClientError as error:
        if error_code(error) != "NoSuchEntity":
            raise
        return failing(f"{arn} does not exist", f"set {option} from the output of its stack")
    if role["Arn"] != arn:
        return failing(f"{arn} is {role['Arn']} here", f"set {option} to it")
    mine = f"arn:{ground.partition}:iam::{ground.account}:role"
    if not lets_in(role["AssumeRolePolicyDocument"], service, "sts:AssumeRole", mine):
        return failing(f"{name} does not trust {service}", "deploy its template again")
    return fine("is there")


def _role_of(ground: Ground) -> str:
    """Return the role, or the user, behind whoever calls."""
    arn = _caller(ground)["Arn"]
    if ":assumed-role/" not in arn:
        return arn
    # The session's ARN leaves out the role's path.
    name = arn.split("/")[1]
    return str(ground.aws.client("iam").get_role(RoleName=name)["Role"]["Arn"])


def _denied(ground: Ground, role: str, actions: list[str], arn: str) -> Iterator[str]:
    answer = ground.aws.client("iam").simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=actions,
        ResourceArns=[arn],
        ContextEntries=[
            _context("iam:PassedToService", "sagemaker.amazonaws.com"),
            _context("cloudwatch:namespace", "Vigil"),
        ],
    )
    for result in answer["EvaluationResults"]:
        if result["EvalDecision"] != "allowed":
            yield f"{result['EvalActionName']} on {arn}"


def _context(key: str, value: str) -> dict[str, object]:
    return {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}


def _needs(ground: Ground) -> Iterator[tuple[list[str], str]]:
    """Yield what tasks do, and on what."""
    given, model = ground.settings, pipeline_of(ground).model
    where = f"{ground.region}:{ground.account}"
    sagemaker = f"arn:{ground.partition}:sagemaker:{where}"
    bucket = f"arn:{ground.partition}:s3:::{given.bucket}"
    yield ["s3:ListBucket"], bucket
    yield ["s3:GetObject"], f"{bucket}/incoming/{model}/data.csv"
    yield ["s3:PutObject"], f"{bucket}/training/{model}/data.csv"
    yield ["s3:PutObject", "s3:DeleteObject"], f"{bucket}/exports/{model}/data.csv"
    for topic in filter(None, (given.alert_topic_arn, given.operations_topic_arn)):
        yield ["sns:Publish"], topic
    if given.image_push_queue_url:
        queue = f"arn:{ground.partition}:sqs:{where}:{given.image_push_queue_url.rpartition('/')[2]}"
        yield ["sqs:ReceiveMessage", "sqs:DeleteMessage"], queue
    for kind in ("Training", "Transform", "Processing"):
        actions = [f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")]
        yield actions, f"{sagemaker}:{kind.lower()}-job/{model}-check"
    for kind, resource in (("Model", "model"), ("EndpointConfig", "endpoint-config")):
        actions = [f"sagemaker:{verb}{kind}" for verb in ("Create", "Describe", "Delete")]
        yield actions, f"{sagemaker}:{resource}/{model}-check"
    actions = [f"sagemaker:{verb}Endpoint" for verb in ("Create", "Describe", "Update", "Invoke")]
    yield actions, f"{sagemaker}:endpoint/{model}"
    yield ["sagemaker:CreateModelPackageGroup"], f"{sagemaker}:model-package-group/{model}"
    actions = [f"sagemaker:{verb}ModelPackage" for verb in ("Create", "Describe", "Update")]
    yield actions, f"{sagemaker}:model-package/{model}/1"
    yield ["sagemaker:ListModelPackages", "cloudwatch:PutMetricData"], "*"
    yield ["iam:PassRole"], given.sagemaker_role_arn


def _needs_of_jobs(ground: Ground) -> Iterator[tuple[list[str], str]]:
    """Yield what SageMaker does with the key of a job's output; the rest goes by the same template."""
    if ground.settings.key_arn:
        verbs = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey")
        yield [f"kms:{verb}" for verb in verbs], ground.settings.key_arn
