"""The three ends, each with the other two taken away, and what a script can do against them.

Time is compressed by the limits of the configuration; only the minute of a schedule is given in seconds.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.vigil.stacks.launches import HOURS_A_SECOND, Launcher, goes_on, is_over
from tests.waiting import wait_for
from vigil.stacks.launch import Launch
from vigil.stacks.sweeping import sweep
from vigil.stacks.template import StackRequest, stack_request
from vigil.windows import now

HANGS = "#!/bin/bash\necho hanging\nsleep 1000\n"
IGNORES = """#!/bin/bash
trap 'echo "asked to end"' TERM
for _ in $(seq 10000); do sleep 0.1; done
"""
NEVER_ARMED = "#!/bin/bash\necho no timer here\nsleep 1000\n"
LATE_S = 20.0


def limited(launcher: Launcher, script: str, seconds: float, **changes: Any) -> Launch:
    return launcher.settle(
        script,
        termination_method="at-fixed-time",
        termination_options={"time-limit": seconds * HOURS_A_SECOND},
        **changes,
    )


def without_schedule(request: StackRequest) -> StackRequest:
    template = json.loads(request.template)
    del template["Resources"]["DeleteSchedule"]
    for resource in template["Resources"].values():
        resource.pop("DependsOn", None)
    for name in ("DeleteAt", "ScheduleRoleArn", "ScheduleGroup", "ScheduleDeadLetterArn"):
        del template["Parameters"][name]
    parameters = {name: value for name, value in request.parameters.items() if name in template["Parameters"]}
    return dataclasses.replace(request, template=json.dumps(template), parameters=parameters)


def without_timer(request: StackRequest) -> StackRequest:
    parameters = request.parameters | {"UserData": NEVER_ARMED}
    return dataclasses.replace(request, parameters=parameters)


def at_the_second(request: StackRequest) -> StackRequest:
    """Let the schedule come at the deadline's second; its minute is what the cloud has."""
    template = json.loads(request.template)
    del template["Parameters"]["DeleteAt"]["AllowedPattern"]
    at = request.deadline.strftime("%Y-%m-%dT%H:%M:%S")
    parameters = request.parameters | {"DeleteAt": at}
    return dataclasses.replace(request, template=json.dumps(template), parameters=parameters)


def test_the_timer_alone_ends_a_script_that_hangs(launcher: Launcher) -> None:
    launch = limited(launcher, HANGS, 8)
    stack = launcher.make(launch, without_schedule(stack_request(launch, launcher.ground, now())))
    outcome = launcher.ended(launch, stack)
    assert outcome.kind == "limit-reached"
    ended_at, deadline = launcher.instance(launch).ended_at, stack.deadline
    assert ended_at is not None
    assert deadline is not None
    assert ended_at <= deadline + timedelta(seconds=LATE_S)
    assert launcher.status(stack) == "CREATE_COMPLETE", "nothing but the timer was at work"


def test_the_timer_alone_ends_a_machine_whose_runner_is_gone(launcher: Launcher) -> None:
    script = "#!/bin/bash\npkill -9 -f run_training_script\nkill -9 -1\nsleep 1000\n"
    launch = limited(launcher, script, 8)
    stack = launcher.make(launch, without_schedule(stack_request(launch, launcher.ground, now())))
    launcher.ended(launch, stack)
    ended_at, deadline = launcher.instance(launch).ended_at, stack.deadline
    assert ended_at is not None
    assert deadline is not None
    assert ended_at <= deadline + timedelta(seconds=LATE_S)


def test_the_schedule_alone_deletes_a_stack_whose_timer_was_never_armed(launcher: Launcher) -> None:
    launch = limited(launcher, HANGS, 8)
    request = at_the_second(without_timer(stack_request(launch, launcher.ground, now())))
    stack = launcher.make(launch, request)
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    assert not launcher.alive(launch)
    assert launcher.ended(launch, stack).kind == "limit-reached"


def test_the_sweep_alone_ends_a_stack_past_its_deadline(launcher: Launcher) -> None:
    launch = limited(launcher, HANGS, 3)
    request = without_schedule(without_timer(stack_request(launch, launcher.ground, now())))
    stack = launcher.make(launch, request)
    before, after = (request.deadline + timedelta(seconds=second) for second in (-1, 1))
    assert not sweep(launcher.aws, launcher.ground.environment, goes_on, lambda: before)
    swept = sweep(launcher.aws, launcher.ground.environment, goes_on, lambda: after)
    assert {one.what for one in swept} == {launcher.instance(launch).id, stack.id}
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    assert not launcher.alive(launch)


def test_a_script_is_asked_to_end_a_grace_time_before_and_its_last_words_are_kept(launcher: Launcher) -> None:
    script = """#!/bin/bash
trap 'echo "saving"; echo saved > "$VIGIL_OUTPUT_DIR/model"; exit 0' TERM
echo started
while true; do sleep 0.1; done
"""
    launch = limited(launcher, script, 9, grace_seconds=3)
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "limit-reached"
    assert outcome.succeeded
    result = launcher.result(launch)
    assert (result["ended_by"], result["exit_status"]) == ("deadline", 0)
    lines = launcher.log(launch).splitlines()
    assert (lines[0], lines[-1]) == ("started", "saving")
    assert launcher.read(launch, "output/model") == b"saved\n"


def test_a_script_that_ignores_the_asking_is_killed_and_its_log_is_kept(launcher: Launcher) -> None:
    launch = limited(launcher, IGNORES, 8, grace_seconds=2)
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "limit-reached"
    assert launcher.result(launch)["exit_status"] == -9
    assert "asked to end" in launcher.log(launch)


def test_a_cost_limit_ends_the_machine_before_it_costs_more(launcher: Launcher) -> None:
    launch = launcher.settle(
        HANGS,
        termination_method="around-cost-threshold",
        termination_options={"cost-limit": 0.002},
        instance_type="g4dn.xlarge",
        volume_size_gb=8,
    )
    assert launch.allowance.limited_by == "cost-limit"
    assert launch.allowance.seconds <= 13
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "limit-reached"
    assert outcome.limit_usd == 0.002
    lateness = launch.price.usd * LATE_S / 3600
    # EC2 bills a minute at least, whatever a test's limit is.
    assert outcome.billed_s / 3600 * launch.price.usd <= 0.002 + lateness


def test_on_complete_that_does_not_complete_ends_at_its_hard_maximum_and_is_a_failure(
    launcher: Launcher,
) -> None:
    launch = launcher.settle(HANGS, maximum_hours=7 * HOURS_A_SECOND)
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "maximum-reached"
    assert not outcome.succeeded


def test_a_script_that_fills_its_log_is_cut_off_and_goes_on(launcher: Launcher) -> None:
    script = "#!/bin/bash\nhead -c 30000000 /dev/zero | tr '\\0' x\necho done > $VIGIL_OUTPUT_DIR/model\n"
    launch = launcher.settle(script, log_limit_mb=9, upload_every_seconds=60)
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "completed"
    assert launcher.result(launch)["log_is_cut"]
    assert launcher.result(launch)["log_bytes"] == 30_000_000
    log = launcher.log(launch)
    assert 9 * 1024 * 1024 <= len(log) < 9 * 1024 * 1024 + 100
    assert log.endswith("the rest is dropped]\n")
    assert launcher.read(launch, "output/model") == b"done\n"


@pytest.mark.parametrize("command", ["shutdown -h now", "poweroff", "systemctl poweroff"])
def test_a_script_may_switch_the_machine_off_by_itself(launcher: Launcher, command: str) -> None:
    launch = launcher.settle(f"#!/bin/bash\necho bye\n{command}\nsleep 1000\n")
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "powered-off"
    assert outcome.succeeded
    assert launcher.log(launch) == "bye\n"


def test_a_machine_whose_timer_cannot_be_armed_runs_nothing(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    request = stack_request(launch, launcher.ground, now())
    broken = request.parameters["UserData"].replace("systemd-run --unit=vigil-end", "false")
    request = dataclasses.replace(request, parameters=request.parameters | {"UserData": broken})
    outcome = launcher.ended(launch, launcher.make(launch, request))
    assert outcome.kind == "lost"
    assert not launcher.keys(launch, "log/")


def with_wrong_clock(request: StackRequest, offset_s: int) -> StackRequest:
    """Let everything on the machine that reads its wall clock read another time."""
    date = (
        'date() { if [ "$1" = -d ]; then command date "$@"; '
        f"else echo $(($(command date +%s) + {offset_s})); fi; }}"
    )
    runner = f"s/^import time$/import time; _t = time.time; time.time = lambda: _t() + {offset_s}/"
    service = "# A service of its own"
    data = request.parameters["UserData"]
    assert service in data
    data = data.replace("#!/bin/bash\n", f"#!/bin/bash\n{date}\n")
    data = data.replace(service, f"sed -i '{runner}' run_training_script.py\n{service}")
    return dataclasses.replace(request, parameters=request.parameters | {"UserData": data})


@pytest.mark.parametrize("offset_s", [-31_536_000, 6, 31_536_000])
def test_a_machine_whose_clock_is_wrong_ends_at_the_deadline_all_the_same(
    launcher: Launcher, offset_s: int
) -> None:
    launch = limited(launcher, HANGS, 12, grace_seconds=3)
    request = with_wrong_clock(stack_request(launch, launcher.ground, now()), offset_s)
    stack = launcher.make(launch, request)
    assert launcher.ended(launch, stack).kind == "limit-reached"
    result = launcher.result(launch)
    assert result["ended_by"] == "deadline"
    assert result["ran_s"] > 3, "by the wrong clock it has 12 - 3 - 6 s at most"
    assert result["clock_offset_s"] == pytest.approx(offset_s, abs=3)


def test_a_process_that_leaves_the_scripts_group_does_not_keep_the_machine(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nsetsid sleep 1000 &\necho done\nexit 0\n")
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "completed"
    assert launcher.log(launch) == "done\n"


def test_a_script_that_takes_its_output_folder_away_has_still_completed(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nrm -r $VIGIL_OUTPUT_DIR\nsleep 3\necho done\n")
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "completed"
    assert launcher.log(launch) == "done\n"


def test_output_that_could_not_be_kept_fails_the_launch(launcher: Launcher) -> None:
    launch = launcher.settle("#!/bin/bash\nln -s /nowhere $VIGIL_OUTPUT_DIR/model\n")
    outcome = launcher.ended(launch, launcher.launch(launch))
    assert outcome.kind == "output-lost"
    assert not outcome.succeeded


def test_a_part_of_the_log_that_s3_did_not_take_is_sent_again(launcher: Launcher) -> None:
    # The runner's own aws fails once for each of its attempts at the first part.
    script = """#!/bin/bash
echo first
sleep 3
echo second
sleep 2
"""
    launch = launcher.settle(script)
    request = stack_request(launch, launcher.ground, now())
    breaks = """real=$(command -v aws)
mkdir -p /opt/broken
cat > /opt/broken/aws <<'EOF'
#!/bin/bash
case "$*" in *log/part-000001*) n=$(cat /opt/broken/n 2>/dev/null || echo 0); echo $((n + 1)) > /opt/broken/n
    [ "$n" -lt 3 ] && exit 1;; esac
EOF
echo "exec $real \"\\$@\"" >> /opt/broken/aws
chmod +x /opt/broken/aws
"""
    data = request.parameters["UserData"].replace("#!/bin/bash\n", f"#!/bin/bash\n{breaks}", 1)
    data = data.replace("--setenv=HOME=/root", "--setenv=HOME=/root --setenv=PATH=/opt/broken:$PATH")
    request = dataclasses.replace(request, parameters=request.parameters | {"UserData": data})
    outcome = launcher.ended(launch, launcher.make(launch, request))
    assert outcome.kind == "completed"
    assert launcher.log(launch) == "first\nsecond\n"
    assert launcher.result(launch)["errors"]


def test_an_orphan_is_found_by_the_next_sweep(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS)
    stack = launcher.launch(launch)
    assert not sweep(launcher.aws, launcher.ground.environment, goes_on, now)
    swept = sweep(launcher.aws, launcher.ground.environment, is_over, now)
    assert {one.why for one in swept} == {"the run that launched it is over"}
    wait_for(lambda: launcher.status(stack) == "DELETE_COMPLETE", "the deletion")
    assert not launcher.alive(launch)


def test_a_detached_stack_is_no_orphan_until_its_machine_has_ended(launcher: Launcher) -> None:
    launch = launcher.settle(HANGS, detach_on_kill=True)
    stack = launcher.launch(launch)
    assert not sweep(launcher.aws, launcher.ground.environment, is_over, now)
    launcher.aws.client("ec2").terminate_instances(InstanceIds=[launcher.instance(launch).id])
    wait_for(lambda: not launcher.alive(launch), "the end")
    assert [one.what for one in sweep(launcher.aws, launcher.ground.environment, is_over, now)] == [stack.id]


def test_a_launch_that_fails_shortly_before_its_deadline_has_not_reached_its_limit(
    launcher: Launcher,
) -> None:
    launch = limited(launcher, HANGS, 20, security_group_id="sg-0123456789abcdef0")
    stack = launcher.launch(launch)
    outcome = launcher.ended(launch, stack)
    assert outcome.kind == "launch-failed"
    assert outcome.actual_usd == 0
