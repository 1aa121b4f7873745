"""Where configurations and scripts come from: the project's own folders, or a bucket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from vigil.aws import S3Location, error_code
from vigil.errors import SettingsError
from vigil.paths import configs_dir, jobs_dir

LAUNCHER_CONFIG = "lambda-config"
_ENDINGS = (".json", ".yaml", ".yml")
_NOT_THERE = ("NoSuchKey", "NoSuchBucket", "404", "403", "AccessDenied")
# A configuration is a page; what is longer is none.
_CONFIG_LIMIT = 256 * 1024


class _PlainLoader(yaml.SafeLoader):
    """Takes no aliases: a page of them stands for more than fits into any memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not taken, write the value out")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class ScriptSource:
    """A script as it was found.

    Attributes:
        name: its file name alone.
        identity: changes when the content does.
        file: where it lies on this machine; None if it lies on S3.
        location: where it lies on S3; None if it lies here.
    """

    name: str
    identity: str
    file: Path | None = None
    location: S3Location | None = None

    def copy_to(self, s3: Any, target: S3Location) -> None:
        """Copy the script, of any size."""
        if self.file is not None:
            s3.upload_file(str(self.file), target.bucket, target.key)
        elif self.location is not None:
            source = {"Bucket": self.location.bucket, "Key": self.location.key}
            s3.copy(source, target.bucket, target.key)


def launcher_config() -> Mapping[str, Any]:
    """Return what `lambda-config.json` says, which holds for every launch; nothing if there is none."""
    file = _file_named(configs_dir() / "stacks", LAUNCHER_CONFIG)
    return _parse(file.read_bytes(), str(file)) if file else {}


def read_config(s3: Any, name: str, bucket: str | None) -> Mapping[str, Any]:
    """Read the configuration of a training stack.

    Args:
        s3: client.
        name: `s3://bucket/key`, or the name of a file with or without its ending: in `bucket` if one is
            given, else in `include/configs/stacks/`.
        bucket: that configurations lie in.

    Raises:
        SettingsError: it is not there, or is no configuration.
    """
    if name.startswith("s3://") or bucket is not None:
        return _from_bucket(s3, name, bucket)
    folder = configs_dir() / "stacks"
    file = _file_named(folder, name)
    if file is None:
        known = sorted(path.name for path in folder.iterdir() if _is_config(path))
        raise SettingsError(
            f"There is no configuration {name!r} in include/configs/stacks/: known are {', '.join(known)}."
        )
    return _parse(file.read_bytes(), f"include/configs/stacks/{file.name}")


def _from_bucket(s3: Any, name: str, bucket: str | None) -> Mapping[str, Any]:
    if name.startswith("s3://"):
        places = [S3Location.parse(name)]
    else:
        endings = ("",) if name.endswith(_ENDINGS) else _ENDINGS
        places = [S3Location(str(bucket), f"{name}{ending}") for ending in endings]
    for place in places:
        try:
            answer = s3.get_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            if error_code(error) in _NOT_THERE:
                continue
            raise
        if answer["ContentLength"] > _CONFIG_LIMIT:
            raise SettingsError(f"{place} is too long to be a configuration.")
        content = _parse(answer["Body"].read(), str(place))
        # Who keeps the configuration in a bucket keeps the script there too.
        return {"s3-training-bucket": place.bucket} | dict(content)
    raise SettingsError(
        f"There is no configuration at {' or '.join(map(str, places))}, or it may not be read."
    )


def find_script(s3: Any, name: str, bucket: str | None) -> ScriptSource:
    """Find a script, in a bucket if one is given, else in `include/jobs/`.

    Raises:
        SettingsError: it is not there.
    """
    if bucket is not None:
        place = S3Location(bucket, name)
        try:
            head = s3.head_object(Bucket=bucket, Key=name)
        except ClientError as error:
            if error_code(error) not in _NOT_THERE:
                raise
            raise SettingsError(f"There is no script at {place}, or it may not be read.") from error
        return ScriptSource(Path(name).name, f"{head['ETag']} {head['ContentLength']}", location=place)
    folder = jobs_dir().resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder):
        raise SettingsError(f"The script {name!r} leads out of include/jobs/.")
    if not file.is_file():
        raise SettingsError(
            f"There is no script {name!r} in include/jobs/; and no s3-training-bucket is set."
        )
    return ScriptSource(file.name, hashlib.sha256(file.read_bytes()).hexdigest(), file=file)


def _file_named(folder: Path, name: str) -> Path | None:
    """Return a file of a folder by its name, with or without the ending."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _is_config(path) and name in (path.name, path.stem):
            return path
    return None


def _is_config(path: Path) -> bool:
    return path.suffix in _ENDINGS and not path.name.endswith(".schema.json")


def _parse(content: bytes, what: str) -> Mapping[str, Any]:
    """Read JSON or YAML; every JSON document is YAML too, but its errors are told better as JSON."""
    try:
        parsed = json.loads(content) if what.endswith(".json") else _read_yaml(content)
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{what} cannot be read: {error}.") from error
    except RecursionError as error:
        raise SettingsError(f"{what} cannot be read: it is nested too deep.") from error
    if not isinstance(parsed, Mapping):
        raise SettingsError(f"{what} holds no keys with values.")
    return parsed


def _read_yaml(content: bytes) -> Any:
    return yaml.load(content, _PlainLoader)  # noqa: S506 - a SafeLoader that takes less
