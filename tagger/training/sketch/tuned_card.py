"""The card of a tuned recogniser: every figure comes from ``metrics.json``, none is by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagger.gate import Verdict

_FREE = {
    "head": "the last layer",
    "embed": "the embedding and the last layer",
    "last_stage": "the last stage of convolutions, the embedding and the last layer",
    "all": "all layers",
}


def render(config: Mapping[str, Any], facts: Mapping[str, Any], verdict: Verdict) -> str:
    """The card as Markdown, from the contents of ``config.json`` and ``metrics.json``."""
    data, began, training = facts["data"], facts["began_as"], facts["training"]
    recipe, new = training["parameters"], facts["new_words"]
    kept = (
        f"drawings of the first training were {recipe['replay']:.0%} of every batch"
        if data["first_training"]
        else "the centres of the known words stood for the first training, which was not at hand"
    )
    parts = [
        f"# {config['name']} {config['version']}",
        (
            f"Names a drawing among {config['words']} words while it grows. It is {began['name']} "
            f"{began['version']} (`{began['hash']}`), trained on with {data['drawings']:,} "
            f"drawings that people gave to the app (`{data['hash']}`), of which "
            f"{data['held_back']:,} are held back to judge; licence {config['licence']}."
        ),
        "Made by:",
        f"```\n{facts['command']}\n```",
        "## Before and after",
        verdict.sentence(),
        _changes(verdict),
        (
            "The share of drawings whose first answer is right, with the 95 % interval of the "
            "difference by a paired bootstrap. The frozen drawings are the validation split of "
            "the first training. Of the collected ones, those of new words are compared with what "
            "the few-shot memory made of them."
        ),
    ]
    if new:
        lines = ["| new word | taught by | held back | right before | after |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {_cell(word)} | {n['taught_by']} | {n['held_back']} | {n['right_before']} "
            f"| {n['right_after']} |"
            for word, n in new.items()
        ]
        parts += ["## New words", "\n".join(lines)]
    parts += [
        "## Training",
        (
            f"{recipe['epochs']} epochs, {training['minutes']} minutes; free were "
            f"{_FREE[recipe['layers']]}; {kept}. Parameters and curve are in `metrics.json`."
        ),
    ]
    if facts["parity"]:
        parity = facts["parity"]["float32"]
        parts.append(
            f"Torch and ONNX in float32 differ by at most {parity['probabilities']:.1e} in "
            f"probabilities and {parity['embedding']:.1e} in the embedding."
        )
    parts += ["## Data", "\n".join(f"- {line}" for line in config["training_data"])]
    return "\n\n".join(parts) + "\n"


def _changes(verdict: Verdict) -> str:
    lines = ["| | drawings | before | after | difference |", "|---|---|---|---|---|"]
    for name, change in (("frozen", verdict.frozen), ("collected", verdict.held_back)):
        if change is not None:
            lines.append(
                f"| {name} | {change.count:,} | {change.before:.1%} | {change.after:.1%} "
                f"| {100 * change.low:+.1f} to {100 * change.high:+.1f} points |"
            )
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A word that people made up, as plain text in a table."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#+-!|&" else c for c in text)
