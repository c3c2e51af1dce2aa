"""How the steps on digits are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.digits import indexing, nodes


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


def create_indexing() -> Pipeline:
    """Read, part, train on some digits, index and tell all."""
    return Pipeline(
        [
            Node(nodes.read_digit_pictures, ["params:data", "params:digits"], "digit_pictures"),
            Node(
                indexing.part_digits,
                ["digit_pictures", "params:digits_index", "params:seed"],
                "digit_parts",
            ),
            Node(
                indexing.train_seen,
                ["digit_pictures", "digit_parts", "params:digits_index", "params:seed"],
                "seen_network",
            ),
            Node(
                indexing.report_index,
                [
                    "seen_network",
                    "digit_pictures",
                    "digit_parts",
                    "params:digits_index",
                    "params:work",
                ],
                "digit_index_report",
            ),
        ]
    )
