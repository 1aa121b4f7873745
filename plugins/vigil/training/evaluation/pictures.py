"""Draws what an evaluation found, as PNG images of bounded size."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 110
_WIDTH_IN = 9.0
_LONGEST_NAME = 28
_CANDIDATE, _CHAMPION, _BAND, _OUTSIDE, _GREY = "#1f6f8b", "#b0643c", "#9fc9d6", "#c1272d", "#8a8a8a"
_COLOURS = (_CANDIDATE, _CHAMPION)
_LOOKS = ("-", "--")
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9}
# Numbers in the cells of a larger matrix would lie over each other.
_MOST_NUMBERED_CLASSES = 12


def draw_pictures(evaluation: Mapping[str, Any], pictures: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the pictures of an evaluation by file name.

    Args:
        evaluation: content of `evaluation.json`.
        pictures: content of `pictures.json`.
    """
    if evaluation["objective"] == "regression":
        drawn = {
            "residuals.png": _residuals(evaluation, pictures["residuals"]),
            "band.png": _band(evaluation, pictures["band"]),
        }
    else:
        drawn = {
            "confusion.png": _confusion(evaluation, pictures["confusion"]),
            "roc.png": _roc(evaluation, pictures["roc"]),
        }
    return {name: _png(figure) for name, figure in drawn.items()}


def _residuals(evaluation: Mapping[str, Any], histogram: Mapping[str, Any]) -> Figure:
    figure = _figure(4.6)
    axes = figure.subplots()
    edges = histogram["edges"]
    candidate, *champion = histogram["counts"]
    ours, *theirs = _names(evaluation)
    axes.stairs(candidate, edges, label=ours, color=_CANDIDATE, fill=True, alpha=0.55)
    for counts, name in zip(champion, theirs, strict=True):
        axes.stairs(counts, edges, label=name, color=_CHAMPION, linewidth=1.8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("observed less expected (what lies further out is in the outermost bins)")
    axes.set_ylabel("rows")
    _tidy(axes)
    axes.legend(**_LEGEND)
    return _titled(figure, evaluation, "residuals on the test part")


def _band(evaluation: Mapping[str, Any], panels: Sequence[Mapping[str, Any]]) -> Figure:
    figure = _figure(1.2 + (3.6 if len(panels) == 1 else 2.6 * len(panels)))
    for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        _draw_panel(axes, panel)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, **_LEGEND)
    return _titled(figure, evaluation, f"band of {evaluation['band_coverage']:g} on the test part")


def _draw_panel(axes: Axes, panel: Mapping[str, Any]) -> None:
    at: Sequence[Any] = range(len(panel["observed"]))
    if panel["at"] is not None:
        at = [datetime.fromisoformat(start) for start in panel["at"]]
        _show_times(axes)
    rows = list(zip(at, panel["observed"], panel["lower"], panel["upper"], strict=True))
    outside = [(place, seen) for place, seen, lower, upper in rows if not lower <= seen <= upper]
    axes.fill_between(at, panel["lower"], panel["upper"], color=_BAND, alpha=0.6, linewidth=0, label="band")
    axes.plot(at, panel["expected"], color=_CANDIDATE, linewidth=1.4, label="expected")
    axes.plot(at, panel["observed"], ".", color="#333333", markersize=3, label="observed")
    axes.plot(
        *zip(*outside, strict=True) if outside else ((), ()),
        "o",
        color=_OUTSIDE,
        markersize=5,
        label="outside",
    )
    axes.margins(x=0.01)
    axes.set_title(_shown(panel["series"]) if panel["series"] is not None else "", loc="left", fontsize=10)
    if panel["at"] is None:
        axes.set_xlabel("a sample of rows, in the order of what is expected")
    axes.set_ylabel("events" if panel["series"] is not None else "value")
    _tidy(axes)


def _show_times(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # matplotlib types only part of itself
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _confusion(evaluation: Mapping[str, Any], confusion: Mapping[str, Any]) -> Figure:
    names = [_shown(name) for name in confusion["classes"]]
    counts = confusion["counts"]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    figure = _figure(min(9.0, 3.2 + 0.6 * len(names)))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=35 if len(names) <= 6 else 90, ha="right")
    axes.set_yticks(range(len(names)), names)
    if len(names) > 6:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("center")
    axes.set_xlabel("told by the candidate")
    axes.set_ylabel("truth")
    if len(names) <= _MOST_NUMBERED_CLASSES:
        for place, row in enumerate(counts):
            for told, count in enumerate(row):
                colour = "white" if shares[place][told] > 0.55 else "black"
                text = f"{count:,}\n{shares[place][told]:.1%}" if len(names) <= 6 else f"{count:,}"
                axes.text(told, place, text, ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(image, ax=axes, label="share of the true class")
    return _titled(figure, evaluation, "confusion matrix on the test part")


def _roc(evaluation: Mapping[str, Any], curves: Sequence[Sequence[Mapping[str, Any]]]) -> Figure:
    figure = _figure(5.4)
    axes = figure.subplots()
    if max(map(len, curves)) > 1:
        _draw_classes(axes, curves, _names(evaluation))
    else:
        for model, name, look, colour in zip(curves, _names(evaluation), _LOOKS, _COLOURS, strict=False):
            for curve in model:
                axes.plot(*_rates(curve), look, color=colour, linewidth=1.6, label=name)
    if not any(curves):
        axes.text(0.5, 0.6, "The model tells classes alone, without scores.", ha="center")
    axes.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1, label="chance")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate (recall)")
    _tidy(axes)
    figure.legend(loc="outside right center", **_LEGEND)
    return _titled(figure, evaluation, "ROC curves on the test part")


def _draw_classes(axes: Axes, curves: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str]) -> None:
    """Draw a colour for each class and a kind of line for each model."""
    import matplotlib

    classes = list(dict.fromkeys(curve["class"] for model in curves for curve in model))
    colours = dict(zip(classes, matplotlib.color_sequences["tab10"], strict=False))
    for name in classes:
        axes.plot([], [], "s", color=colours[name], label=_shown(name))
    for model, name, look in zip(curves, names, _LOOKS, strict=False):
        axes.plot([], [], look, color="black", linewidth=1.4, label=name)
        for curve in model:
            axes.plot(*_rates(curve), look, color=colours[curve["class"]], linewidth=1.4)


def _rates(curve: Mapping[str, Any]) -> tuple[Sequence[float], Sequence[float]]:
    return curve["false_positive_rates"], curve["true_positive_rates"]


def _names(evaluation: Mapping[str, Any]) -> list[str]:
    champion = evaluation["champion"]
    return ["candidate", *([f"champion {_shown(champion['model_version'])}"] if champion else [])]


def _figure(height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_IN, height_in), dpi=_DOTS_PER_INCH, layout="constrained")


def _titled(figure: Figure, evaluation: Mapping[str, Any], what: str) -> Figure:
    figure.suptitle(f"{_shown(evaluation['model'])}, run {_shown(evaluation['run'])}: {what}", fontsize=11)
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _shown(name: str) -> str:
    """Return a name as a picture can hold it: one short line, and no formula between dollars."""
    line = " ".join(name.split())
    short = line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"
    return short.replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    image = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(image, format="png")
    return image.getvalue()
