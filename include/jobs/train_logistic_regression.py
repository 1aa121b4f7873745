"""An example of a training script on an instance: logistic regression, until it is asked to end.

    python3 train_logistic_regression.py --data examples/data.csv --target diagnosis --positive malignant

Reads a CSV from the bucket that the launch lies in, keeps a tenth of the rows aside, and goes over the others
again and again. Every few epochs `model.json` in VIGIL_OUTPUT_DIR is replaced, so that whatever ends the
machine leaves a model; on SIGTERM it finishes the epoch, writes the last model and ends well.

Standard library only: every image has all that it needs.
"""

import argparse
import csv
import json
import math
import os
import random
import signal
import subprocess
import sys

FIRST_RATE = 0.05
# The rate is halved after so many epochs, a third after twice as many, and so on.
SLOWING_EPOCHS = 10
SEED = 1729
LEAST_PROBABILITY = 1e-12


class Asked:
    """Whether somebody has asked the script to end."""

    def __init__(self):
        self.to_end = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_):
        self.to_end = True


def fetch(key):
    """Copy an object of the launch's bucket here; return its file name."""
    bucket = os.environ["VIGIL_FOLDER"].split("/")[2]
    name = os.path.basename(key)
    subprocess.run(["aws", "s3", "cp", "--only-show-errors", f"s3://{bucket}/{key}", name], check=True)
    return name


def read_rows(name, target, positive):
    """Return features, scaled to mean 0 and deviation 1, and labels 0 or 1."""
    with open(name, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [column for column in rows[0] if column != target]
    table = [[float(row[column]) for column in columns] for row in rows]
    scales = []
    for values in zip(*table):
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) or 1.0
        scales.append((mean, deviation))
    features = [
        [(value - mean) / deviation for value, (mean, deviation) in zip(row, scales)] for row in table
    ]
    return columns, scales, features, [int(row[target] == positive) for row in rows]


def probability(weights, row):
    """Return the probability of the label 1; the last weight is the intercept."""
    score = weights[-1] + sum(weight * value for weight, value in zip(weights, row))
    return 1 / (1 + math.exp(-max(min(score, 35.0), -35.0)))


def epoch(weights, features, labels, order, rate):
    """Go over the rows once, by stochastic gradient descent."""
    for place in order:
        row, error = features[place], probability(weights, features[place]) - labels[place]
        for column, value in enumerate(row):
            weights[column] -= rate * error * value
        weights[-1] -= rate * error


def measured(weights, features, labels, places):
    """Return accuracy and mean log loss over some rows."""
    right, loss = 0, 0.0
    for place in places:
        guess = probability(weights, features[place])
        right += (guess >= 0.5) == bool(labels[place])
        loss -= math.log(max(guess if labels[place] else 1 - guess, LEAST_PROBABILITY))
    return right / len(places), loss / len(places)


def write_model(model):
    """Replace the model in one step."""
    folder = os.environ["VIGIL_OUTPUT_DIR"]
    unfinished = "model.json.unfinished"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(model, file)
    os.replace(unfinished, os.path.join(folder, "model.json"))


def main():
    """Train until the epochs are over or the script is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="key of the CSV in the launch's bucket")
    parser.add_argument("--target", required=True, help="column with the label")
    parser.add_argument("--positive", required=True, help="label whose probability is learned")
    parser.add_argument("--epochs", type=int, default=sys.maxsize, help="at most so many")
    parser.add_argument("--report-every", type=int, default=20, help="epochs between two models")
    said = parser.parse_args()
    asked = Asked()
    columns, scales, features, labels = read_rows(fetch(said.data), said.target, said.positive)
    places = list(range(len(labels)))
    shuffling = random.Random(SEED)  # noqa: S311 - no secret depends on it
    shuffling.shuffle(places)
    held_out, used = places[: len(places) // 10], places[len(places) // 10 :]
    print(f"{len(used)} rows to learn from, {len(held_out)} held out, {len(columns)} features")
    weights = [0.0] * (len(columns) + 1)
    done = 0
    while done < said.epochs and not asked.to_end:
        shuffling.shuffle(used)
        epoch(weights, features, labels, used, FIRST_RATE / (1 + done / SLOWING_EPOCHS))
        done += 1
        if done % said.report_every == 0 or done == said.epochs or asked.to_end:
            accuracy, loss = measured(weights, features, labels, held_out)
            print(f"epoch {done}: held-out accuracy {accuracy:.4f}, log loss {loss:.4f}")
            model = {"columns": columns, "scales": scales, "weights": weights}
            write_model({**model, "epochs": done, "accuracy": accuracy})
    print("asked to end" if asked.to_end else "all epochs are done")


if __name__ == "__main__":
    main()
