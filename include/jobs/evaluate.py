"""Measures a candidate on predictions that other jobs made, beside the champion on the same rows.

Runs as a SageMaker Processing job; its modules and a part of the package vigil lie beside it. By hand:

    PYTHONPATH=plugins python include/jobs/evaluate.py --help

Reads below the root, which the container calls /opt/ml:

    processing/input/config/config.json               objective, columns, classes, band, and the champion
    processing/input/candidate/test.csv.out           lines label, keys, perhaps features, answer
    processing/input/candidate/validation.csv.out     the same; only for a regression
    processing/input/champion/test.csv.out            when there is a champion

Everything is measured on the test part; the band of a regression is calibrated on the validation part. Writes
`evaluation.json`, `pictures.json` (what the pictures need, in bounded size) and for a regression `band.json`
to processing/output/evaluation.

Standard library and numpy only, in the syntax of the oldest Python among the pinned images.
"""

import argparse
import json
import os
import sys

import classification
import regression
from failure import UnusableError
from transform_output import Layout, read_predictions

MESSAGE_LIMIT = 1000


class Inputs:
    """The predictions that the job was given.

    Attributes:
        folder: that holds them.
        config: content of `config.json`.
    """

    def __init__(self, root):
        self.folder = os.path.join(root, "processing", "input")
        with open(os.path.join(self.folder, "config", "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self._layout = Layout(self.config["keys"], self.config["features"])

    def candidate(self, part):
        """Read the candidate's predictions of a part.

        Raises:
            UnusableError: the file cannot be used.
        """
        return read_predictions(self._path("candidate", part), self._layout)

    def champion(self, rows):
        """Read the champion's predictions of the same test rows; None if there is no champion.

        Raises:
            UnusableError: the file cannot be used, or is about other rows.
        """
        if self.config["champion"] is None:
            return None
        path = self._path("champion", "test")
        predictions = read_predictions(path, self._layout)
        if not predictions.rows.same_as(rows):
            raise UnusableError(f"{path} is not about the rows of {self._path('candidate', 'test')}")
        return predictions

    def _path(self, who, part):
        return os.path.join(self.folder, who, f"{part}.csv.out")


def evaluate_regression(inputs):
    """Return the test rows and the content of each file of a regression, by name."""
    test = inputs.candidate("test")
    evaluation, pictures, band = regression.evaluate(
        inputs.config, inputs.candidate("validation"), test, inputs.champion(test.rows)
    )
    return test.rows, {"evaluation": evaluation, "pictures": pictures, "band": band.to_json()}


def evaluate_classification(inputs):
    """Return the test rows and the content of each file of a classification, by name."""
    classes, objective = inputs.config["classes"], inputs.config["objective"]
    # The answers of one model may fill the memory: they are measured and let go before the next ones.
    candidate = classification.Measured(inputs.candidate("test"), classes, objective)
    theirs = inputs.champion(candidate.rows)
    champion = None if theirs is None else classification.Measured(theirs, classes, objective)
    evaluation, pictures = classification.evaluate(inputs.config, candidate, champion)
    return candidate.rows, {"evaluation": evaluation, "pictures": pictures}


OBJECTIVES = {
    "regression": evaluate_regression,
    "binary": evaluate_classification,
    "multiclass": evaluate_classification,
}


def run(root):
    """Read, measure and write, below the folder that the container calls /opt/ml.

    Raises:
        UnusableError: a file cannot be used.
    """
    inputs = Inputs(root)
    config = inputs.config
    try:
        rows, files = OBJECTIVES[config["objective"]](inputs)
    except ValueError as error:
        raise UnusableError(f"{inputs.folder}: {error}") from error
    evaluation = files["evaluation"]
    evaluation.update({name: config[name] for name in ("objective", "model", "run", "dataset")})
    if rows.windows is not None:
        evaluation["test_period"] = {"first": str(rows.windows.min()), "last": str(rows.windows.max())}
    if config["champion"] is not None:
        evaluation["champion"]["model_version"] = config["champion"]["model_version"]
    write(os.path.join(root, "processing", "output", "evaluation"), files)
    print(json.dumps(evaluation["candidate"]["metrics"], sort_keys=True))


def write(folder, files):
    """Write each content, by name, as JSON; all of it is made before the first file is opened."""
    texts = {name: json.dumps(content, indent=2, allow_nan=False) for name, content in files.items()}
    os.makedirs(folder, exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    """Run, and leave the reason of a failure where SageMaker looks for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default="/opt/ml", help="folder that holds processing/ and output/")
    root = parser.parse_args().root
    try:
        run(root)
    except UnusableError as error:
        print(error, file=sys.stderr)
        os.makedirs(os.path.join(root, "output"), exist_ok=True)
        with open(os.path.join(root, "output", "message"), "w", encoding="utf-8") as file:
            file.write(str(error)[:MESSAGE_LIMIT])
        sys.exit(1)


if __name__ == "__main__":
    main()
