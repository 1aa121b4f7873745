"""A person's approval of a candidate, in Airflow's UI, with its metrics before their eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator

from vigil.operators.leases import release_lease
from vigil.operators.open_run import open_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vigil.operators.open_run import OpenRun

_APPROVE = "Approve"
_REJECT = "Reject"
_ANSWERS = {"approve": _APPROVE, "reject": _REJECT}
_MEANINGS = {"approve": "approved", "reject": "rejected"}


class ApproveCandidateOperator(HITLOperator):
    """Return the version with its approval: the gates' own, or a person's.

    While a person thinks, others may release to the endpoint. Silence means what the model spec says.

    Args:
        request: the resolved request (templated).
        registered: the version (templated).
        report: where it is (templated).
    """

    template_fields = ("request", "registered", "report")

    def __init__(self, *, request: Any, registered: Any, report: Any, **kwargs: Any) -> None:
        # The person's time is the model spec's, which is known when the task runs.
        kwargs["execution_timeout"] = None
        super().__init__(subject="A candidate waits", options=[_APPROVE, _REJECT], **kwargs)
        self.request = request
        self.registered = registered
        self.report = report

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask a person if there is one to ask."""
        from vigil.release.registry import registered_model

        opened = open_run(self.request)
        # What an earlier try wrote down before it was killed is in the registry alone.
        approval = registered_model(opened.sagemaker, self.registered["model_package_arn"]).approval
        if approval != "PendingManualApproval":
            return {**self.registered, "approval": approval}
        self._ask(opened, context)
        super().execute(context)
        raise AssertionError("the operator's base class leaves the worker")

    def _ask(self, opened: OpenRun, context: Context) -> None:
        from vigil.aws import S3Location
        from vigil.operators.telling import tell

        approval = opened.spec.approval
        version = self.registered["model_version"]
        self.subject = f"Deploy {version}?"
        report = S3Location.parse(self.report["location"])
        body = opened.s3.get_object(Bucket=report.bucket, Key=report.key)["Body"].read().decode()
        self.body = f"{body}\n\nPictures lie beside {report}."
        self.defaults = [_ANSWERS[approval.otherwise]]
        self.response_timeout = approval.wait
        release_lease(opened)
        tell(
            opened,
            "approval-wanted",
            f"{version} waits for a person's approval, {approval.wait_h:g} h at most; then it is "
            f"{_MEANINGS[approval.otherwise]}.\n{self.generate_link_to_ui_from_context(context=context)}",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Write the person's answer, or what silence means, into the registry."""
        from vigil.operators.telling import tell
        from vigil.release.registry import decide

        answer = super().execute_complete(context, event)
        approved = answer["chosen_options"] == [_APPROVE]
        person = (answer["responded_by_user"] or {}).get("name") or "nobody in time"
        opened = open_run(self.request)
        reason = f"{'Approved' if approved else 'Rejected'} by {person}."
        decided = decide(
            opened.sagemaker, self.registered["model_package_arn"], approved=approved, reasons=[reason]
        )
        if not approved:
            tell(opened, "candidate-rejected", f"{decided.model_version} was rejected.\n{reason}")
        return {**self.registered, "approval": decided.approval}
