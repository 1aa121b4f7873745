"""Stands where MWAA has its own package: hides from Airflow what only this machine's interpreter would find.

A checkout that is on the interpreter's path would be imported in place of what the environment took from S3.
"""

import os
import sys

_OWN = (f"{sys.prefix}{os.sep}", f"{sys.base_prefix}{os.sep}lib", os.environ["PYTHONPATH"])
sys.path[:] = [path for path in sys.path if path.startswith(_OWN)]
