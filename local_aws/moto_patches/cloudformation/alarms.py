"""CloudWatch in stacks."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from local_aws.moto_patches.cloudformation.resources import Kind, Properties, Region, as_text

_WHOLE_NUMBERS = ("DatapointsToAlarm", "EvaluationPeriods", "Period")


class Alarm(Kind):
    """AWS::CloudWatch::Alarm on one metric."""

    type = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    known = frozenset(
        {
            "ActionsEnabled",
            "AlarmActions",
            "AlarmDescription",
            "AlarmName",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "Dimensions",
            "EvaluationPeriods",
            "InsufficientDataActions",
            "MetricName",
            "Namespace",
            "OKActions",
            "Period",
            "Statistic",
            "Threshold",
            "TreatMissingData",
            "Unit",
        }
    )

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        region.client("cloudwatch").put_metric_alarm(**_request(name, properties))
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            region.client("cloudwatch").put_metric_alarm(**_request(physical_id, properties))

    @override
    def attributes(self, region: Region, physical_id: str) -> dict[str, str]:
        found = region.client("cloudwatch").describe_alarms(AlarmNames=[physical_id])["MetricAlarms"]
        return {"Arn": found[0]["AlarmArn"]}

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("cloudwatch").delete_alarms(AlarmNames=[physical_id])


class Dashboard(Kind):
    """AWS::CloudWatch::Dashboard."""

    type = "AWS::CloudWatch::Dashboard"
    name_property = "DashboardName"
    known = frozenset({"DashboardBody", "DashboardName"})

    @override
    def create(self, region: Region, name: str, properties: Properties) -> str:
        body = as_text(properties["DashboardBody"])
        region.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=body)
        return name

    @override
    def apply(self, region: Region, physical_id: str, properties: Properties, before: Properties) -> None:
        if before:
            self.create(region, physical_id, properties)

    @override
    def delete(self, region: Region, physical_id: str, properties: Properties) -> None:
        region.client("cloudwatch").delete_dashboards(DashboardNames=[physical_id])


def _request(name: str, properties: Properties) -> dict[str, Any]:
    """Write an alarm as its API takes it: numbers of a template may be text."""
    wanted = dict(properties) | {"AlarmName": name}
    wanted |= {key: int(wanted[key]) for key in _WHOLE_NUMBERS if key in wanted}
    if "Threshold" in wanted:
        wanted["Threshold"] = float(wanted["Threshold"])
    if "ActionsEnabled" in wanted:
        wanted["ActionsEnabled"] = as_text(wanted["ActionsEnabled"]) == "true"
    return wanted
