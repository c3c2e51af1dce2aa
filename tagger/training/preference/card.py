"""The ranker's card: every figure in it comes from ``metrics.json``, none is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagger.training.preference.judge import LESS, MEASURES

_TITLES = {
    "pairs": "pairs in the right order, all",
    "certain": "pairs in the right order, certain ones",
    "tau": "Kendall's tau-b",
    "ndcg@10": "NDCG@10",
    "ndcg@50": "NDCG@50",
    "ndcg@100": "NDCG@100",
    "brier": "Brier score of P(left), less is better",
    "ece": "calibration error of P(left), less is better",
}
_WHOS = {
    "published": "published recipe",
    "ours": "this ranker",
    "difference": "difference",
    "ceiling": "as many other people",
}


def render(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Parameters
    ----------
    config, facts
        Contents of ``config.json`` and ``metrics.json``.
    """
    data, training, test = facts["data"], facts["training"], facts["test"]
    pictures, things = data["pictures"], data["things"]
    counted = "ceiling" in test
    parts = [
        f"# {config['name']}",
        (
            "Says of two pictures how probably the left one is preferred: "
            f"P = sigmoid({facts['slope']:.3g} x (score left - score right)). The score is made by "
            f"{_form(config)} from what the tagger `{config['model']}` says of a picture "
            f"({_input(config['input'])}); with any other tagger the file is refused."
        ),
        "Made by:",
        f"```\n{facts['command']}\n```",
        "## Test figures",
        (
            f"{pictures['test']:,} pictures of {things['test']:,} things that were never trained "
            f"on; learnt from {pictures['train']:,} of {things['train']:,}, chosen and calibrated "
            f"on {pictures['val']:,} of {things['val']:,}. {_target(facts, counted)} 95 % "
            "intervals are a bootstrap's over things, differences on the same samples. Drawing "
            "things anew repeats pictures, so that an interval of NDCG may lie a little aside."
        ),
        _table(test),
    ]
    if "difference" in test:
        parts.append(_verdict(test["difference"]))
    parts += ["Validation split, on which everything was chosen:", _table(facts["val"])]
    if facts["test_by_source"]:
        parts += ["### By style", _styles(facts["test_by_source"])]
    parts += ["### How it is measured", _formulas(facts, counted), "## Training"]
    if "published" in test:
        recipe = training["published"]
        parts.append(
            "The published recipe: a network of two convolutions on 80 x 80 pixels, trained from "
            "nothing by the logistic loss on pairs with a winner (RankNet, Burges et al. 2005), "
            f"{recipe['epochs']} epochs in {training['minutes']['published']} minutes on one "
            "core; the best epoch on the validation split is judged."
        )
    parts += [
        (
            "Ours: the same loss with the probability of either order for a label, so that ties "
            "count as such, and certain pairs weighing more. Candidates, and how they did on the "
            f"validation split ({training['minutes']['heads']} minutes for all; the least "
            f"logarithmic loss was taken: {facts['chosen']}):"
        ),
        _heads(facts["heads"]),
        *config.get("remarks", ()),
        "## Data",
        _data(config, data),
        "## Limits",
        (
            "What people who used an emoji felt is not what a picture is worth: arrows and signs "
            "are neutral, and a sad face that is drawn well is still sad. It knows few things, "
            "all of them emoji; of other pictures it says more the more they look like one. "
            "Taste is one's own: votes teach a ranker of their own."
            if counted
            else "It knows what these people thought of these pictures, and no more."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _form(config: Mapping[str, Any]) -> str:
    return "one hidden layer" if config["kind"] == "mlp" else "a linear layer"


def _input(kind: str) -> str:
    return {
        "embedding": "its embedding",
        "tags": "the probabilities of its ten first tags",
        "description": "its embedding and the probabilities of its ten first tags",
    }[kind]


def _target(facts: Mapping[str, Any], counted: bool) -> str:
    if counted:
        return (
            "The target of a thing is (positive - negative) / all of the uses that people judged, "
            'weighted by its certainty, all / (all + 3); "certain" are the pairs whose order is '
            'so with 95 %. "As many other people": the moods of every thing drawn anew from the '
            "posterior of its counts, as often as they were counted; what nobody can do better."
        )
    if facts["judged"] == "pairs":
        return "Judged by pairs of which at least one picture was not trained on."
    return "The target is the rating."


def _table(found: Mapping[str, Any]) -> str:
    whos = [who for who in _WHOS if who in found]
    lines = [
        "| | " + " | ".join(_WHOS[who] for who in whos) + " |",
        "|---|" + "---|" * len(whos),
    ]
    for name in MEASURES:
        cells = [_cell(found[who].get(name), signed=who == "difference") for who in whos]
        lines.append(f"| {_TITLES[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(of: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if of is None or of["value"] is None:
        return ""
    sign = "+" if signed else ""
    if of["low"] is None or of["high"] is None:
        return f"{of['value']:{sign}.3f}"
    return f"{of['value']:{sign}.3f} [{of['low']:{sign}.3f}, {of['high']:{sign}.3f}]"


def _verdict(difference: Mapping[str, Any]) -> str:
    better: list[str] = []
    sure: list[str] = []
    worse: list[str] = []
    for name in MEASURES:
        of = difference.get(name)
        if of is None or of["value"] is None:
            continue
        sign = -1 if name in LESS else 1
        ends = sorted((sign * of["low"], sign * of["high"]))
        title = _TITLES[name].split(", less")[0]
        (better if sign * of["value"] > 0 else worse).append(title)
        if ends[0] > 0:
            sure.append(title)
    lines = [f"Better than the published recipe in {len(better)} of {len(better) + len(worse)}"]
    lines.append(
        f"beyond what chance explains in: {'; '.join(sure)}" if sure else "in none beyond chance"
    )
    if worse:
        lines.append(f"not better in: {'; '.join(worse)}")
    return ", ".join(lines[:2]) + (f". {lines[2].capitalize()}." if worse else ".")


def _styles(found: Mapping[str, Any]) -> str:
    names = ("pairs", "certain", "tau", "ndcg@10", "ndcg@50", "ndcg@100", "brier", "ece")
    short = ("all pairs", "certain pairs", "tau-b", "NDCG@10", "@50", "@100", "Brier", "ECE")
    lines = [
        "The published recipe → this ranker; the intervals are in `metrics.json`.",
        "",
        "| | pictures | " + " | ".join(short) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for style, row in found.items():
        cells = []
        for name in names:
            both = [row[who][name]["value"] for who in ("published", "ours") if who in row]
            cells.append(" → ".join("" if value is None else f"{value:.3f}" for value in both))
        lines.append(f"| {style} | {row['pictures']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _formulas(facts: Mapping[str, Any], counted: bool) -> str:
    low, high = facts["ndcg"]["bounds"]
    text = (
        f"NDCG@k is DCG@k by the greatest that any order has; DCG@k is the sum over ranks 1 to k "
        f"of (2^g - 1) / log2(rank + 1), where the grade g is the target stretched from "
        f"{low:g}..{high:g} to 0..4. Equal scores share the gains of their ranks. Pictures of the "
        "same thing are never compared. The calibration error is over ten bins of equally many "
        "pairs, each pair in both directions."
    )
    if counted:
        text += (
            " The outcome of a pair, for the last two figures, is the probability that the left "
            "thing's true mood is the better one, given the counts."
        )
    return text


def _heads(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| | log loss | all pairs | certain pairs | NDCG@50 |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row["log_loss"], *(row["val"][name] for name in ("pairs", "certain", "ndcg@50"))]
        shown = ["" if value is None else f"{value:.3f}" for value in cells]
        lines.append(f"| {row['name']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _data(config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    lines = [f"- {line}" for line in config["training_data"]]
    alike = f"{data['near_duplicates']:,} pairs of pictures of different things are nearly the same"
    if "left_out_of_training" in data:
        alike += (
            f"; {data['across_splits']:,} of them were in different splits, and "
            f"{data['left_out_of_training']:,} pictures were left out of training for it."
        )
    else:
        alike += "; they were kept in one split."
    return "\n".join([*lines, f"- {alike}"])
