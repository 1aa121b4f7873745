"""What must not stand in the code, wherever input comes from, and no secret in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("plugins", "dags", "include", "deploy", "local_aws", "local_stack")

# Calls that run or build what they are given: full name, or the method's name on whatever object.
DANGEROUS = {
    "eval", "exec", "compile", "__import__", "input",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
    "tarfile.open", "shutil.unpack_archive", ".extractall", ".extract", "zipfile.ZipFile",
    "tempfile.mktemp", "jinja2.Template", "string.Template", ".from_string", ".render_template",
    "numpy.load", "np.load", "pandas.read_pickle", "joblib.load", "torch.load",
}  # fmt: skip
UNPICKLING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "torch"}

# Each with the reason why it may.
ALLOWED = {
    ("deploy/templates.py", "yaml.load"): "a SafeLoader with CloudFormation's tags",
    ("deploy/packaging.py", "zipfile.ZipFile"): "writes plugins.zip",
    ("plugins/vigil/stacks/files.py", "yaml.load"): "a SafeLoader without aliases",
    ("local_aws/files.py", "tarfile.open"): "extracts each entry itself, into its folder and within limits",
    (
        "local_aws/mwaa/home.py",
        "zipfile.ZipFile",
    ): "extracts each entry itself, into its folder, within limits",
    ("local_aws/algorithms/linear_learner.py", "np.load"): "with allow_pickle=False",
    ("local_aws/moto_state.py", "import cloudpickle"): "its own snapshot, readable by its owner alone",
}


def files() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for file in sorted((PROJECT / room).rglob("*.py")):
            yield file.relative_to(PROJECT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def findings_in(tree: ast.Module) -> set[str]:
    """Return what is dangerous in a module: calls, imports of what unpickles, and shells."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            found |= {f"import {module}"} if module.partition(".")[0] in UNPICKLING else set()
        elif isinstance(node, ast.Call):
            name = name_of(node)
            method = f".{name.rpartition('.')[2]}" if "." in name else ""
            found |= {name} & DANGEROUS | {method} & DANGEROUS
            for keyword in node.keywords:
                told = (keyword.arg, ast.unparse(keyword.value))
                if told in (
                    ("shell", "True"),
                    ("allow_pickle", "True"),
                    ("verify", "False"),
                    ("local_infile", "True"),
                ):
                    found.add("=".join(map(str, told)))
    return found


def test_nothing_received_is_run_unpickled_or_extracted_but_where_it_is_allowed() -> None:
    found = {(file, what) for file, tree in files() for what in findings_in(tree)}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "from pickle import loads",
        "import joblib",
        "tar.extractall(folder)",
        "subprocess.run(command, shell=True)",
        "yaml.load(text, yaml.Loader)",
        "environment.from_string(text)",
        "requests.get(url, verify=False)",
    ],
)
def test_what_is_dangerous_is_found(code: str) -> None:
    assert findings_in(ast.parse(code))


def test_values_are_bound_and_never_put_into_sql() -> None:
    """Where a statement is put together, nothing but names of columns and tables may go in."""
    put_together = {
        file
        for file, tree in files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("execute", "executemany") and node.args
        if isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
        or (isinstance(node.args[0], ast.Call) and name_of(node.args[0]).endswith(".format"))
    }
    # Names of partitions, made of a date.
    assert put_together == {"plugins/vigil/detection/counting/retention.py"}


SECRETS = {
    "an AWS access key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret key": r"(?i)aws_secret_access_key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|xox[abpr]-[A-Za-z0-9-]{10,}|pypi-AgEI[A-Za-z0-9_-]{20,})",
    "a password in a URL": r"\b[a-z][a-z0-9+]*://[^\s:/@{}$\"'<>]+:[^\s:/@{}$\"'<>]+@[\w.-]+",
}
# Passwords that open nothing: of examples, and of servers that a test makes up.
PLACEHOLDERS = re.compile(r"://[^:]*:(password|secret|very-secret|hunter2|p)[^@]*@")


def secrets_in(text: str) -> list[str]:
    return [
        f"{what}: {found[0][:80]}"
        for what, pattern in SECRETS.items()
        for found in re.finditer(pattern, text)
        if not PLACEHOLDERS.search(found[0])
    ]


def test_no_secret_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )
    found = {}
    names = [name for name in listed.stdout.split("\0") if name]
    for name in names:
        file = PROJECT / name
        if file.is_file():
            told = secrets_in(file.read_text(encoding="utf-8", errors="replace"))
            if told:
                found[name] = told
    assert len(names) > 300
    assert not {name for name in names if Path(name).name in (".env", "secrets.json", "credentials")}
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "aws_secret_access_key = " + "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYab",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "mysql://vigil:" + "dGhpc2lzYXNlY3JldA@db.example/events",
    ],
)
def test_what_looks_like_a_secret_is_found(text: str) -> None:
    assert secrets_in(text)
