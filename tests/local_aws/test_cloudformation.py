from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_aws_support import PROJECT

ACCOUNT = "123456789012"


@pytest.fixture(scope="session")
def stacks(client: Any) -> Any:
    return client("cloudformation")


def body(resources: dict[str, Any], **sections: Any) -> str:
    return json.dumps({"Resources": resources} | sections)


def create(stacks: Any, name: str, resources: dict[str, Any], **changes: Any) -> Any:
    sections = {
        key: changes.pop(key) for key in list(changes) if key in ("Outputs", "Parameters_", "Conditions")
    }
    if "Parameters_" in sections:
        sections["Parameters"] = sections.pop("Parameters_")
    stacks.create_stack(StackName=name, TemplateBody=body(resources, **sections), **changes)
    return describe(stacks, name)


def update(stacks: Any, name: str, resources: dict[str, Any], **changes: Any) -> Any:
    stacks.update_stack(StackName=name, TemplateBody=body(resources), **changes)
    return describe(stacks, name)


def describe(stacks: Any, name: str) -> Any:
    return stacks.describe_stacks(StackName=name)["Stacks"][0]


def outputs(stack: Any) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def resource(type_name: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{type_name}", "Properties": properties}


def queue_names(client: Any, prefix: str) -> list[str]:
    urls = client("sqs").list_queues(QueueNamePrefix=prefix).get("QueueUrls", [])
    return sorted(url.rsplit("/", 1)[1] for url in urls)


def attributes(client: Any, name: str) -> dict[str, str]:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def test_the_projects_own_template_is_provisioned_updated_and_deleted(stacks, client, name):
    template = (PROJECT / "deploy/pipeline.yaml").read_text()
    environment = f"e{name[2:14]}"
    parameters = [
        {"ParameterKey": "Environment", "ParameterValue": environment},
        {"ParameterKey": "ModelName", "ParameterValue": name},
        {"ParameterKey": "KeyArn", "ParameterValue": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/any"},
    ]
    given = {"StackName": name, "Parameters": parameters, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stacks.create_stack(TemplateBody=template, **given)
    stack = describe(stacks, name)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    declared = template.split("\nResources:\n")[1].split("\nOutputs:\n")[0].count("\n    Type: AWS::")
    assert declared > 5
    assert len(stacks.describe_stack_resources(StackName=name)["StackResources"]) == declared
    assert all(outputs(stack).values())
    client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
    notices_and_pushes_arrive(client, name, outputs(stack))
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update_stack(TemplateBody=template, **given)
    parameters.append({"ParameterKey": "ImageRepositoryPrefix", "ParameterValue": "other/"})
    stacks.update_stack(TemplateBody=template, **given)
    push(client, name, "v2")
    assert pushes(client, outputs(stack), name) == []
    stacks.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="does not exist"):
        describe(stacks, name)
    with pytest.raises(ClientError, match="does not exist"):
        client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)


def notices_and_pushes_arrive(client: Any, name: str, made: dict[str, str]) -> None:
    client("sns").publish(TopicArn=made["OperationsTopicArn"], Message="a notice")
    assert [one["Body"] for one in messages(client, made["OperationsQueueUrl"])] == ["a notice"]
    client("ecr").create_repository(repositoryName=name)
    pushed = push(client, name, "v1")
    assert pushes(client, made, name) == [pushed]
    queue = made["ImagePushQueueUrl"].rsplit("/", 1)[1]
    redrive = json.loads(attributes(client, queue)["RedrivePolicy"])
    dead_letters = made["ImagePushDeadLetterQueueUrl"].rsplit("/", 1)[1]
    assert redrive["deadLetterTargetArn"].endswith(f":{dead_letters}")


def push(client: Any, repository: str, tag: str) -> str:
    manifest = json.dumps({"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [tag]})
    put = client("ecr").put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
    return str(put["image"]["imageId"]["imageDigest"])


def pushes(client: Any, made: dict[str, str], repository: str) -> list[str]:
    """Digests that the queue tells of; other tests push into repositories of theirs."""
    details = [json.loads(one["Body"])["detail"] for one in messages(client, made["ImagePushQueueUrl"])]
    return [one["image-digest"] for one in details if one["repository-name"] == repository]


def messages(client: Any, queue: str) -> list[Any]:
    return list(client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []))


def test_a_type_that_nobody_knows_is_refused_and_nothing_is_made(stacks, client, name):
    resources = {"A": resource("SQS::Queue", QueueName=name), "B": {"Type": "AWS::Nope::Thing"}}
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::Nope::Thing\]") as caught:
        create(stacks, name, resources)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert queue_names(client, name) == []
    create(stacks, name, {"A": resource("SQS::Queue", QueueName=name)})
    with pytest.raises(ClientError, match="Unrecognized resource types") as caught:
        update(stacks, name, resources)
    assert describe(stacks, name)["StackStatus"] == "CREATE_COMPLETE"
    assert queue_names(client, name) == [name]


def test_a_creation_that_fails_rolls_back_and_says_why(stacks, client, name):
    nobody = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}-nobody"
    arn = {"Fn::GetAtt": ["Queue", "Arn"]}
    stack = create(
        stacks,
        name,
        {
            "Queue": resource("SQS::Queue", QueueName=name),
            "Subscription": resource("SNS::Subscription", TopicArn=nobody, Protocol="sqs", Endpoint=arn),
        },
    )
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Topic does not exist" in stack["StackStatusReason"]
    assert queue_names(client, name) == []
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert [event["LogicalResourceId"] for event in failed] == ["Subscription"]
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        update(stacks, name, {"Queue": resource("SQS::Queue")})
    stacks.delete_stack(StackName=name)
    assert create(stacks, name, {"Queue": resource("SQS::Queue")})["StackStatus"] == "CREATE_COMPLETE"


def test_an_update_changes_adds_and_removes(stacks, client, name):
    before = {
        "Kept": resource("SQS::Queue", QueueName=f"{name}-kept", VisibilityTimeout=40, DelaySeconds=5),
        "Gone": resource("SQS::Queue", QueueName=f"{name}-gone"),
    }
    after = {
        "Kept": resource("SQS::Queue", QueueName=f"{name}-kept", VisibilityTimeout=50),
        "New": resource("SQS::Queue", QueueName=f"{name}-new"),
    }
    create(stacks, name, before)
    assert attributes(client, f"{name}-kept")["VisibilityTimeout"] == "40"
    assert update(stacks, name, after)["StackStatus"] == "UPDATE_COMPLETE"
    kept = attributes(client, f"{name}-kept")
    assert (kept["VisibilityTimeout"], kept["DelaySeconds"]) == ("50", "0")
    assert queue_names(client, name) == [f"{name}-kept", f"{name}-new"]


def test_an_update_that_fails_goes_back_to_what_was(stacks, client, name):
    before = {"Queue": resource("SQS::Queue", QueueName=name, VisibilityTimeout=40)}
    after = {
        "Queue": resource("SQS::Queue", QueueName=name, VisibilityTimeout=50),
        "Bad": {**resource("S3::Bucket", BucketName="x"), "DependsOn": "Queue"},
    }
    create(stacks, name, before)
    stack = update(stacks, name, after)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert attributes(client, name)["VisibilityTimeout"] == "40"
    assert update(stacks, name, {"Queue": after["Queue"]})["StackStatus"] == "UPDATE_COMPLETE"


def test_a_new_name_replaces_the_resource_and_those_that_refer_to_it(stacks, client, name):
    def resources(suffix: str) -> dict[str, Any]:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": suffix}]}
        return {
            "Queue": resource("SQS::Queue", QueueName=f"{name}-{suffix}"),
            "Policy": resource("SQS::QueuePolicy", Queues=[{"Ref": "Queue"}], PolicyDocument=policy),
        }

    create(stacks, name, resources("a"))
    assert update(stacks, name, resources("b"))["StackStatus"] == "UPDATE_COMPLETE"
    assert queue_names(client, name) == [f"{name}-b"]
    assert json.loads(attributes(client, f"{name}-b")["Policy"])["Statement"][0]["Sid"] == "b"


def test_a_change_that_needs_replacement_under_the_same_name_is_refused(stacks, client, name):
    create(stacks, name, {"Role": role(name, Path="/a/")}, Capabilities=["CAPABILITY_NAMED_IAM"])
    stack = update(stacks, name, {"Role": role(name, Path="/b/")}, Capabilities=["CAPABILITY_NAMED_IAM"])
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert client("iam").get_role(RoleName=name)["Role"]["Path"] == "/a/"


def role(name: str, **changes: Any) -> dict[str, Any]:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
    return resource("IAM::Role", RoleName=name, AssumeRolePolicyDocument=trust, **changes)


def test_a_parameter_reaches_a_substitution_when_it_changes(stacks, client, name):
    resources = {
        "Group": resource("Logs::LogGroup", LogGroupName={"Fn::Sub": "/${Prefix}/${AWS::StackName}"})
    }
    parameters = {"Prefix": {"Type": "String", "AllowedPattern": "[a-z]+"}}

    def given(value: str) -> dict[str, Any]:
        return {"Parameters": [{"ParameterKey": "Prefix", "ParameterValue": value}]}

    create(stacks, name, resources, Parameters_=parameters, **given("one"))
    stacks.update_stack(StackName=name, TemplateBody=body(resources, Parameters=parameters), **given("two"))
    logs = client("logs")
    assert [
        len(logs.describe_log_groups(logGroupNamePrefix=f"/{one}/{name}")["logGroups"])
        for one in ("one", "two")
    ] == [0, 1]
    with pytest.raises(ClientError, match="Parameter 'Prefix' must match pattern"):
        create(stacks, f"{name}-x", resources, Parameters_=parameters, **given("THREE"))
    with pytest.raises(ClientError, match=r"Parameters: \[Prefix\] must have values"):
        create(stacks, f"{name}-x", resources, Parameters_=parameters)
    with pytest.raises(ClientError, match=r"Parameters: \[Prefix\] do not exist in the template"):
        create(stacks, f"{name}-x", {"Q": resource("SQS::Queue")}, **given("one"))


def test_conditions_and_outputs_hold(stacks, client, name):
    stack = create(
        stacks,
        name,
        {
            "Made": resource("SNS::Topic", TopicName=name),
            "NotMade": resource("SNS::Topic", TopicName=f"{name}-not") | {"Condition": "Never"},
        },
        Conditions={"Never": {"Fn::Equals": ["a", "b"]}},
        Outputs={
            "Arn": {"Value": {"Ref": "Made"}},
            "Name": {"Value": {"Fn::GetAtt": ["Made", "TopicName"]}},
            "Text": {"Value": {"Fn::Join": ["-", [{"Ref": "AWS::Region"}, {"Ref": "AWS::AccountId"}]]}},
            "Absent": {"Value": {"Ref": "NotMade"}, "Condition": "Never"},
        },
    )
    assert outputs(stack) == {
        "Arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}",
        "Name": name,
        "Text": f"us-east-1-{ACCOUNT}",
    }
    arns = [topic["TopicArn"] for topic in client("sns").list_topics()["Topics"]]
    assert not any(arn.endswith(f"{name}-not") for arn in arns)


def test_iam_needs_to_be_acknowledged(stacks, name):
    named, unnamed = {"R": role(name)}, {"R": role(name)}
    del unnamed["R"]["Properties"]["RoleName"]
    for resources, given, wanted in (
        (named, [], "CAPABILITY_NAMED_IAM"),
        (named, ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM"),
        (unnamed, [], "CAPABILITY_IAM"),
    ):
        with pytest.raises(ClientError, match=rf"Requires capabilities : \[{wanted}\]") as caught:
            create(stacks, name, resources, Capabilities=given)
        assert caught.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"
    stack = create(stacks, name, unnamed, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def test_a_retained_resource_outlives_its_stack(stacks, client, name):
    create(stacks, name, {"Queue": resource("SQS::Queue", QueueName=name) | {"DeletionPolicy": "Retain"}})
    stacks.delete_stack(StackName=name)
    assert queue_names(client, name) == [name]


def test_what_is_retained_except_on_creation_stands_in_no_second_try(stacks, client, name):
    nobody = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}-nobody"
    queue = resource("SQS::Queue", QueueName=name) | {"DeletionPolicy": "RetainExceptOnCreate"}
    arn = {"Fn::GetAtt": ["Queue", "Arn"]}
    fails = resource("SNS::Subscription", TopicArn=nobody, Protocol="sqs", Endpoint=arn)
    stack = create(stacks, name, {"Queue": queue, "Subscription": fails})
    assert (stack["StackStatus"], queue_names(client, name)) == ("ROLLBACK_COMPLETE", [])
    stacks.delete_stack(StackName=name)
    create(stacks, name, {"Other": resource("SQS::Queue", QueueName=f"{name}-other")})
    stack = update(stacks, name, {"Queue": queue, "Subscription": fails})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert queue_names(client, name) == [f"{name}-other"]
    update(stacks, name, {"Queue": queue})
    stacks.delete_stack(StackName=name)
    assert queue_names(client, name) == [name]


def test_a_bucket_that_holds_objects_keeps_its_stack(stacks, client, name):
    create(stacks, name, {"Bucket": resource("S3::Bucket", BucketName=name)})
    client("s3").put_object(Bucket=name, Key="k", Body=b"1")
    stacks.delete_stack(StackName=name)
    assert describe(stacks, name)["StackStatus"] == "DELETE_FAILED"
    client("s3").delete_object(Bucket=name, Key="k")
    stacks.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="does not exist"):
        describe(stacks, name)


def test_a_circle_is_refused(stacks, name):
    resources = {
        "A": resource("SQS::Queue", QueueName={"Fn::GetAtt": ["B", "QueueName"]}),
        "B": resource("SQS::Queue", QueueName={"Fn::Sub": "${A.QueueName}"}),
    }
    with pytest.raises(ClientError, match=r"Circular dependency between resources: \[A, B\]"):
        create(stacks, name, resources)


def test_a_buckets_settings_follow_its_template(stacks, client, name):
    s3 = client("s3")
    rule = {"Id": "old", "Status": "Enabled", "Prefix": "exports/", "ExpirationInDays": 30}
    queue = {"Fn::GetAtt": ["Queue", "Arn"]}
    full = resource(
        "S3::Bucket",
        BucketName=name,
        VersioningConfiguration={"Status": "Enabled"},
        BucketEncryption={
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
            ]
        },
        PublicAccessBlockConfiguration={"BlockPublicAcls": True, "RestrictPublicBuckets": False},
        LifecycleConfiguration={"Rules": [rule]},
        NotificationConfiguration={
            "EventBridgeConfiguration": {"EventBridgeEnabled": True},
            "QueueConfigurations": [{"Event": "s3:ObjectCreated:*", "Queue": queue}],
        },
        Tags=[{"Key": "team", "Value": "a"}],
    )
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*"}]}
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}
    resources = {
        "Rule": resource(
            "Events::Rule", EventPattern=pattern, Targets=[{"Id": "q", "Arn": queue, "Input": '"by the bus"'}]
        ),
        "Bucket": full,
        "Queue": resource("SQS::Queue", QueueName=name),
        "Policy": resource("S3::BucketPolicy", Bucket={"Ref": "Bucket"}, PolicyDocument=policy),
    }
    stack = create(stacks, name, resources)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatusReason"]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert (block["BlockPublicAcls"], block["RestrictPublicBuckets"]) == (True, False)
    lifecycle = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert (lifecycle[0]["ID"], lifecycle[0]["Expiration"]["Days"]) == ("old", 30)
    told = s3.get_bucket_notification_configuration(Bucket=name)
    assert told["QueueConfigurations"][0]["QueueArn"].endswith(f":{name}")
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]) == policy
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "team", "Value": "a"}]
    url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    messages = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sum("ObjectCreated:Put" in message["Body"] for message in messages) == 1
    assert sum(message["Body"] == '"by the bus"' for message in messages) == 1
    bare = {"Bucket": resource("S3::Bucket", BucketName=name), "Queue": resources["Queue"]}
    assert update(stacks, name, bare)["StackStatus"] == "UPDATE_COMPLETE"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Suspended"
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=name)
    for gone in (s3.get_bucket_lifecycle_configuration, s3.get_bucket_policy, s3.get_public_access_block):
        with pytest.raises(ClientError):
            gone(Bucket=name)


def test_a_subscription_delivers_as_its_properties_say(stacks, client, name):
    def resources(**changes: Any) -> dict[str, Any]:
        arn = {"Fn::GetAtt": ["Queue", "Arn"]}
        where = {"TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": arn}
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": "mine"}]}
        return {
            "Topic": resource("SNS::Topic", TopicName=name),
            "Queue": resource("SQS::Queue", QueueName=name),
            "Subscription": resource("SNS::Subscription", **where, **changes),
            "Policy": resource("SNS::TopicPolicy", Topics=[{"Ref": "Topic"}], PolicyDocument=policy),
        }

    create(stacks, name, resources(RawMessageDelivery=True))
    sqs, sns = client("sqs"), client("sns")
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}"
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    assert "mine" in sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    sns.publish(TopicArn=topic, Message="raw")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "raw"
    update(stacks, name, resources())
    sns.publish(TopicArn=topic, Message="wrapped")
    assert json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])["Message"] == "wrapped"
    without = resources()
    del without["Subscription"], without["Policy"]
    update(stacks, name, without)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []
    assert "mine" not in sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]


def test_a_fifo_topic_and_queue_are_fifo(stacks, client, name):
    resources = {
        "Topic": resource("SNS::Topic", TopicName=f"{name}.fifo", FifoTopic=True),
        "Queue": resource("SQS::Queue", FifoQueue=True, ContentBasedDeduplication=True),
    }
    stack = create(stacks, name, resources, Outputs={"Url": {"Value": {"Ref": "Queue"}}})
    assert outputs(stack)["Url"].endswith(".fifo")
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}.fifo"
    assert client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["FifoTopic"] == "true"


def test_roles_policies_and_profiles_follow_their_template(stacks, client, name):
    def document(action: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return {"Version": "2012-10-17", "Statement": [statement]}

    def resources(action: str, inline: list[str]) -> dict[str, Any]:
        policies = [{"PolicyName": one, "PolicyDocument": document(action)} for one in inline]
        managed = [{"Ref": "Managed"}]
        return {
            "Role": role(name, Policies=policies, ManagedPolicyArns=managed, Description=action),
            "Managed": resource(
                "IAM::ManagedPolicy", ManagedPolicyName=name, PolicyDocument=document(action)
            ),
            "Profile": resource("IAM::InstanceProfile", InstanceProfileName=name, Roles=[{"Ref": "Role"}]),
        }

    iam, leave = client("iam"), {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stack = create(stacks, name, resources("s3:GetObject", ["a", "b"]), **leave)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatusReason"]
    assert update(stacks, name, resources("s3:PutObject", ["b"]), **leave)["StackStatus"] == "UPDATE_COMPLETE"
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "s3:PutObject"
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["b"]
    inline = iam.get_role_policy(RoleName=name, PolicyName="b")["PolicyDocument"]
    assert inline == document("s3:PutObject")
    (attached,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    arn = attached["PolicyArn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    managed = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    assert managed == document("s3:PutObject")
    profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [one["RoleName"] for one in profile["Roles"]] == [name]
    stacks.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="not found"):
        iam.get_role(RoleName=name)


def test_a_role_keeps_to_its_boundary_and_loses_it_when_the_template_does(stacks, client, name):
    def arn(policy: str) -> str:
        return f"arn:aws:iam::{ACCOUNT}:policy/{policy}"

    iam, leave = client("iam"), {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    tags = [{"Key": "a", "Value": "1"}]
    create(stacks, name, {"Role": role(name, PermissionsBoundary=arn("a"), Tags=tags)}, **leave)
    made = iam.get_role(RoleName=name)["Role"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn("a")
    update(stacks, name, {"Role": role(name, PermissionsBoundary=arn("b"))}, **leave)
    made = iam.get_role(RoleName=name)["Role"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn("b")
    assert not made.get("Tags")
    update(stacks, name, {"Role": role(name)}, **leave)
    assert "PermissionsBoundary" not in iam.get_role(RoleName=name)["Role"]
    stack = update(stacks, name, {"Role": role(name, PermissionBoundary=arn("a"))}, **leave)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    failed = [event["ResourceStatusReason"] for event in events_of(stacks, name, "UPDATE_FAILED")]
    assert failed == ["Encountered unsupported property PermissionBoundary"]


def events_of(stacks: Any, name: str, status: str) -> list[Any]:
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    return [event for event in events if event["ResourceStatus"] == status]


def test_rules_schedules_and_log_groups_follow_their_template(stacks, client, name):
    target = {"Id": "queue", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"}
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:*"}
    made = client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    schedule_target = {"Arn": target["Arn"], "RoleArn": made["Role"]["Arn"]}
    key = "arn:aws:kms:eu-west-1:123456789012:key/any"

    def resources(source: str, days: int, state: str, targets: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "Rule": resource(
                "Events::Rule", Name=name, State=state, EventPattern={"source": [source]}, Targets=targets
            ),
            "Group": resource("Logs::LogGroup", LogGroupName=name, RetentionInDays=days, KmsKeyId=key),
            "Schedule": resource(
                "Scheduler::Schedule",
                Name=name,
                ScheduleExpression=f"rate({days} days)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target=schedule_target,
            ),
        }

    events, logs, scheduler = client("events"), client("logs"), client("scheduler")
    stack = create(stacks, name, resources("aws.s3", 7, "ENABLED", [target]))
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatusReason"]
    assert events.list_targets_by_rule(Rule=name)["Targets"] == [target]
    after = update(stacks, name, resources("aws.ecr", 30, "DISABLED", [{**target, "Id": "other"}]))
    assert after["StackStatus"] == "UPDATE_COMPLETE"
    rule = events.describe_rule(Name=name)
    assert (json.loads(rule["EventPattern"]), rule["State"]) == ({"source": ["aws.ecr"]}, "DISABLED")
    assert [one["Id"] for one in events.list_targets_by_rule(Rule=name)["Targets"]] == ["other"]
    (group,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert (group["retentionInDays"], group["kmsKeyId"]) == (30, key)
    assert scheduler.get_schedule(Name=name)["ScheduleExpression"] == "rate(30 days)"
    stacks.delete_stack(StackName=name)
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []
    assert not events.list_rules(NamePrefix=name)["Rules"]


def propose(stacks: Any, name: str, kind: str, resources: dict[str, Any], **changes: Any) -> Any:
    """Make a change set called "next"; another stack's may be called so too."""
    given = {"StackName": name, "ChangeSetName": "next"}
    stacks.create_change_set(**given, ChangeSetType=kind, TemplateBody=body(resources), **changes)
    return stacks.describe_change_set(**given)


def told(change_set: Any) -> dict[str, tuple[str, ...]]:
    changes = [one["ResourceChange"] for one in change_set["Changes"]]
    return {
        one["LogicalResourceId"]: (one["Action"], one["ResourceType"], one.get("Replacement", ""))
        for one in changes
    }


def test_a_change_set_tells_what_would_be_and_makes_it_when_executed(stacks, client, name):
    queue, log_group = "AWS::SQS::Queue", "AWS::Logs::LogGroup"
    first = {
        "A": resource("SQS::Queue", QueueName=f"{name}-a"),
        "B": resource("SQS::Queue", QueueName=f"{name}-b"),
        "Logs": resource("Logs::LogGroup", LogGroupName={"Fn::GetAtt": ["A", "QueueName"]}),
    }
    proposed = propose(stacks, name, "CREATE", first)
    assert proposed["Status"] == "CREATE_COMPLETE"
    assert told(proposed) == {
        "A": ("Add", queue, ""),
        "B": ("Add", queue, ""),
        "Logs": ("Add", log_group, ""),
    }
    assert describe(stacks, name)["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert queue_names(client, name) == []
    stacks.execute_change_set(StackName=name, ChangeSetName="next")
    assert describe(stacks, name)["StackStatus"] == "CREATE_COMPLETE"
    assert queue_names(client, name) == [f"{name}-a", f"{name}-b"]
    with pytest.raises(ClientError, match="already exists and cannot be created again"):
        propose(stacks, name, "CREATE", first)

    second = {
        "A": resource("SQS::Queue", QueueName=f"{name}-z"),
        "C": resource("SQS::Queue", QueueName=f"{name}-c"),
        "Logs": first["Logs"],
    }
    propose(stacks, f"{name}-other", "CREATE", {"Z": resource("SQS::Queue")})
    proposed = propose(stacks, name, "UPDATE", second)
    assert told(proposed) == {
        "A": ("Modify", queue, "True"),
        "B": ("Remove", queue, ""),
        "C": ("Add", queue, ""),
        "Logs": ("Modify", log_group, "Conditional"),
    }
    assert queue_names(client, name) == [f"{name}-a", f"{name}-b"]
    stacks.execute_change_set(StackName=name, ChangeSetName="next")
    assert describe(stacks, name)["StackStatus"] == "UPDATE_COMPLETE"
    assert queue_names(client, name) == [f"{name}-c", f"{name}-z"]
    groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert [group["logGroupName"] for group in groups] == [f"{name}-z"]


def test_a_change_set_sees_what_a_parameter_changes(stacks, client, name):
    template = {
        "Parameters": {"Seconds": {"Type": "Number", "Default": 30}},
        "Resources": {
            "A": resource("SQS::Queue", QueueName=f"{name}-a", VisibilityTimeout={"Ref": "Seconds"}),
            "B": resource("SQS::Queue", QueueName=f"{name}-b"),
        },
    }
    given = {"StackName": name, "TemplateBody": json.dumps(template)}
    stacks.create_stack(**given)
    later = [{"ParameterKey": "Seconds", "ParameterValue": "60"}]
    stacks.create_change_set(**given, ChangeSetName="later", ChangeSetType="UPDATE", Parameters=later)
    described = stacks.describe_change_set(StackName=name, ChangeSetName="later")
    assert told(described) == {"A": ("Modify", "AWS::SQS::Queue", "False")}
    with pytest.raises(ClientError, match="already exists"):
        stacks.create_change_set(**given, ChangeSetName="later", ChangeSetType="UPDATE", Parameters=later)
    (listed,) = stacks.list_change_sets(StackName=name)["Summaries"]
    assert (listed["ChangeSetName"], listed["StackName"]) == ("later", name)
    stacks.delete_change_set(StackName=name, ChangeSetName="later")
    with pytest.raises(ClientError) as caught:
        stacks.describe_change_set(StackName=name, ChangeSetName="later")
    assert caught.value.response["Error"]["Code"] == "ChangeSetNotFound"
    assert attributes(client, f"{name}-a")["VisibilityTimeout"] == "30"


def test_a_change_set_without_changes_has_failed_and_cannot_be_executed(stacks, name):
    resources = {"A": resource("SQS::Queue", QueueName=f"{name}-a")}
    create(stacks, name, resources, Tags=[{"Key": "team", "Value": "one"}])
    proposed = propose(stacks, name, "UPDATE", resources)
    assert (proposed["Status"], proposed["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert proposed["StatusReason"].startswith("The submitted information didn't contain changes.")
    with pytest.raises(ClientError) as caught:
        stacks.execute_change_set(StackName=name, ChangeSetName="next")
    assert caught.value.response["Error"]["Code"] == "InvalidChangeSetStatus"
    with pytest.raises(ClientError, match="StackName must be specified"):
        stacks.describe_change_set(ChangeSetName="next")


def test_what_the_patches_replace_is_still_there_in_moto():
    """A moto upgrade that renames one of these would leave a patch without effect."""
    from moto.cloudformation import models, parsing
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.common_models import BaseModel
    from moto.ecr.models import ECRBackend
    from moto.events.models import Rule
    from moto.s3 import models as s3_models
    from moto.s3 import notifications
    from moto.s3.responses import S3Response

    assert models.ResourceMap is parsing.ResourceMap
    for owner, names in (
        (models.Stack, "_create_resource_map create_resources update mark_creation_complete parse_template"),
        (
            models.CloudFormationBackend,
            "create_change_set describe_change_set delete_change_set execute_change_set "
            "delete_stack update_stack _resolve_update_parameters",
        ),
        (
            CloudFormationResponse,
            "create_stack update_stack create_change_set describe_change_set delete_change_set "
            "_validate_different_update _get_stack_from_s3_url",
        ),
        (parsing, "clean_json generate_resource_name get_model_map parse_and_create_resource NULL_MODELS"),
        (BaseModel, "__new__"),
        (ECRBackend, "put_image _get_repository"),
        (S3Response, "put_object copy_object _key_response_post parse_key_name"),
        (Rule, "send_to_targets _send_to_cw_log_group"),
        (notifications, "send_event _send_event_bridge_message _detail_type"),
        (s3_models.FakeKey, "__setstate__ value size dispose"),
    ):
        for one in names.split():
            assert hasattr(owner, one), f"{owner.__name__}.{one}"
    assert s3_models.notifications is notifications
