"""How the steps on digits are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.digits import nodes


def create_pipeline() -> Pipeline:
    """Read, train, report."""
    return Pipeline(
        [
            Node(nodes.read_digit_pictures, ["params:data", "params:digits"], "digit_pictures"),
            Node(
                nodes.train_digits,
                ["digit_pictures", "params:digits", "params:seed"],
                "digit_network",
            ),
            Node(
                nodes.report_digits,
                ["digit_network", "digit_pictures", "params:digits", "params:work"],
                "digit_report",
            ),
        ]
    )
