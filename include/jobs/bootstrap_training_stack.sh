# What an instance of a training stack does first. Vigil puts `#!/bin/bash` and the variables in front.

# SECONDS_LEFT counts from the launch, and the boot took some of them: how many, the machine's clock tells, if it is
# right. A wrong one can only make the time shorter, and the runner sets that right by the time that S3 tells.
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
# A service of its own: when the machine goes down, it is told before the network is, and given time.
systemd-run --unit=vigil-run --collect --setenv=HOME=/root --property=TimeoutStopSec=60 \
    --property=After=network-online.target --property=StandardOutput=journal+console \
    --property=StandardError=journal+console --working-directory=/opt/vigil \
    bash -c 'python3 run_training_script.py "$@"; echo "vigil: the runner ended with $?"; shutdown -h now' \
    vigil-run "$FOLDER" "$DEADLINE" "$REGION" || shutdown -h now
