"""Runs one training script on an instance of a training stack, and ends the script in time.

    python3 run_training_script.py s3://bucket/training-stacks/<job>/<launch> 2026-11-21T12:00:00Z eu-west-1

The folder on S3 holds `launch.json` and the script. The script runs in a folder of its own, as root, with

    VIGIL_OUTPUT_DIR   what it writes there is kept below output/, while it runs and at the end
    VIGIL_DEADLINE     when the machine is gone at the latest, UTC
    VIGIL_FOLDER       the folder on S3

and what it prints is kept below log/, in parts. A grace time before the deadline it gets SIGTERM, and when
half of that is over, SIGKILL. `result.json` comes last of all and says how the script ended. The machine is
switched off by whoever called this, and by a timer that was armed before.

Standard library only, in the syntax of the oldest Python among the images; the AWS CLI, which they all have,
reaches S3.
"""

import calendar
import contextlib
import email.utils
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

WORK = "/opt/vigil"
OUTPUT = os.path.join(WORK, "output")
# A part of the log goes to S3 when it is this long, however soon that is.
PART_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
UPLOAD_ATTEMPTS = 3
# However little time is left, an upload may take this long.
LEAST_UPLOAD_S = 10.0
# A script that a SIGTERM killed died of the machine's going down if that is told within this time.
POWER_OFF_S = 2.0
# How long a killed script, or its last words, are waited for.
SETTLING_S = 5.0
CUT = b"\n[vigil: the log is longer than its limit; the rest is dropped]\n"


class S3:
    """The AWS CLI, as far as it is used here; it may take as long as the machine has left."""

    def __init__(self, region, clock):
        self._options = ["--only-show-errors", "--region", region]
        self._clock = clock
        self.errors = []

    def copy(self, source, target, content=None):
        """Copy one object or file, or `content` where the source is `-`; return whether it worked."""
        return self._run(["cp", source, target], content)

    def sync(self, folder, target):
        """Copy what is new below a folder; return whether all of it was."""
        return self._run(["sync", folder, target], None)

    def _run(self, arguments, content):
        for attempt in range(UPLOAD_ATTEMPTS):
            limit = max(self._clock.left(), LEAST_UPLOAD_S)
            try:
                done = subprocess.run(
                    ["aws", "s3", *arguments, *self._options],
                    input=content,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=limit,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                self.errors.append("{} took longer than {:.0f} s".format(arguments, limit))
                return False
            if done.returncode == 0:
                return True
            self.errors.append(done.stdout.decode(errors="replace").strip()[-500:])
            say("attempt {} failed: {}".format(attempt + 1, self.errors[-1]))
        return False


class Log:
    """What the script prints: cut into parts, and put on S3 part by part, so that nothing grows."""

    def __init__(self, s3, target, limit):
        self._s3 = s3
        self._target = target
        self._left = limit
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._parts = 0
        self._open = None
        self._unsent = []
        self.bytes = 0
        self.is_cut = False

    def write(self, chunk):
        """Add what was printed; what is beyond the limit, or finds no room on the disk, is dropped."""
        self.bytes += len(chunk)
        if self.is_cut:
            return
        if len(chunk) > self._left:
            self.is_cut = True
            chunk = chunk[: self._left] + CUT
        self._left -= len(chunk)
        try:
            full = self._append(chunk)
        except OSError as error:
            self.is_cut = True
            say("the log finds no room: {}".format(error))
            return
        if full:
            self.upload()

    def upload(self):
        """Put every part that is not there yet on S3; return whether all of them are."""
        with self._sending:
            self._close_part()
            for path in list(self._unsent):
                if not self._s3.copy(path, "{}/{}".format(self._target, os.path.basename(path))):
                    return False
                self._unsent.remove(path)
                os.remove(path)
            return True

    def _close_part(self):
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None
                self._unsent.append(self._path())

    def _append(self, chunk):
        with self._lock:
            if self._open is None:
                self._parts += 1
                self._open = open(self._path(), "wb", buffering=0)  # noqa: SIM115 - the next chunk goes there too
            self._open.write(chunk)
            return self._open.tell() >= PART_BYTES

    def _path(self):
        return os.path.join(WORK, "part-{:06d}.log".format(self._parts))


class Clock:
    """The time that is left, by a clock that nobody sets.

    The machine's wall clock may be wrong, so the deadline is reckoned from the time that S3 says it is, and
    followed by the monotonic clock from there on.
    """

    def __init__(self, deadline, region):
        now, self.offset_s = time_of_s3(region)
        self._deadline = time.monotonic() + (deadline - now)

    def left(self):
        """Return the seconds until the deadline."""
        return self._deadline - time.monotonic()


def time_of_s3(region):
    """Return the seconds since the epoch, and how far the machine's own clock is off, if that is known."""
    url = urllib.parse.urlsplit(
        os.environ.get("AWS_ENDPOINT_URL") or "https://s3.{}.amazonaws.com".format(region)
    )
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=10)
    try:
        # It refuses strangers, or sends them elsewhere, and tells them the time.
        connection.request("HEAD", "/")
        date = email.utils.parsedate(connection.getresponse().getheader("Date") or "")
    except (OSError, http.client.HTTPException) as error:
        say("S3 does not tell the time: {}".format(error))
        date = None
    finally:
        connection.close()
    if date is None:
        say("the machine's own clock is taken")
        return time.time(), None
    now = calendar.timegm(date)
    return now, round(time.time() - now, 1)


class Script:
    """The training script, in a process group of its own."""

    def __init__(self, path, arguments, environment):
        self.stopped_by = None
        self._process = subprocess.Popen(
            [*interpreter_of(path), path, *arguments],
            cwd=os.path.dirname(path),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.output = self._process.stdout

    @property
    def status(self):
        """Return the exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, why):
        """Ask it to end."""
        self.stopped_by = why
        self.signal(signal.SIGTERM)

    def signal(self, number):
        """Send a signal to it and to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def ends_within(self, seconds):
        """Wait for its end; return whether it came."""
        try:
            self._process.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        return True


def interpreter_of(path):
    """Return what runs a script: its own first line, python3 by its name, or bash."""
    with open(path, "rb") as file:
        if file.read(2) == b"#!":
            return []
    return ["python3"] if path.endswith(".py") else ["bash"]


class Run:
    """One run of the script, from the first byte fetched to the result."""

    def __init__(self, folder, deadline, region):
        self._folder = folder
        self._deadline = deadline
        self._clock = Clock(calendar.timegm(time.strptime(deadline, "%Y-%m-%dT%H:%M:%SZ")), region)
        self._s3 = S3(region, self._clock)
        self._powered_off = threading.Event()
        self._ended = threading.Event()
        self._launch = self._fetch_launch()
        self._log = Log(self._s3, folder + "/log", self._launch["log_limit_bytes"])

    def power_off(self, *_):
        """Note that the machine is going down."""
        self._powered_off.set()

    def arm_timer(self):
        """Arm a timer by the time that S3 tells, in place of the first one, which had only this machine's."""
        if self._clock.offset_s is None:
            return
        left = max(self._clock.left(), 1)
        command = ["systemd-run", "--unit=vigil-deadline", "--on-active={:.0f}s".format(left)]
        command += ["--timer-property=AccuracySec=1s", "systemctl", "poweroff", "--force", "--force"]
        if subprocess.run(command, check=False).returncode == 0:
            subprocess.run(["systemctl", "stop", "vigil-end.timer"], check=False)
        else:
            say("the second timer could not be armed; the first one holds")

    def run(self):
        """Run the script to its end or to the deadline, and return how it ended."""
        started_at = time.monotonic()
        script = self._start()
        reader = threading.Thread(target=self._read, args=(script,), daemon=True)
        uploader = threading.Thread(target=self._upload_now_and_then, daemon=True)
        reader.start()
        uploader.start()
        self._wait_for_end(script)
        # Whatever it left running would hold its output open.
        script.signal(signal.SIGKILL)
        self._tell_why(script)
        self._ended.set()
        # What left the script's process group may hold its output open for ever.
        reader.join(timeout=SETTLING_S)
        uploader.join(timeout=max(self._clock.left(), SETTLING_S))
        log_is_kept, output_is_kept = self._upload()
        return {
            "ended_by": script.stopped_by or "script",
            "exit_status": script.status,
            "ran_s": round(time.monotonic() - started_at, 1),
            "log_bytes": self._log.bytes,
            "log_is_cut": self._log.is_cut,
            "log_is_kept": log_is_kept,
            "output_is_kept": output_is_kept,
            "clock_offset_s": self._clock.offset_s,
            "errors": self._s3.errors[-5:],
        }

    def save(self, result):
        """Put the result on S3, past a disk that may be full."""
        content = json.dumps(result, indent=2).encode()
        if not self._s3.copy("-", self._folder + "/result.json", content):
            raise SystemExit("vigil: the result could not be kept")

    def _fetch_launch(self):
        path = os.path.join(WORK, "launch.json")
        if not self._s3.copy(self._folder + "/launch.json", path):
            raise SystemExit("vigil: launch.json cannot be fetched")
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def _start(self):
        place = os.path.join(WORK, "script")
        path = os.path.join(place, self._launch["script"])
        os.makedirs(place, exist_ok=True)
        os.makedirs(OUTPUT, exist_ok=True)
        if not self._s3.copy("{}/script/{}".format(self._folder, self._launch["script"]), path):
            raise SystemExit("vigil: the script cannot be fetched")
        os.chmod(path, 0o700)
        environment = dict(os.environ)
        environment.update(VIGIL_OUTPUT_DIR=OUTPUT, VIGIL_DEADLINE=self._deadline, VIGIL_FOLDER=self._folder)
        environment.update(PYTHONUNBUFFERED="1")
        return Script(path, self._launch["arguments"], environment)

    def _wait_for_end(self, script):
        """Wait until the script has ended; ask it to when the time comes, and then do not ask."""
        grace = self._launch["grace_s"]
        while not script.ends_within(min(self._clock.left() - grace, 0.2)):
            if self._powered_off.is_set():
                script.stop("power-off")
                script.ends_within(SETTLING_S)
                return
            left = self._clock.left()
            if left <= grace:
                say("{:.0f} s are left: the script is asked to end".format(left))
                script.stop("deadline")
                script.ends_within(left - grace / 2)
                return

    def _tell_why(self, script):
        """Find out whether the end of the script was the machine's going down."""
        script.ends_within(SETTLING_S)
        died_of_sigterm = script.status == -signal.SIGTERM and script.stopped_by is None
        going_down = self._powered_off.wait(POWER_OFF_S if died_of_sigterm else 0)
        if going_down and script.stopped_by is None:
            script.stopped_by = "power-off"

    def _read(self, script):
        for chunk in iter(lambda: script.output.read1(CHUNK_BYTES), b""):
            self._log.write(chunk)

    def _upload_now_and_then(self):
        while not self._ended.wait(self._launch["upload_every_s"]):
            self._upload()

    def _upload(self):
        """Put log and output on S3; return of each whether all of it is there."""
        output_is_kept = True
        # The script may have taken its folder away.
        if os.path.isdir(OUTPUT) and os.listdir(OUTPUT):
            output_is_kept = self._s3.sync(OUTPUT, self._folder + "/output")
        return self._log.upload(), output_is_kept


def say(text):
    """Write a line to the machine's console."""
    print("vigil: " + text, flush=True)


def main():
    """Run the script that the command line names, and leave its result on S3."""
    run = Run(*sys.argv[1:4])
    signal.signal(signal.SIGTERM, run.power_off)
    run.arm_timer()
    result = run.run()
    run.save(result)
    say("the script ended: {}".format(json.dumps(result)))


if __name__ == "__main__":
    main()
