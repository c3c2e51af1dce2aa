"""The model card: every figure in it comes from ``metrics.json``, none is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagger.training.embedding import card as embedding_card

_COLUMNS = (
    ("mean_average_precision", "mAP"),
    ("micro_recall_at_10", "micro recall@10"),
    ("macro_recall_at_10", "macro recall@10"),
    ("precision_at_1", "precision@1"),
    ("calibration_error", "calibration error"),
    ("pictures", "pictures"),
    ("tags", "tags"),
)


def render(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Parameters
    ----------
    config, facts
        Contents of ``config.json`` and ``metrics.json``.
    """
    data, training = facts["data"], facts["training"]
    recipe = training["recipe"]
    parts = [
        f"# {config['name']} {config['version']}",
        (
            f"Ranks {config['tags']} tags for an illustration. {recipe['backbone']} (timm), "
            f"trained from random weights on {data['pictures'].get('train', 0):,} pictures; "
            f"licence {config['licence']}."
        ),
        "Made by:",
        f"```\n{facts['command']}\n```",
        "## Test figures",
        (
            "Of the file as it ships, on the test split; emoji and clip art judge, icon sets only "
            "train. Emoji are split by what they show, so theirs are unseen things in known "
            "styles; the clip art is unseen pictures. A tag counts as right only if somebody wrote "
            "it (or a word joined with it, or one that implies it), so tags that people forgot "
            "count as mistakes. Recall and calibration are over the ten tags shown."
        ),
        table([(k.replace("_", " "), v) for k, v in facts["test"].items()]),
        "Validation split (on which everything was chosen):",
        table([("val", facts["val"])]),
        "### By kind of tag",
        "Among the tags of one kind only, on the pictures that have such a tag.",
        table(list(facts["test_by_group"].items())),
        "### By source",
        table(list(facts["test_by_source"].items())),
    ]
    if "comparison" in facts:
        parts += _comparison(facts["comparison"])
    if "unseen_style" in facts:
        parts += _unseen(facts["unseen_style"])
    if "embedding" in facts:
        parts += embedding_card.render(facts["embedding"], "Embedding")
    parity = facts["parity"]
    full, shipped = facts["test_float32"], facts["test"]["all"]
    loss = full["mean_average_precision"] - shipped["mean_average_precision"]
    parts += [
        "## The file",
        (
            f"Torch and ONNX in float32 differ by at most "
            f"{parity['float32']['probabilities']:.1e} in probabilities and "
            f"{parity['float32']['embedding']:.1e} in the embedding over {parity['pictures']} "
            f"pictures. The shipped file keeps its large weights in float16 "
            f"({parity['bytes']['shipped'] / 1e6:.1f} MB instead of "
            f"{parity['bytes']['float32'] / 1e6:.1f} MB{_with_head(facts)}); arithmetic stays "
            f"float32. That moves "
            f"probabilities by at most {parity['shipped']['probabilities']:.1e} and costs "
            f"{loss:+.4f} mAP on the test split."
            + (
                " It sees every picture twice, once in a mirror, and answers with the mean."
                if training.get("views") == "mirrored"
                else ""
            )
        ),
        (
            f"Input: one float32 `[N, {config['input']['size']}, {config['input']['size']}, 3]`, "
            "BGR, 0-255, the picture centred on a white square. Outputs: "
            + "; ".join(f"`{o['name']}` {o['meaning']}" for o in config["outputs"])
            + "."
        ),
        "## Training",
        (
            f"{training['minutes']} minutes on {training['machine']}. {_stages(recipe)} The full "
            "recipe is in `metrics.json`, the history in `training.json`."
        ),
        "## Data",
        "\n".join(f"- {line}" for line in config["training_data"]),
        "## Limits",
        (
            "It knows emoji, icons and clip art, and nothing of photographs, comics pages or "
            "anime characters. Rare tags rest on few examples: `selected_tags.csv` gives the "
            "precision, recall and support of each. Tags describe what is drawn, as the people "
            "who tagged the data saw it."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _with_head(facts: Mapping[str, Any]) -> str:
    """How large the file is with the head of a trained embedding in it."""
    if "embedding" not in facts:
        return ""
    return f"; {facts['embedding']['parity']['bytes'] / 1e6:.1f} MB with the embedding's head"


def table(rows: Sequence[tuple[str, Mapping[str, Any]]], extra: Sequence[str] = ()) -> str:
    """Figures as a Markdown table, a named set a row."""
    columns = [(k, t) for k, t in _COLUMNS if any(k in figures for _, figures in rows)]
    lines = [
        "| | " + " | ".join([*extra, *(t for _, t in columns)]) + " |",
        "|---|" + "---|" * (len(extra) + len(columns)),
    ]
    for name, figures in rows:
        cells = [str(figures.get(e, "")) for e in extra]
        cells += [_cell(figures.get(k)) for k, _ in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _comparison(found: Mapping[str, Any]) -> list[str]:
    rows = [(r["name"], r) for r in found["table"]]
    parts = [
        "## Recipes compared",
        (
            "One small budget for all, on the same validation pictures: each line is ours with "
            "only what its name says changed, but for `published`, which is the published recipe "
            "as it was described. Figures are comparable to each other, not to those above, which "
            "come from a longer run. A few epochs tell which recipe learns faster, not which ends "
            "better; and minutes are of a machine that may have had other work."
        ),
        table(rows, ("backbone", "size", "epochs", "minutes")),
    ]
    if differences := found.get("difference"):
        lines = [
            f"Differences from `{found['baseline']}`, with 95 % intervals of a bootstrap over "
            "concepts. Drawing concepts anew repeats pictures, which raises the mean over tags of "
            "the better ranking, so an interval may lie beside the difference itself:",
            "",
            "| | mAP | micro recall@10 | macro recall@10 | precision@1 |",
            "|---|---|---|---|---|",
        ]
        for name, of in differences.items():
            cells = [f"{of[k][0]:+.3f} [{of[k][1]:+.3f}, {of[k][2]:+.3f}]" for k, _ in _COLUMNS[:4]]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return parts


def _unseen(found: Mapping[str, Any]) -> list[str]:
    names = {
        "unseen_style_known_concepts": "unseen style, known things",
        "known_styles_known_concepts": "known styles, the same things (trained on: a ceiling)",
        "unseen_style_unseen_concepts": "unseen style, unseen things",
        "known_styles_unseen_concepts": "known styles, the same unseen things",
    }
    return [
        "## A style it never saw",
        (
            f"Another model, trained in {found['minutes']} minutes without `{found['source']}`, "
            "and tested on it. The shipped model is trained on all styles."
        ),
        table([(text, found[key]) for key, text in names.items()]),
    ]


def _stages(recipe: Mapping[str, Any]) -> str:
    """What the run did, and the run before it if there was one, in a sentence each."""

    def stage(values: Mapping[str, Any]) -> str:
        *earlier, last = [str(side) for _, side in values["sizes"]]
        sides = f"{', '.join(earlier)} and then {last}" if earlier else last
        return (
            f"{values['epochs']} epochs at {sides} pixels a side, loss {values['loss']}, "
            f"{values['optimiser']}, learning rate {values['rate']}"
        )

    if not recipe.get("start"):
        return f"{stage(recipe)[:1].upper()}{stage(recipe)[1:]}."
    text = (
        f"First {stage({**recipe, **recipe['start']})}. Then, from those weights, {stage(recipe)}"
    )
    if recipe.get("soften"):
        text += f", {recipe['soften']:.0%} of every label said by the first network"
    return f"{text}."
