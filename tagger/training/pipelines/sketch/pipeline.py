"""How the steps of the drawing recogniser are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.sketch import comparison, nodes


def create_pipeline() -> Pipeline:
    """Read, train, calibrate, export, check, evaluate, write."""
    return Pipeline(
        [
            Node(nodes.read_drawings, ["params:data", "params:sketch"], "drawings"),
            Node(nodes.read_teachers, ["params:data", "params:sketch"], "teachers"),
            Node(
                nodes.train_recogniser,
                ["drawings", "teachers", "params:sketch", "params:run", "params:work"],
                "trained_recogniser",
            ),
            Node(
                nodes.fit_recogniser,
                ["trained_recogniser", "drawings", "params:sketch"],
                "fitted",
            ),
            Node(
                nodes.lift_digits,
                ["trained_recogniser", "fitted", "drawings"],
                "lifted_recogniser",
            ),
            Node(
                nodes.export_recogniser,
                ["lifted_recogniser", "fitted", "params:work", "params:sketch"],
                "recogniser_models",
            ),
            Node(
                nodes.check_recogniser_parity,
                [
                    "lifted_recogniser",
                    "fitted",
                    "drawings",
                    "recogniser_models",
                    "params:sketch",
                    "params:export",
                ],
                "recogniser_parity",
            ),
            Node(
                nodes.evaluate_recogniser,
                ["recogniser_models", "drawings", "teachers", "params:sketch", "params:data"],
                "recogniser_figures",
            ),
            Node(
                nodes.tune_memory,
                ["recogniser_models", "drawings", "params:sketch", "params:data"],
                "memory",
            ),
            Node(comparison.read_comparison, ["params:work"], "recogniser_comparison"),
            Node(
                nodes.write_sketch_bundle,
                [
                    "recogniser_models",
                    "drawings",
                    "lifted_recogniser",
                    "fitted",
                    "recogniser_figures",
                    "recogniser_parity",
                    "teachers",
                    "memory",
                    "recogniser_comparison",
                    "params:sketch",
                    "params:bundle.command",
                ],
                "sketch_bundle",
            ),
        ]
    )


def create_comparison() -> Pipeline:
    """With and without the metric-learning term; the figures go into the card."""
    return Pipeline(
        [
            Node(nodes.read_drawings, ["params:data", "params:sketch"], "drawings"),
            Node(nodes.read_teachers, ["params:data", "params:sketch"], "teachers"),
            Node(
                comparison.compare_metric_term,
                [
                    "drawings",
                    "teachers",
                    "params:sketch",
                    "params:run",
                    "params:data",
                    "params:work",
                ],
                "comparison",
            ),
        ]
    )
