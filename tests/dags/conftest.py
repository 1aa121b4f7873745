"""What runs of DAGs in the test process share."""

from __future__ import annotations

from functools import cache

import botocore.loaders
import pytest

_shared_loader = cache(botocore.loaders.create_loader)


@pytest.fixture(autouse=True)
def _services_are_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task has an AWS session of its own, which would read SageMaker's long description anew."""
    monkeypatch.setattr("botocore.session.create_loader", _shared_loader)
