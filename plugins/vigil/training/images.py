"""Which container image a model spec means, in the region where the job runs."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from vigil.errors import SettingsError
from vigil.paths import configs_dir

_REGISTRY_FILE = "images.yaml"
_KEPT_IN_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S+")


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


def amazon_accounts(region: str) -> list[str]:
    """Return the accounts that keep Amazon's own images in a region; none where none is known."""
    return sorted({regions[region] for regions in _known_images()["accounts"].values() if region in regions})


def refuse_strange_image(uri: str, account: str, what: str) -> None:
    """Refuse an image that neither this account nor Amazon keeps: it would run with the role of the jobs.

    Args:
        uri: of the image.
        account: number of the AWS account.
        what: who asks for it, as a person knows it.

    Raises:
        SettingsError: somebody else keeps it.
    """
    kept = _KEPT_IN_ECR.fullmatch(uri)
    amazon = {number for regions in _known_images()["accounts"].values() for number in regions.values()}
    if kept is None or kept[1] not in {account, *amazon}:
        raise SettingsError(
            f"{what[0].upper()}{what[1:]} asks for the image {uri!r}, which lies in no registry of the "
            f"account {account} or of Amazon: copy it there, or name it in model spec or trigger form."
        )
