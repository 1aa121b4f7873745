"""Makes the data set of a run, of whatever the model learns from."""

from __future__ import annotations

from typing import Any

from vigil.aws import S3Location
from vigil.training.counts.preparing import prepare_event_counts
from vigil.training.dataset import Dataset, Progress
from vigil.training.spec.data import EventCounts
from vigil.training.spec.model import ModelSpec


def prepare_dataset(
    s3: Any,
    manifest: S3Location,
    spec: ModelSpec,
    destination: S3Location,
    *,
    progress: Progress | None = None,
) -> Dataset:
    """Make a data set, and return its description.

    Args:
        s3: client.
        manifest: of the data.
        spec: says what they are and how to split them.
        destination: prefix for the files; a repeated preparation overwrites them.
        progress: called with the rows written so far.

    Raises:
        DataError: the data are damaged, not what the spec says, or too few.
    """
    if isinstance(spec.data, EventCounts):
        return prepare_event_counts(s3, manifest, spec, spec.data, destination, progress=progress)
    # Event counts do without the library that reads tables, and the memory that it takes.
    from vigil.training.tabular.preparing import prepare_tabular

    return prepare_tabular(s3, manifest, spec, spec.data, destination, progress=progress)
