# What an instance of a training stack does first. Vigil puts `#!/bin/bash` and the variables in front.

# SECONDS_LEFT counts from the launch, and the boot took some of them: how many, the machine's clock tells, if it is
# right. A wrong one can only make the time shorter.
left=$(($(date -d "$DEADLINE" +%s) - $(date +%s)))
if [ "$left" -gt 0 ] && [ "$left" -lt "$SECONDS_LEFT" ]; then SECONDS_LEFT=$left; fi
# Whatever comes after this line, hangs or fails: the machine ends then, by a clock that nobody can set.
if ! systemd-run --unit=vigil-end --on-active="${SECONDS_LEFT}s" --timer-property=AccuracySec=1s \
    systemctl poweroff --force --force; then
    echo "vigil: the timer that ends this machine cannot be armed: nothing is run"
    shutdown -h now
    exit 1
fi
mkdir -p /opt/vigil && cd /opt/vigil
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    # The role of a new instance may take a while to be known everywhere.
    aws s3 cp --only-show-errors --region "$REGION" "$FOLDER/run_training_script.py" . && break
    echo "vigil: attempt $attempt to fetch the runner failed"
    sleep 3
done
python3 run_training_script.py "$FOLDER" "$DEADLINE" "$REGION"
echo "vigil: the runner ended with status $?"
shutdown -h now
