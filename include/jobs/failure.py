"""The one family of errors that the evaluation job tells a person."""


class UnusableError(Exception):
    """Says which file cannot be used, and why."""
