"""The embedded AWS's command line."""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The embedded AWS: S3, SQS, SNS, EventBridge, CloudFormation, SageMaker and more on 127.0.0.1.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
StateDir = Annotated[Path, typer.Option(help="Where the state is kept across restarts.")]
_DEFAULT_STATE = Path("var/local_aws")
_ADDRESS = "address.json"
_POLL_S = 0.1  # how soon the front notices that it is to end


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="The port to listen on; 0 chooses a free one.")] = 4566,
    state_dir: StateDir = _DEFAULT_STATE,
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep nothing across restarts.")] = False,
) -> None:
    """Answer until SIGTERM or SIGINT, in the foreground; the first line of output tells the URL."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # Containers run in folders of their own.
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    # Secrets, keys and data are kept below it, and pickles that only we may have written.
    state_dir.chmod(0o700)
    with _only_one(state_dir):
        _serve(port, state_dir, in_memory)


def _serve(port: int, state_dir: Path, in_memory: bool) -> None:
    from local_aws.server import HOST, listen

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server, aws = listen(port, state_dir, in_memory=in_memory)
    threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="front", daemon=True).start()
    aws.open()
    url = f"http://{HOST}:{server.port}"
    address = state_dir / _ADDRESS
    address.write_text(json.dumps({"url": url}))
    print(f"local_aws ready {url}", flush=True)
    ended.wait()
    aws.close()
    address.unlink(missing_ok=True)
    server.shutdown()


@app.command()
def status(state_dir: StateDir = _DEFAULT_STATE) -> None:
    """Tell whether a server runs on a state directory, and where; exits 1 if none does."""
    try:
        url = json.loads((state_dir / _ADDRESS).read_text())["url"]
        with urllib.request.urlopen(f"{url}/_health", timeout=5) as answer:  # noqa: S310 - our own address
            pid = json.load(answer)["pid"]
    except (OSError, ValueError) as error:
        typer.echo(f"local_aws is not running on {state_dir}")
        raise typer.Exit(1) from error
    typer.echo(f"local_aws runs at {url}, pid {pid}")


@app.command()
def reset(state_dir: StateDir = _DEFAULT_STATE) -> None:
    """Forget the kept state; the server must not run."""
    if state_dir.exists():
        with _only_one(state_dir):
            for path in state_dir.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != "lock":
                    path.unlink()
    typer.echo(f"{state_dir} is empty")


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state directory's lock, or end with a message."""
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            typer.echo(f"local_aws already runs on {state_dir}", err=True)
            raise typer.Exit(1) from error
        yield


if __name__ == "__main__":
    sys.exit(app())
