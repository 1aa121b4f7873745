"""Tells what is missing before the first run, each thing with its fix.

It looks into every domain, and so stands beside the operators; it imports no Airflow, so that it can be asked
without one, too. Nothing is changed for good, and no secret is shown.
"""
