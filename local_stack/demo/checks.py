"""What must have come out of the demo, checked against the database and what AWS says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_stack.airflow import DagRun
from local_stack.demo import evidence
from local_stack.demo.endpoint_client import EndpointClient
from local_stack.demo.picture import Incident
from local_stack.demo.plan import LIVE_SERIES, REPLAY, Plan
from local_stack.demo.tabular import TabularStory
from local_stack.demo.training_stack import StackStory
from vigil.database import Database

_STACK_LATENESS_S = 60


def unmet(
    plan: Plan,
    database: Database,
    totals: evidence.Counts,
    trainings: Sequence[evidence.Training],
    client: EndpointClient,
    incidents: Sequence[Incident],
    alerts: Sequence[dict[str, Any]],
    runs: Sequence[DagRun],
    picture: Path,
) -> list[str]:
    """Return what did not come out as it should, in sentences."""
    first, second = trainings
    replayed = evidence.replayed_events(database, REPLAY)
    unjudged = evidence.unjudged_windows(database, REPLAY, plan.sample.held_back_from)
    opening = evidence.opening_of(database, LIVE_SERIES, plan.live_from)
    spike = [
        i for i in incidents if i.series == LIVE_SERIES and i.opened_at == plan.live_from and i.kind == "high"
    ]
    checks = {
        f"{totals.observed} were counted of {totals.events} events": totals.observed == totals.events,
        f"{replayed} of {plan.sample.events} replayed events are stored": replayed == plan.sample.events,
        "a candidate missed its gate": all(release.gate_passed for release in trainings),
        "both trainings made the same artifact": first.endpoint_model_data != second.endpoint_model_data,
        "the endpoint served another artifact than was trained": all(
            release.training_job in release.endpoint_model_data for release in trainings
        ),
        "the versions are not in order": first.model_package_version < second.model_package_version,
        "the client never called": client.calls > 0,
        f"{len(client.failures)} calls failed: {client.failures[:1]}": not client.failures,
        "the client met only one version": len(client.answers_by_variant) == 2,
        "no window was judged": totals.judged > 0,
        f"{unjudged} held-back windows have no verdict": unjudged == 0,
        "the spike opened no incident": bool(spike),
        "the opening of the spike was not published": opening is not None,
        "its alert did not arrive": opening in {alert["identity"] for alert in alerts},
        "a run failed": all(run.state == "success" for run in runs),
        "the picture is empty": picture.stat().st_size > 0,
    }
    return [sentence for sentence, holds in checks.items() if not holds]


def unmet_tabular(story: TabularStory) -> list[str]:
    """Return what did not come out as it should of the tabular model, in sentences."""
    first, second, third = story.versions
    checks = {
        f"{first.model_version} was not released: {first.reason}": first.approval == "Approved",
        f"{second.model_version} was not released: {second.reason}": second.approval == "Approved",
        f"{third.model_version} was not refused": third.approval == "Rejected",
        "the refused candidate was no worse": third.auc < second.auc,
        "the older rows were left out": first.trained_on_rows
        < second.trained_on_rows
        < third.trained_on_rows,
        "the report does not name row and column": "| 8 |" in story.set_aside and "wide" in story.set_aside,
        f"{story.champion} serves": story.champion == second.model_version,
        "the endpoint does not answer as its model does": story.answered_right,
    }
    return [sentence for sentence, holds in checks.items() if not holds]


def unmet_stack(story: StackStory) -> list[str]:
    """Return what did not come out as it should of the training stack, in sentences."""
    outcome = story.outcome
    # What the end may be late, at the stack's own price.
    allowed = (outcome.get("limit_usd") or 0) + story.price_usd * _STACK_LATENESS_S / 3600
    checks = {
        f"the training stack ended otherwise: {outcome}": outcome.get("kind") == "limit-reached",
        f"it cost more than {allowed} USD": outcome.get("actual_usd", allowed + 1) <= allowed,
        f"its price is from {story.price_source}": story.price_source == "AWS Price List",
        "it left no model that has learned": story.epochs > 0 and story.accuracy > 0.9,
        "its stack is left": not story.stack_is_left,
        f"{story.instances_left} instances are left": story.instances_left == 0,
    }
    return [sentence for sentence, holds in checks.items() if not holds]
