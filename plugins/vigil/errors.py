"""The one family of errors that a person is meant to read."""

from __future__ import annotations


class VigilError(Exception):
    """Says what went wrong, names the thing, and tells the way out."""


class SettingsError(VigilError):
    """A setting, spec or file given by a person is unknown, missing or contradictory."""


class DataError(VigilError):
    """Data cannot be used as it is: an empty export, a wrong column, a count that is no count."""


class DatabaseError(VigilError):
    """The database cannot be reached, or is not as the migrations would leave it."""


class CloudError(VigilError):
    """An AWS service answered something that the pipeline cannot go on with."""
