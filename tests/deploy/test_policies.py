"""Least privilege, encryption and privacy of everything that is deployed, read from the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from deploy.environment import Environment
from deploy.stacks import stack_request
from deploy.templates import FOLDER, ORDER, read_template
from tests.deploy.policies import (
    STACK_TEMPLATES,
    TEMPLATES,
    Statement,
    actions_of,
    identity_policies,
    listed,
    resource_policies,
    resources,
    statements_of,
    template,
)

UNNAMED = "who looks for something names none"
NO_RESOURCE = "AWS knows no resource for it"
# Every action that is allowed on whatever there is, and why.
ON_EVERYTHING = {
    "*": "a boundary gives nothing; what it denies follows",
    "cloudformation:DescribeStacks": UNNAMED,
    "cloudformation:ListStacks": UNNAMED,
    "cloudwatch:PutMetricData": NO_RESOURCE,
    "ec2:Describe*": NO_RESOURCE,
    "ec2:DescribeImages": NO_RESOURCE,
    "ec2:DescribeInstances": NO_RESOURCE,
    "ec2:DescribeSpotPriceHistory": NO_RESOURCE,
    "ec2:DescribeSubnets": NO_RESOURCE,
    "ec2:DescribeVolumes": NO_RESOURCE,
    "ecr:GetAuthorizationToken": NO_RESOURCE,
    "events:ListRuleNamesByTarget": UNNAMED,
    "logs:DescribeLogGroups": UNNAMED,
    "pricing:GetProducts": NO_RESOURCE,
    "s3:GetAccountPublicAccessBlock": "a question to the account",
    "sagemaker:ListEndpointConfigs": NO_RESOURCE,
    "sagemaker:ListEndpoints": NO_RESOURCE,
    "sagemaker:ListModelPackages": NO_RESOURCE,
    "sagemaker:ListTrainingJobs": NO_RESOURCE,
    "sagemaker:ListTransformJobs": NO_RESOURCE,
    "ssm:ListAssociations": NO_RESOURCE,
}
# Every action with a star that is allowed, and why.
STARS = {
    "*": "a boundary gives nothing",
    "ec2:Describe*": "CloudFormation looks at whatever a stack may consist of",
    "kms:*": "in the policy of a key: without it nobody could ever change that policy",
    "kms:GenerateDataKey*": "AWS asks for both forms",
    "kms:ReEncrypt*": "CloudWatch Logs asks for both forms",
    "s3:GetBucket*": "Amazon MWAA asks for it, on the code bucket",
    "s3:GetObject*": "Amazon MWAA asks for it, on the code bucket",
    "s3:List*": "Amazon MWAA asks for it, on the code bucket",
}
# Services that tell no source account when they take up a role, or are not documented to.
WITHOUT_SOURCE = {"cloudformation.amazonaws.com", "ec2.amazonaws.com"}
# Parameters that the deployment tells by itself: versions of what it has uploaded.
UPLOADED = {"PluginsS3ObjectVersion", "RequirementsS3ObjectVersion", "StartupScriptS3ObjectVersion"}
BODY_LIMIT = 51_200
# What CloudFormation calls for properties that no training stack has.
OF_OTHER_PROPERTIES = {
    "ec2:AssociateIamInstanceProfile",
    "ec2:AttachVolume",
    "ec2:DetachVolume",
    "ec2:DisassociateIamInstanceProfile",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifyInstanceCreditSpecification",
    "ec2:ModifyInstancePlacement",
    "ec2:ModifyPrivateDnsNameOptions",
    "ec2:MonitorInstances",
    "ec2:ReplaceIamInstanceProfileAssociation",
    "ec2:StartInstances",
    "iam:AttachRolePolicy",
    "iam:DetachRolePolicy",
    "ssm:CreateAssociation",
}


def allowing() -> list[tuple[str, Statement]]:
    """Every statement of a role or managed policy that allows something, with its place."""
    found = [
        (f"{where}.yaml {name} {policy} {statement['Sid']}", statement)
        for where, name, policy, document in identity_policies()
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert len(found) > 50
    return found


def test_only_what_is_listed_here_is_allowed_on_everything():
    found = set()
    for place, statement in allowing():
        if "*" in listed(statement["Resource"]):
            assert set(actions_of(statement)) <= ON_EVERYTHING.keys(), place
            found |= set(actions_of(statement))
    assert found == ON_EVERYTHING.keys()


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_every_statement_on_everything_says_why_in_a_comment(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    for number in (row for row, line in enumerate(lines) if line.strip() == 'Resource: "*"'):
        sid = max(row for row in range(number) if "- Sid:" in lines[row])
        is_of_a_key = any(line.strip() == "KeyPolicy:" for line in lines[:sid])
        assert is_of_a_key or lines[sid - 1].strip().startswith("# "), f"{file.name}:{sid + 1}"


def test_only_the_stars_listed_here_are_allowed():
    resource_allowances = [one for _, _, one in resource_policies() if one["Effect"] == "Allow"]
    statements = [statement for _, statement in allowing()] + resource_allowances
    found = {action for one in statements for action in actions_of(one) if "*" in action}
    assert found == STARS.keys()


def test_every_statement_has_a_name_and_says_what_it_means():
    for where, name, policy, document in identity_policies():
        for statement in document["Statement"]:
            assert statement["Sid"].isalnum(), (where, name, policy)
            assert not statement.keys() & {"NotAction", "NotResource", "NotPrincipal"}


def test_a_role_is_passed_to_a_named_service_only():
    passing = [one for one in allowing() if "iam:PassRole" in actions_of(one[1])]
    assert len(passing) >= 4
    for place, statement in passing:
        assert actions_of(statement) == ["iam:PassRole"], place
        assert "iam:PassedToService" in statement["Condition"]["StringEquals"], place
        assert "*" not in listed(statement["Resource"]), place


def test_images_come_from_the_account_and_from_registries_that_are_named():
    own = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${ImageRepositoryPrefix}*"
    for role in ("AirflowRole", "SageMakerRole"):
        pulling = [
            one for place, one in allowing() if role in place and "ecr:BatchGetImage" in actions_of(one)
        ]
        assert [one["Resource"] for one in pulling] == [{"Fn::Sub": own}, {"Ref": "ImageRepositoryArns"}]
    assert template("roles").content["Parameters"]["ImageRepositoryArns"]["Default"] == ""


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1", "us-gov-west-1", "eu-south-2", "xx-new-1"])
def test_a_deployment_names_the_registries_that_amazons_images_lie_in(region):
    images = yaml.safe_load((STACK_TEMPLATES.parent / "images.yaml").read_text(encoding="utf-8"))
    wanted = {regions[region] for regions in images["accounts"].values() if region in regions}
    environment = Environment(name="any", account="123456789012", region=region)
    told = environment.given_values["ImageRepositoryArns"]
    arns = [arn.split(":") for arn in told.split(",") if arn]
    assert {account for *_, account, _ in arns} == wanted
    partitions = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
    partition = next((one for begin, one in partitions.items() if region.startswith(begin)), "aws")
    assert {tuple(arn[:4]) for arn in arns} <= {("arn", partition, "ecr", region)}
    own = environment.model_copy(update={"parameters": {"ImageRepositoryArns": "arn:own"}})
    assert own.given_values["ImageRepositoryArns"] == "arn:own"


def test_a_service_takes_up_a_role_for_this_account_only():
    roles = list(resources("AWS::IAM::Role"))
    assert len(roles) >= 6
    for where, name, declared in roles:
        for statement in declared["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            services = set(listed(statement["Principal"]["Service"]))
            if services <= WITHOUT_SOURCE:
                assert "Condition" not in statement, (where, name)
            else:
                assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {
                    "Ref": "AWS::AccountId"
                }, (where, name)


def actions_of_cloudformation(kind: str) -> set[str]:
    """What CloudFormation calls to create, read and delete a resource, by its schema that cfn-lint brings."""
    schemas = Path(str(find_spec("cfnlint").origin)).parent / "data" / "schemas"
    name = json.loads((schemas / "providers" / "eu-west-1.json").read_text(encoding="utf-8"))[kind]
    schema = json.loads((schemas / "resources" / f"{name}.json").read_text(encoding="utf-8"))
    return {
        action for use in ("create", "read", "delete") for action in schema["handlers"][use]["permissions"]
    }


def test_cloudformation_may_do_what_making_and_ending_a_training_stack_takes():
    kinds = {declared["Type"] for declared in template("training-stack").content["Resources"].values()}
    called = {action for kind in kinds for action in actions_of_cloudformation(kind)}
    patterns = [
        pattern
        for statement in statements_of("training-stacks", "StackRole", "training-stacks")
        for pattern in actions_of(statement)
    ]
    forbidden = {action for action in called if not any(fnmatchcase(action, one) for one in patterns)}
    assert forbidden == OF_OTHER_PROPERTIES


def test_what_runs_code_of_people_has_a_boundary():
    bounded = {
        name for _, name, role in resources("AWS::IAM::Role") if "PermissionsBoundary" in role["Properties"]
    }
    assert bounded == {"AirflowRole", "InstanceRole", "SageMakerRole"}


def test_everybody_is_a_principal_in_refusals_and_under_the_key_only():
    for where, name, statement in resource_policies():
        principal = statement["Principal"]
        if "*" not in ([principal] if isinstance(principal, str) else listed(principal.get("AWS", []))):
            continue
        if statement["Effect"] == "Allow":
            assert (where, name) == ("storage", "Key")
            equal = statement["Condition"]["StringEquals"]
            assert equal["kms:CallerAccount"] == {"Ref": "AWS::AccountId"}


def test_everything_at_rest_is_encrypted_with_the_key():
    key, made = {"Ref": "KeyArn"}, {"Fn::GetAtt": ["Key", "Arn"]}
    wanted = {
        "AWS::SNS::Topic": {"KmsMasterKeyId": key},
        "AWS::SQS::Queue": {"KmsMasterKeyId": key},
        "AWS::SecretsManager::Secret": {"KmsKeyId": key},
        "AWS::RDS::DBCluster": {"KmsKeyId": key, "StorageEncrypted": True},
        "AWS::MWAA::Environment": {"KmsKey": key},
    }
    found = list(resources(*wanted))
    assert {declared["Type"] for _, _, declared in found} == wanted.keys()
    for where, name, declared in found:
        properties = declared["Properties"]
        assert wanted[declared["Type"]].items() <= properties.items(), (where, name)
    for _, name, declared in resources("AWS::S3::Bucket"):
        (rule,) = declared["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule == {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": made},
        }, name
    ((_, _, owned),) = resources("AWS::KMS::Key")
    assert owned["Properties"]["EnableKeyRotation"] is True
    for _, name, declared in resources("AWS::EC2::LaunchTemplate"):
        for device in declared["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"]:
            assert device["Ebs"]["Encrypted"] is True, name


def test_jobs_may_use_the_key_also_without_s3_and_give_it_to_nobody():
    using = [
        one
        for one in statements_of("roles", "SageMakerRole", "pipeline")
        if any(action.startswith("kms:") for action in actions_of(one))
    ]
    wanted = {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"}
    (statement,) = using
    assert (set(actions_of(statement)), statement["Resource"]) == (wanted, {"Ref": "KeyArn"})
    assert "Condition" not in statement


def test_whoever_delivers_may_use_the_key():
    delivering = {
        service
        for where, _, statement in resource_policies()
        if where != "storage" and statement["Effect"] == "Allow"
        for service in listed(statement["Principal"].get("Service", []))
    }
    assert delivering == {"cloudwatch.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com"}
    may = {
        service
        for where, name, statement in resource_policies()
        if (where, name) == ("storage", "Key")
        and {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(actions_of(statement))
        for service in listed(statement["Principal"].get("Service", []))
        if isinstance(service, str)
    }
    assert may == delivering
    # This one delivers by a role.
    scheduler = {
        action
        for one in statements_of("training-stacks", "SchedulerRole", "end-stacks")
        for action in actions_of(one)
    }
    assert {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"} <= scheduler


def test_nothing_is_public():
    buckets = list(resources("AWS::S3::Bucket"))
    assert len(buckets) == 2
    for _, name, declared in buckets:
        block = declared["Properties"]["PublicAccessBlockConfiguration"]
        assert list(block.values()) == [True] * 4, name
    for _, name, declared in resources("AWS::EC2::SecurityGroup"):
        for rule in declared["Properties"].get("SecurityGroupIngress", []):
            assert "SourceSecurityGroupId" in rule, name
            assert not rule.keys() & {"CidrIp", "CidrIpv6"}, name
    for _, name, declared in resources("AWS::EC2::SecurityGroupIngress"):
        assert "SourceSecurityGroupId" in declared["Properties"], name
    for _, name, declared in resources("AWS::EC2::Subnet"):
        assert declared["Properties"]["MapPublicIpOnLaunch"] is False, name
    for _, name, declared in resources("AWS::RDS::DBInstance"):
        assert declared["Properties"]["PubliclyAccessible"] is False, name
    parameters = template("airflow").content["Parameters"]
    assert parameters["WebserverAccessMode"]["Default"] == "PRIVATE_ONLY"


def descriptions_of_security_groups() -> Iterator[str]:
    for _, _, declared in resources("AWS::EC2::SecurityGroup"):
        properties = declared["Properties"]
        yield properties["GroupDescription"]
        for direction in ("SecurityGroupIngress", "SecurityGroupEgress"):
            yield from (rule["Description"] for rule in properties.get(direction, []))
    for _, _, declared in resources("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        yield declared["Properties"]["Description"]


def test_security_groups_are_described_in_characters_that_ec2_accepts():
    found = list(descriptions_of_security_groups())
    assert len(found) >= 8
    accepted = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=;{}!$*]{1,255}")
    assert [text for text in found if not accepted.fullmatch(text)] == []


def test_everything_on_its_way_is_encrypted():
    refusals = {
        statement["Resource"][0]["Fn::Sub"]
        for where, _, statement in resource_policies()
        if where == "storage"
        and statement["Effect"] == "Deny"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        and statement["Action"] == "s3:*"
    }
    assert refusals == {
        "arn:${AWS::Partition}:s3:::${Bucket}",
        "arn:${AWS::Partition}:s3:::${CodeBucket}",
    }
    assert template("storage").content["Parameters"]["RequireTls"]["Default"] == "true"
    ((_, _, group),) = resources("AWS::RDS::DBClusterParameterGroup")
    assert group["Properties"]["Parameters"]["require_secure_transport"] == "ON"
    assert template("airflow").content["Parameters"]["DatabaseCaFile"]["Default"].endswith(".pem")


def test_what_holds_data_outlives_its_stack_and_says_so():
    policies = {
        "AWS::KMS::Key": "RetainExceptOnCreate",
        "AWS::Logs::LogGroup": "Delete",
        "AWS::RDS::DBCluster": "Snapshot",
        "AWS::RDS::DBInstance": "Delete",
        "AWS::S3::Bucket": "RetainExceptOnCreate",
        "AWS::SecretsManager::Secret": "Delete",
    }
    found = list(resources(*policies))
    assert {declared["Type"] for _, _, declared in found} == policies.keys()
    for where, name, declared in found:
        both = (declared["DeletionPolicy"], declared["UpdateReplacePolicy"])
        policy = policies[declared["Type"]]
        assert both == (policy, policy.removesuffix("ExceptOnCreate")), (where, name)


def test_everything_is_tagged_with_its_environment():
    tags = stack_request("prod", read_template("network"), {})["Tags"]
    assert tags == [{"Key": "vigil:environment", "Value": "prod"}]
    ((_, _, airflow),) = resources("AWS::MWAA::Environment")
    assert airflow["Properties"]["Tags"] == {"vigil:environment": {"Ref": "Environment"}}


def test_each_template_is_fed_by_those_before_it():
    known = {"Environment"}
    for name in (name for name in ORDER if (FOLDER / f"{name}.yaml").exists()):
        content = read_template(name).content
        needed = {key for key, one in content["Parameters"].items() if "Default" not in one}
        assert needed - known <= UPLOADED, name
        known |= content["Outputs"].keys()
        assert content["Parameters"]["Environment"]["AllowedPattern"] == "[a-z][a-z0-9-]{1,15}"


def test_no_template_is_bound_to_one_partition():
    assert {file.name for file in TEMPLATES if "arn:aws:" in file.read_text(encoding="utf-8")} == set()


def test_every_template_is_small_enough_to_be_sent_as_it_is():
    assert {file.name for file in TEMPLATES if file.stat().st_size > BODY_LIMIT} == set()
