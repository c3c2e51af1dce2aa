"""The recogniser's model card: every figure comes from ``metrics.json``, none is by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The card as Markdown, from the contents of ``config.json`` and ``metrics.json``."""
    data, training, test = facts["data"], facts["training"], facts["test"]
    theirs = facts.get("doodlenet")
    taught = (
        f", with {data['teacher']}'s answers to the same training drawings as soft targets"
        if data["teacher"]
        else ""
    )
    parts = [
        f"# {config['name']} {config['version']}",
        (
            f"Names a drawing among {config['words']} words while it grows. A small residual "
            f"network, trained from random weights on {data['drawings'].get('train', 0):,} "
            f"drawings{taught}; licence {config['licence']}."
        ),
        "Made by:",
        f"```\n{facts['command']}\n```",
        "## Test figures",
        (
            f"Of the file as it ships, on {test['drawings']:,} test drawings of {test['words']} "
            f"words, told apart among all {test['classes']} classes"
            + (
                ". DoodleNet sees the same drawings in the same run, rasterised as its own "
                "training data were; it was trained on about 50,000 drawings a word, these very "
                "ones probably among them, and knows the 345 words alone."
                if theirs
                else "."
            )
        ),
        _accuracy(test["by_share"], theirs["by_share"] if theirs else None),
    ]
    if theirs:
        gain = theirs["ours_less_theirs"]
        parts.append(
            "Ours less DoodleNet's on whole drawings, 95 % intervals of a paired bootstrap: "
            + "; ".join(
                f"{_title(k)} {100 * a:+.1f} to {100 * b:+.1f}" for k, (a, b) in gain.items()
            )
            + " (points)."
        )
    hidden = test["order_unknown"]
    parts.append(
        "Expected calibration error of the first word: "
        f"{test['calibration_error_some_unfinished']:.3f} where half of the drawings stop at 50 or "
        f"75 % of their points, as on the page, and {test['calibration_error']:.3f} on whole ones "
        "alone. Where the "
        "order of the strokes is not known: "
        + ", ".join(f"{_title(k)} {_percent(v)}" for k, v in hidden.items())
        + "."
    )
    if "digits" in facts:
        digits = facts["digits"]
        parts += [
            "### Digits",
            (
                f"{digits['drawings']:,} held-back digits, traced into strokes: "
                f"{_percent(digits['top_1'])} right among all classes, "
                f"{_percent(digits['among_digits']['top_1'])} among the ten digits."
            ),
        ]
    if "few_shot" in facts:
        few = facts["few_shot"]
        lines = ["| | 1 drawing | 5 drawings |", "|---|---|---|"]
        rows = [("its embedding", few["ours"])]
        if "doodlenet" in few:
            rows.append(("DoodleNet's last features, a plain classifier's", few["doodlenet"]))
        rows.append(("pixels", few["pixels"]))
        small = facts.get("comparison")
        if small:
            budget = f"{small['drawings']:,} drawings, {small['epochs']} epochs"
            rows += [
                (f"trained on {budget}, with the metric-learning term", small["with"]),
                ("the same without it: a plain classifier's", small["without"]),
            ]
        lines += [f"| {name} | {_shots(figures)} |" for name, figures in rows]
        parts += [
            "### Words it never saw",
            (
                f"20 ways on {few['characters']} characters of Omniglot, none of which it was "
                "trained on: the nearest mean of a few drawings each."
            ),
            "\n".join(lines),
        ]
    if "taught_words" in facts:
        taught_words = dict(facts["taught_words"])
        count = taught_words.pop("characters")
        lines = [
            "| drawings that taught it | found first | mean confidence | known words, top-1 |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {name.split('_')[0]} | {_percent(v['found'])} | {_percent(v['confidence'])} "
            f"| {100 * v['known_words_top_1_change']:+.2f} points |"
            for name, v in taught_words.items()
        ]
        parts += [
            "### A word taught by a few drawings",
            (
                f"One of {count} other characters at a time is taught as a new word beside all of "
                "the network's; asked are the rest of its drawings and the test drawings of the "
                "known words. The rule that mixes the two was fitted on other characters."
            ),
            "\n".join(lines),
        ]
    parity, fitted = facts["parity"], facts["fitted"]
    parts += [
        "## The file",
        (
            f"{_views(fitted)} On validation drawings were fitted: what is added to the logits of "
            f"the digits, {fitted['lift']:.2f}, and the temperature, {fitted['temperature']:.3f}. "
            f"Torch and ONNX in float32 differ by at most "
            f"{parity['float32']['probabilities']:.1e} in probabilities and "
            f"{parity['float32']['embedding']:.1e} in the embedding over {parity['drawings']} "
            f"drawings; the shipped file, whose large weights are float16, by "
            f"{parity['shipped']['probabilities']:.1e} and {parity['shipped']['embedding']:.1e} "
            f"({parity['bytes']['shipped'] / 1e6:.1f} MB instead of "
            f"{parity['bytes']['float32'] / 1e6:.1f} MB)."
        ),
        "Outputs: " + "; ".join(f"`{o['name']}`: {o['meaning']}" for o in config["outputs"]) + ".",
        "## Training",
        (
            f"{training['epochs']} epochs{_in_two_runs(training)}, "
            f"{training['minutes']} minutes on {training['machine']}. Recipe and variation of the "
            "strokes are in `metrics.json`, the history in `training.json`."
        ),
        "## Data",
        "\n".join(f"- {line}" for line in config["training_data"]),
        "## Limits",
        (
            "It knows what people drew in twenty seconds with a mouse or a finger, as they drew it "
            "for a game. `labels.csv` gives each word's recall on ten test drawings, which is few."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _in_two_runs(training: Mapping[str, Any]) -> str:
    recipe = training["recipe"]
    if not recipe.get("start"):
        return ""
    return f", the last {recipe['epochs']} of them a second run from the weights of the first"


def _views(fitted: Mapping[str, Any]) -> str:
    if fitted["closer"]:
        return "It sees every drawing twice, the second time a tenth closer."
    return "It sees every drawing once."


def _shots(figures: Mapping[str, Any]) -> str:
    return " | ".join(
        f"{_percent(figures[k]['accuracy'])} ± {100 * figures[k]['interval']:.1f}"
        for k in ("1_shot", "5_shot")
    )


def _accuracy(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> str:
    names = ["ours", *(["DoodleNet"] if theirs else [])]
    columns = [f"{name} top-{k}" for name in names for k in (1, 3, 5)]
    lines = ["| points drawn | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for share, figures in ours.items():
        cells = [_percent(v) for v in figures.values()]
        cells += [_percent(v) for v in theirs[share].values()] if theirs else []
        lines.append(f"| {share} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _title(key: str) -> str:
    return key.replace("_", "-")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
