from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from instances_support import Cloud, cloud, processes_with
from local_aws_support import wait_until

AMI = {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"}
STAY = "echo begun; sleep 600"


@pytest.fixture(scope="module")
def cloud_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("stacks") / "state") as made:
        yield made


def user_data(script: str) -> dict[str, Any]:
    return {"Fn::Base64": {"Fn::Sub": f"#!/bin/sh\n# ${{AWS::StackName}}\n{script}\n"}}


def instance(cloud_: Cloud, script: str = STAY, **properties: Any) -> dict[str, Any]:
    wanted = {
        "ImageId": cloud_.image,
        "InstanceType": "t3.small",
        "InstanceInitiatedShutdownBehavior": "terminate",
        "UserData": user_data(script),
    } | properties
    return {"Type": "AWS::EC2::Instance", "Properties": wanted}


def create(cloud_: Cloud, name: str, resources: dict[str, Any], **changes: Any) -> Any:
    body = json.dumps({"Resources": resources, "Outputs": changes.pop("Outputs", {})})
    if not json.loads(body)["Outputs"]:
        body = json.dumps({"Resources": resources})
    cloud_.stacks.create_stack(StackName=name, TemplateBody=body, **changes)
    return describe(cloud_, name)


def update(cloud_: Cloud, name: str, resources: dict[str, Any], **changes: Any) -> Any:
    cloud_.stacks.update_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}), **changes)
    found = describe(cloud_, name)
    assert found["StackStatus"] == "UPDATE_COMPLETE", found.get("StackStatusReason")
    return found


def describe(cloud_: Cloud, name: str) -> Any:
    return cloud_.stacks.describe_stacks(StackName=name)["Stacks"][0]


def physical(cloud_: Cloud, name: str, logical: str) -> str:
    found = cloud_.stacks.describe_stack_resources(StackName=name, LogicalResourceId=logical)
    return str(found["StackResources"][0]["PhysicalResourceId"])


def tags(found: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


def test_an_instance_of_a_stack_runs_with_all_its_properties_and_goes_with_it(cloud_, name):
    iam = cloud_.server.client("iam")
    iam.create_instance_profile(InstanceProfileName=name)
    cloud_.ec2.create_key_pair(KeyName=name)
    subnet = cloud_.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    resources = {
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "nothing comes in", "SecurityGroupEgress": []},
        },
        "Machine": instance(
            cloud_,
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": "17"}}],
            IamInstanceProfile=name,
            KeyName=name,
            Monitoring="true",
            PropagateTagsToVolumeOnCreation=True,
            SecurityGroupIds=[{"Fn::GetAtt": ["Group", "GroupId"]}],
            SubnetId=subnet,
            Tags=[{"Key": "colour", "Value": "blue"}],
        ),
    }
    outputs = {
        part: {"Value": {"Fn::GetAtt": ["Machine", part]}}
        for part in ("InstanceId", "PrivateIp", "PrivateDnsName", "AvailabilityZone")
    }
    stack = create(cloud_, name, resources, Outputs=outputs, Tags=[{"Key": "of", "Value": "stack"}])
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    machine = physical(cloud_, name, "Machine")
    given = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    found = cloud_.describe(machine)
    assert given["InstanceId"] == machine
    assert given["PrivateIp"] == found["PrivateIpAddress"]
    assert (found["KeyName"], found["SubnetId"], found["Monitoring"]["State"]) == (name, subnet, "enabled")
    assert found["IamInstanceProfile"]["Arn"].endswith(f"/{name}")
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [physical(cloud_, name, "Group")]
    assert tags(found) == {
        "colour": "blue",
        "of": "stack",
        "aws:cloudformation:stack-name": name,
        "aws:cloudformation:stack-id": stack["StackId"],
        "aws:cloudformation:logical-id": "Machine",
    }
    volume = found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    (described,) = cloud_.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert (described["Size"], tags(described)["of"]) == (17, "stack")
    cloud_.says(machine, "begun")
    assert "Fn::" not in cloud_.console(machine)
    cloud_.stacks.delete_stack(StackName=name)
    assert cloud_.state(machine) == "terminated"
    assert "begun" in cloud_.console(machine)


def test_an_instance_that_ends_itself_leaves_a_stack_that_can_be_deleted(cloud_, name):
    assert create(cloud_, name, {"Machine": instance(cloud_, "poweroff")})["StackStatus"] == "CREATE_COMPLETE"
    cloud_.reaches(physical(cloud_, name, "Machine"), "terminated")
    cloud_.stacks.delete_stack(StackName=name)
    with pytest.raises(ClientError, match="does not exist"):
        describe(cloud_, name)


def test_deleting_a_stack_kills_what_its_instance_runs(cloud_, name):
    create(cloud_, name, {"Machine": instance(cloud_, "trap '' TERM; sleep 8654321; sleep 8654321")})
    wait_until(lambda: processes_with("sleep 8654321"))
    cloud_.stacks.delete_stack(StackName=name)
    assert not processes_with("sleep 8654321")


def test_a_launch_template_of_a_stack_boots_its_instance_and_a_new_version_replaces_it(cloud_, name):
    def resources(script: str) -> dict[str, Any]:
        data = {
            "ImageId": cloud_.image,
            "InstanceType": "t3.small",
            "InstanceInitiatedShutdownBehavior": "terminate",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": "12", "Encrypted": "true"}}
            ],
            "InstanceMarketOptions": {"Ref": "AWS::NoValue"},
            "KeyName": {"Fn::If": ["No", "nobodys", {"Ref": "AWS::NoValue"}]},
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "job", "Value": {"Ref": "AWS::StackName"}}]}
            ],
            "UserData": user_data(script),
        }
        template = {"LaunchTemplateId": {"Ref": "Template"}}
        version = {"Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}}
        return {
            "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
            "Machine": {
                "Type": "AWS::EC2::Instance",
                "Properties": {"LaunchTemplate": template | version},
            },
        }

    conditions = {"No": {"Fn::Equals": ["a", "b"]}}
    body = json.dumps({"Conditions": conditions, "Resources": resources("echo first; sleep 600")})
    cloud_.stacks.create_stack(StackName=name, TemplateBody=body)
    assert describe(cloud_, name)["StackStatus"] == "CREATE_COMPLETE", describe(cloud_, name)
    first, template = physical(cloud_, name, "Machine"), physical(cloud_, name, "Template")
    cloud_.says(first, "first")
    assert tags(cloud_.describe(first))["job"] == name
    body = json.dumps({"Conditions": conditions, "Resources": resources("echo second; sleep 600")})
    cloud_.stacks.update_stack(StackName=name, TemplateBody=body)
    assert describe(cloud_, name)["StackStatus"] == "UPDATE_COMPLETE", describe(cloud_, name)
    second = physical(cloud_, name, "Machine")
    assert physical(cloud_, name, "Template") == template
    cloud_.says(second, "second")
    assert (cloud_.state(first), cloud_.state(second)) == ("terminated", "running")
    versions = cloud_.ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"][0]
    assert (versions["LatestVersionNumber"], versions["DefaultVersionNumber"]) == (2, 1)
    cloud_.stacks.delete_stack(StackName=name)
    assert cloud_.state(second) == "terminated"


@pytest.mark.parametrize("changes", [{"UserData": user_data("echo again")}, {"InstanceType": "t3.large"}])
def test_changed_user_data_or_type_restarts_and_runs_nothing_anew(cloud_, name, changes):
    create(cloud_, name, {"Machine": instance(cloud_, "sleep 8654322")})
    machine = physical(cloud_, name, "Machine")
    wait_until(lambda: processes_with("sleep 8654322"))
    update(cloud_, name, {"Machine": instance(cloud_, "sleep 8654322", **changes)})
    assert physical(cloud_, name, "Machine") == machine
    cloud_.reaches(machine, "running")
    assert not processes_with("sleep 8654322")
    assert "again" not in cloud_.console(machine).replace("echo again", "")
    if "InstanceType" in changes:
        assert cloud_.describe(machine)["InstanceType"] == "t3.large"
    else:
        given = cloud_.ec2.describe_instance_attribute(InstanceId=machine, Attribute="userData")
        assert given["UserData"]["Value"]
    cloud_.stacks.delete_stack(StackName=name)


def test_what_can_be_changed_in_place_is_and_the_script_goes_on(cloud_, name):
    iam = cloud_.server.client("iam")
    iam.create_instance_profile(InstanceProfileName=name)
    group = cloud_.ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
    before = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}]
    create(cloud_, name, {"Machine": instance(cloud_, "sleep 8654323", Tags=before)})
    machine = physical(cloud_, name, "Machine")
    (running,) = wait_until(lambda: processes_with("sleep 8654323"))
    changed = {
        "Tags": [{"Key": "a", "Value": "2"}],
        "DisableApiTermination": True,
        "IamInstanceProfile": name,
        "SecurityGroupIds": [group],
        "InstanceInitiatedShutdownBehavior": "stop",
        "Monitoring": True,
    }
    new = [{"Key": "of", "Value": "stack"}]
    update(cloud_, name, {"Machine": instance(cloud_, "sleep 8654323", **changed)}, Tags=new)
    found = cloud_.describe(machine)
    assert physical(cloud_, name, "Machine") == machine
    assert processes_with("sleep 8654323") == [running]
    assert (tags(found)["a"], tags(found).get("b"), tags(found)["of"]) == ("2", None, "stack")
    assert found["IamInstanceProfile"]["Arn"].endswith(f"/{name}")
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    assert found["Monitoring"]["State"] == "enabled"
    cloud_.stacks.delete_stack(StackName=name)
    assert describe(cloud_, name)["StackStatus"] == "DELETE_FAILED"
    cloud_.ec2.modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": False})
    cloud_.stacks.delete_stack(StackName=name)
    assert cloud_.state(machine) == "terminated"


def test_a_changed_logical_id_or_image_makes_another_instance_before_the_old_one_goes(cloud_, name):
    create(cloud_, name, {"Machine": instance(cloud_)})
    first = physical(cloud_, name, "Machine")
    update(cloud_, name, {"MachineAnew": instance(cloud_)})
    second = physical(cloud_, name, "MachineAnew")
    assert (cloud_.state(first), cloud_.state(second)) == ("terminated", "running")
    cloud_.says(second, "begun")
    other = cloud_.ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"]
    image = next(one["ImageId"] for one in other if one["ImageId"] != cloud_.image)
    update(cloud_, name, {"MachineAnew": instance(cloud_, ImageId=image)})
    third = physical(cloud_, name, "MachineAnew")
    assert (cloud_.state(second), cloud_.state(third)) == ("terminated", "running")
    assert cloud_.describe(third)["LaunchTime"] <= cloud_.describe(second)["LaunchTime"].replace(year=9999)
    cloud_.stacks.delete_stack(StackName=name)
    assert cloud_.state(third) == "terminated"


def test_a_security_group_changes_its_rules_in_place(cloud_, name):
    def group(*ports: int, **more: Any) -> dict[str, Any]:
        rules = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": str(port), "CidrIp": "10.0.0.0/8"}
            for port in ports
        ]
        given = {"GroupDescription": "mine", "SecurityGroupIngress": rules, **more}
        return {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": given}}

    def ports() -> list[int]:
        found = cloud_.ec2.describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]
        return sorted(rule["FromPort"] for rule in found["IpPermissions"])

    create(cloud_, name, group(22, 443))
    identifier = physical(cloud_, name, "Group")
    assert ports() == [22, 443]
    update(cloud_, name, group(443, 8080))
    assert physical(cloud_, name, "Group") == identifier
    assert ports() == [443, 8080]
    update(cloud_, name, group(443, GroupDescription="another"))
    assert physical(cloud_, name, "Group") != identifier
    cloud_.stacks.delete_stack(StackName=name)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({"Type": "AWS::EC2::Instance", "Properties": {"Nope": 1}}, "extraneous key [Nope] is not permitted"),
        (
            {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"Nope": 1}}},
            "#/LaunchTemplateData: extraneous key [Nope] is not permitted",
        ),
        (
            {"Type": "AWS::EC2::Instance", "Properties": {"ImageId": "ami-00000000000000000"}},
            "does not exist",
        ),
        (
            {"Type": "AWS::EC2::Instance", "Properties": {"UserData": "#!/bin/sh"}},
            "Invalid BASE64 encoding of user data.",
        ),
    ],
)
def test_an_instance_that_cannot_be_made_rolls_its_stack_back_and_says_why(cloud_, name, resource, said):
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
        "Machine": resource | {"DependsOn": "Queue"},
    }
    stack = create(cloud_, name, resources)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert said in stack["StackStatusReason"]
    events = cloud_.stacks.describe_stack_events(StackName=name)["StackEvents"]
    told = {(one["LogicalResourceId"], one["ResourceStatus"]) for one in events}
    assert {("Machine", "CREATE_FAILED"), ("Queue", "CREATE_COMPLETE"), ("Queue", "DELETE_COMPLETE")} <= told
    cloud_.stacks.delete_stack(StackName=name)


def test_a_stack_that_fails_is_kept_or_deleted_as_its_maker_wishes(cloud_, name):
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
        "Machine": instance(cloud_, ImageId="ami-00000000000000000") | {"DependsOn": "Queue"},
    }
    sqs = cloud_.server.client("sqs")

    def queues() -> int:
        return len(sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []))

    for wish in ({"OnFailure": "DO_NOTHING"}, {"DisableRollback": True}):
        stack = create(cloud_, name, resources, **wish)
        assert (stack["StackStatus"], queues()) == ("CREATE_FAILED", 1)
        cloud_.stacks.delete_stack(StackName=name)
        assert queues() == 0
    body = json.dumps({"Resources": resources})
    made = cloud_.stacks.create_stack(StackName=name, TemplateBody=body, OnFailure="DELETE")["StackId"]
    assert (describe(cloud_, made)["StackStatus"], queues()) == ("DELETE_COMPLETE", 0)
    with pytest.raises(ClientError, match="You cannot specify both"):
        create(cloud_, name, resources, OnFailure="DELETE", DisableRollback=True)


def test_a_stack_deleted_while_it_is_made_leaves_nothing_running(cloud_, name):
    machines = {f"Machine{number}": instance(cloud_, "sleep 8654324") for number in range(4)}
    making = threading.Thread(target=create_quietly, args=(cloud_, name, machines))
    making.start()
    wait_until(lambda: processes_with("sleep 8654324"))
    cloud_.stacks.delete_stack(StackName=name)
    making.join()
    assert not processes_with("sleep 8654324")
    mine = [{"Name": "tag:aws:cloudformation:stack-name", "Values": [name]}]
    found = cloud_.ec2.describe_instances(Filters=mine)["Reservations"]
    assert {one["State"]["Name"] for group in found for one in group["Instances"]} == {"terminated"}


def create_quietly(cloud_: Cloud, name: str, resources: dict[str, Any]) -> None:
    cloud_.server.client("cloudformation").create_stack(
        StackName=name, TemplateBody=json.dumps({"Resources": resources})
    )


@pytest.mark.long
def test_a_server_killed_while_a_stack_is_made_leaves_nothing_running(tmp_path, name):
    state_dir = tmp_path / "state"
    with cloud(state_dir) as first:
        machines = {f"Machine{number}": instance(first, "sleep 8654325") for number in range(4)}
        making = threading.Thread(target=fail_to_create, args=(first, name, machines))
        making.start()
        wait_until(lambda: processes_with("sleep 8654325"))
        first.server.end(signal.SIGKILL)
        making.join()
    wait_until(lambda: not processes_with("sleep 8654325"))
    with cloud(state_dir) as second:
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        assert second.ec2.describe_instances(Filters=running)["Reservations"] == []


def fail_to_create(cloud_: Cloud, name: str, resources: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"Connection|endpoint"):
        create_quietly(cloud_, name, resources)


def test_a_stack_whose_instance_may_not_run_rolls_back_with_the_reason(tmp_path, name):
    shim = tmp_path / "bin" / "unshare"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    shim.chmod(0o755)
    with cloud(tmp_path / "state", PATH=f"{shim.parent}:{os.environ['PATH']}") as poor:
        stack = create(poor, name, {"Machine": instance(poor)})
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "unshare failed: Operation not permitted" in stack["StackStatusReason"]
