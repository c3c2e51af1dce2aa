"""Draw a registered pipeline as a Mermaid flow chart: ``python -m tagger.training.diagram``."""

from __future__ import annotations

import sys

from kedro.pipeline import Pipeline

from tagger.training.pipeline_registry import register_pipelines


def mermaid(pipeline: Pipeline) -> str:
    """Return the flow chart of a pipeline.

    An arrow leads from the step that makes something to a step that needs it, and names what is
    handed over. Arrows that a longer way already implies are left out, so that the order stays
    legible; parameters are not drawn.
    """
    makers = {made: node for node in pipeline.nodes for made in node.outputs}
    steps = {node: node.func.__name__ for node in pipeline.nodes}
    needs = {
        node: {makers[name]: name for name in node.inputs if name in makers}
        for node in pipeline.nodes
    }
    # Kedro gives nodes in an order that they can run in: what a step needs comes before it.
    before: dict[object, set[object]] = {}
    for node in pipeline.nodes:
        before[node] = set(needs[node]).union(*(before[maker] for maker in needs[node]))
    lines = ["flowchart TD"]
    lines += [f'  {steps[node]}["{steps[node].replace("_", " ")}"]' for node in pipeline.nodes]
    for node in pipeline.nodes:
        implied = set().union(*(before[maker] for maker in needs[node]))
        lines += [
            f"  {steps[maker]} -->|{name}| {steps[node]}"
            for maker, name in needs[node].items()
            if maker not in implied
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid(register_pipelines()[sys.argv[1] if len(sys.argv) > 1 else "tagging"]))
