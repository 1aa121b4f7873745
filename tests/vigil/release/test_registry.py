from __future__ import annotations

from typing import Any

import pytest

from tests.vigil.release.releasing import TAGS, Registry
from vigil.errors import CloudError
from vigil.release.registry import RegisteredModel, decide, register, registered_model


def test_a_candidate_registered_twice_is_one_version(registry: Registry) -> None:
    assert registry.approve(1) == registry.approve(1)
    assert len(registry.versions()) == 1


def test_a_candidate_registered_twice_at_once_is_one_version(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.approve(1)
    # What the other one just registered is not listed yet.
    monkeypatch.setattr("vigil.release.registry._find", lambda *_: None)
    assert registry.approve(1).model_version == f"{registry.name}/1"
    assert len(registry.versions()) == 1


def test_a_registration_killed_before_its_decision_is_finished_by_the_next(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("vigil.release.registry.decide", _killed)
        with pytest.raises(KeyboardInterrupt):
            registry.approve(1)
    assert [version["ModelApprovalStatus"] for version in registry.versions()] == ["PendingManualApproval"]
    assert registry.approve(1).approval == "Approved"
    assert len(registry.versions()) == 1


def _killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_version_that_waits_for_a_person_keeps_what_the_person_said(registry: Registry) -> None:
    def ask() -> RegisteredModel:
        candidate = registry.candidate(1)
        return register(registry.sagemaker, registry.name, candidate, approved=None, reasons=["Good."])

    waiting = ask()
    assert (waiting.approval, waiting.reason) == ("PendingManualApproval", "Good.")
    assert ask() == waiting
    decide(registry.sagemaker, waiting.model_package_arn, approved=True, reasons=["Ann said yes."])
    assert (ask().approval, ask().reason) == ("Approved", "Ann said yes.")
    assert len(registry.versions()) == 1


def test_a_version_killed_before_it_said_why_it_waits_says_so_the_next_time(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> RegisteredModel:
        candidate = registry.candidate(1)
        return register(registry.sagemaker, registry.name, candidate, approved=None, reasons=["Good."])

    with monkeypatch.context() as patch:
        patch.setattr("vigil.release.registry._explain", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert (ask().approval, ask().reason) == ("PendingManualApproval", "Good.")


def test_each_candidate_is_a_version_of_its_own_and_is_found_among_many(registry: Registry) -> None:
    versions = [registry.approve(number).model_version for number in range(1, 13)]
    assert versions == [f"{registry.name}/{number}" for number in range(1, 13)]
    assert registry.approve(1).model_version == versions[0]


def test_a_version_says_what_it_was_made_from(registry: Registry) -> None:
    registered = registry.approve(1)
    package = registry.sagemaker.describe_model_package(ModelPackageName=registered.model_package_arn)
    assert package["CustomerMetadataProperties"] == {
        "training_job": "train-1",
        "dataset": f"s3://{registry.name}/dataset/schema.json",
        "manifest": f"s3://{registry.name}/export/manifest.json",
        "evaluation": f"s3://{registry.name}/evaluation/evaluation.json",
        "smoke_test": f"s3://{registry.name}/smoke-test.json",
        "report": f"s3://{registry.name}/evaluation/report.md",
        "wape": "0.3",
        "run": "run 1",
    }
    quality = package["ModelMetrics"]["ModelQuality"]
    assert quality["Statistics"]["S3Uri"] == registered.evaluation
    assert quality["Constraints"]["S3Uri"] == f"s3://{registry.name}/evaluation/band.json"
    assert registered.model_data_url == f"s3://{registry.name}/model-1.tar.gz"


def test_a_rejected_candidate_is_registered_with_its_reasons(registry: Registry) -> None:
    reasons = ["wape is 0.9,\nabove max_wape (0.5).", "x" * 2000]
    registered = register(
        registry.sagemaker, registry.name, registry.candidate(1), approved=False, reasons=reasons
    )
    assert registered.approval == "Rejected"
    assert registered.reason.startswith("wape is 0.9, above max_wape (0.5). xxx")
    assert len(registered.reason) == 1024


def test_who_was_judged_anew_changes_the_same_version(registry: Registry) -> None:
    first = registry.approve(1)
    again = decide(registry.sagemaker, first.model_package_arn, approved=False, reasons=["Worse."])
    assert (again.model_version, again.approval, again.reason) == (first.model_version, "Rejected", "Worse.")


def test_an_unchanged_decision_writes_nothing(registry: Registry) -> None:
    registered = registry.approve(1)
    written = []
    events = registry.sagemaker.meta.events
    events.register("before-call.sagemaker.UpdateModelPackage", lambda **_: written.append(1))
    decide(registry.sagemaker, registered.model_package_arn, approved=True, reasons=["Good."])
    assert written == []


def test_a_version_that_is_not_there_is_named(registry: Registry) -> None:
    missing = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{registry.name}/9"
    with pytest.raises(CloudError, match=f"no model package {missing}"):
        registered_model(registry.sagemaker, missing)


def test_a_version_of_somebody_else_is_refused(registry: Registry) -> None:
    registered = registry.approve(1)
    registry.sagemaker.update_model_package(
        ModelPackageArn=registered.model_package_arn, CustomerMetadataPropertiesToRemove=["training_job"]
    )
    with pytest.raises(CloudError, match="does not say which training job made it"):
        registered_model(registry.sagemaker, registered.model_package_arn)


def test_the_group_is_made_once_and_tagged(registry: Registry) -> None:
    registry.approve(1)
    group = registry.sagemaker.describe_model_package_group(ModelPackageGroupName=registry.name)
    tags = registry.sagemaker.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
    assert tags == TAGS
