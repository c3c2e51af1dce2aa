"""What the model card says of a trained embedding; every figure comes from ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = (
    ("precision@1", "Precision@1"),
    ("r_precision", "R-precision"),
    ("map@r", "MAP@R"),
    ("recall@5", "recall@5"),
    ("recall@10", "recall@10"),
    ("hit_rate@5", "hit rate@5"),
    ("ndcg@10", "clip art NDCG@10"),
)


def render(found: Mapping[str, Any], name: str) -> list[str]:
    """The section of the card, paragraph by paragraph.

    Parameters
    ----------
    found
        ``embedding`` of ``metrics.json``.
    name
        Of the section.
    """
    recipe, asked = found["recipe"], found["questions"]["test"]
    parts = [
        f"## {name}",
        (
            f"`embedding`, {found['dimension']} numbers of length 1, is made from `features` by a "
            f"head of its own, trained by metric learning in {found['minutes']} minutes upon "
            f"{found['views'] + 1} views of every training picture: {_objective(recipe)}. "
            f"{_layers(recipe)} Made by:"
        ),
        f"```\n{found['command']}\n```",
        (
            f"Same thing, other style: each of {asked['cross_style']:,} pictures of "
            f"{asked['concepts']:,} things that were never trained on asks among all pictures in "
            "other styles for its own thing. recall@k is the share of the right ones among the "
            "first k, hit rate@5 asks for any (papers call that recall@5). Clip art, "
            f"{asked['clip_art']:,} pictures that have a tag in common with another: order by tags "
            "in common, rare ones counting more. 95 % intervals are a bootstrap's over things."
        ),
        "On the test split:",
        _table([(row["name"], row["test"]) for row in found["table"]]),
        "On the validation split, on which everything was chosen:",
        _table([(row["name"], row["val"]) for row in found["table"]]),
        f"Difference to the plain features on the test split: {_differences(found['difference'])}.",
    ]
    if "comparison" in found:
        parts += _comparison(found["comparison"])
    if "unseen_style" in found:
        parts += _unseen(found["unseen_style"])
    return parts + _mistakes(found["mistakes"], found["remains"], found["parity"])


def _objective(recipe: Mapping[str, Any]) -> str:
    words = []
    if recipe["metric"]:
        miner, reducer = recipe["miner"].get("name"), recipe["reducer"].get("name")
        words.append(
            " with ".join(filter(None, (f"`{recipe['loss']['name']}`", miner, reducer)))
            + f" over batches of `{recipe['sampler']['name']}`"
        )
    if recipe["graded"]:
        words.append(f"the order by tags in common with weight {recipe['graded']:g}")
    return " and ".join(words)


def _layers(recipe: Mapping[str, Any]) -> str:
    if recipe["layers"] == "head":
        return "The network itself is as it was: tags and heat maps did not change."
    part = "all of it" if recipe["layers"] == "all" else "its last stage"
    return f"Of the network {part} was trained along, the tags beside it."


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]], intervals: bool = True) -> str:
    columns = [(k, t) for k, t in _COLUMNS if any(of.get(k) for _, of in rows)]
    lines = [
        "| | " + " | ".join(title for _, title in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, of in rows:
        lines.append(
            f"| {name} | " + " | ".join(_cell(of.get(k), intervals) for k, _ in columns) + " |"
        )
    return "\n".join(lines)


def _cell(value: Sequence[float] | None, interval: bool) -> str:
    if not value:
        return ""
    return f"{value[0]:.3f}" + (f" [{value[1]:.3f}, {value[2]:.3f}]" if interval else "")


def _differences(of: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(
        f"{title} {of[key][0]:+.3f} [{of[key][1]:+.3f}, {of[key][2]:+.3f}]"
        for key, title in _COLUMNS
        if of.get(key)
    )


def _comparison(found: Mapping[str, Any]) -> list[str]:
    parts = [
        "### Recipes of metric learning compared",
        (
            "A head a line, upon the same features and with as many steps; each line is ours with "
            "what its name says changed. `published triplets` is the published example: triplet "
            "margin loss, semi-hard miner, threshold reducer. Validation split, then test split:"
        ),
        _table([(row["name"], row["val"]) for row in found["table"]], intervals=False),
        _table([(row["name"], row["test"]) for row in found["table"]], intervals=False),
    ]
    ours = found.get("difference", {}).get("ours")
    if ours:
        parts.append(f"Ours against `{found['baseline']}` on the test split: {_differences(ours)}.")
    return parts


def _unseen(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| | queries | plain Precision@1 | trained Precision@1 | plain MAP@R | trained MAP@R |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = [
            _cell(row[kind].get(key), True)
            for key in ("precision@1", "map@r")
            for kind in ("plain", "trained")
        ]
        lines.append(f"| {row['name']} | {row['queries']:,} | " + " | ".join(cells) + " |")
    return [
        "### Finding things in a style it never saw",
        (
            f"The network that was trained without `{found['source']}`, with a head trained "
            "without it, too. Pictures of that style ask among the others, and the other way "
            "round; known things were trained on in the other styles, unseen things in none. It "
            f"was trained for {found['epochs']} epochs at {found['size']} pixels only and finds "
            "far less than the shipped one: what counts is each line's trained beside its plain, "
            "and what is searched differs from line to line."
        ),
        "\n".join(lines),
    ]


def _mistakes(found: Mapping[str, Any], remains: str, parity: Mapping[str, Any]) -> list[str]:
    styles = ", ".join(
        f"{style} {wrong} of {asked}" for style, (wrong, asked) in found["by_style"].items()
    )
    text = (
        f"{found['wrong']:,} of {found['queries']:,} test pictures find something else first. "
        f"{found['right_among_first_five']:,} of them find a right one among the first five; "
        f"{found['half_of_tags_shared']:,} share half of their tags or more with what they find, "
        f"{found['no_tag_shared']:,} share none. By the style that asks: {styles}."
    )
    pairs = ", ".join(f"{pair} ({n})" for pair, n in found["most_confused"].items())
    parts = ["### What remains", text]
    if pairs:
        parts.append(f"Most often taken for one another: {pairs}.")
    if remains:
        parts.append(remains)
    parts.append(
        f"Against the file before, over {parity['pictures']} pictures, probabilities differ by at "
        f"most {parity['probabilities']:.1e} and features by {parity['features']:.1e}; the "
        f"embedding of torch and of ONNX by {parity['embedding']:.1e} in float32 and "
        f"{parity['embedding_shipped']:.1e} as it ships."
    )
    return parts
