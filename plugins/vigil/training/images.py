"""Which container image a model spec means, in the region where the job runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from vigil.errors import SettingsError
from vigil.paths import configs_dir

_REGISTRY_FILE = "images.yaml"


@cache
def _known_images() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((configs_dir() / _REGISTRY_FILE).read_text(encoding="utf-8"))
    return content


def image_uri(name: str, version: str, region: str) -> str:
    """Return where Amazon keeps one of its own images.

    Args:
        name: of the repository, as in `sagemaker-xgboost`.
        version: as pinned in `include/configs/images.yaml`.
        region: AWS region of the job, as in `eu-west-1`.

    Raises:
        SettingsError: the image, its version or the region is not in that file.
    """
    known = _known_images()
    image = known["images"].get(name)
    if image is None:
        raise SettingsError(
            f"The image {name!r} is not in {_REGISTRY_FILE}, which has {', '.join(sorted(known['images']))}: "
            "take one of these, add it there, or give the spec an image_uri."
        )
    tag = image["tags"].get(version)
    if tag is None:
        raise SettingsError(
            f"The version {version!r} of the image {name} is not in {_REGISTRY_FILE}, which has "
            f"{', '.join(sorted(image['tags']))}: pin one of these, or add it there."
        )
    account = known["accounts"][image["accounts"]].get(region)
    if account is None:
        raise SettingsError(
            f"Which account keeps {name} in the region {region!r} is not in {_REGISTRY_FILE}: add it there, "
            "or give the spec an image_uri."
        )
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{name}:{tag}"
