"""Opens the sources that the pipeline settings describe."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from vigil.database import Database
from vigil.detection.pipeline import (
    Pipeline,
    QueueOptions,
    ReplayOptions,
    SimulatorOptions,
    SourceOptions,
    TableOptions,
)
from vigil.detection.sources import Source
from vigil.detection.sources.queue import Queue
from vigil.detection.sources.replay import Replay
from vigil.detection.sources.simulator import Simulator
from vigil.detection.sources.table import Table


def open_sources(
    pipeline: Pipeline, database_of: Callable[[str], Database], client_of: Callable[[str], Any]
) -> list[Source]:
    """Return the sources in the order of the settings; nothing is contacted yet.

    Args:
        pipeline: the settings.
        database_of: gives the database of a connection; asked when a source of the kind table is.
        client_of: gives the boto3 client of a service; asked for sources of the kind sqs only.
    """
    return [_open(options, database_of, client_of) for options in pipeline.sources]


def _open(
    options: SourceOptions, database_of: Callable[[str], Database], client_of: Callable[[str], Any]
) -> Source:
    match options:
        case SimulatorOptions():
            return Simulator(options)
        case ReplayOptions():
            return Replay(options)
        case TableOptions():
            return Table(options, partial(database_of, options.connection))
        case QueueOptions():
            return Queue(options, client_of("sqs"))
