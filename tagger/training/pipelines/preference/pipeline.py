"""How the steps of the ranker are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.preference import nodes


def create_pipeline() -> Pipeline:
    """Read, look, part, train the published network and ours, calibrate, judge, write."""
    own = "params:preference"
    return Pipeline(
        [
            Node(nodes.read_opinions, ["params:data", own], "opinions"),
            Node(nodes.look, ["opinions", own, "params:work"], "looked"),
            Node(nodes.part, ["opinions", "looked", own], "parted"),
            Node(nodes.train_published, ["parted", "looked", own, "params:work"], "published"),
            Node(nodes.train_heads, ["parted", "looked", own], "heads"),
            Node(nodes.make_ranker, ["heads", "parted", "looked", own], "preference_ranker"),
            Node(
                nodes.judge_rankers,
                ["preference_ranker", "published", "parted", "looked", own],
                "preference_figures",
            ),
            Node(
                nodes.write_ranker,
                [
                    "preference_ranker",
                    "heads",
                    "published",
                    "parted",
                    "preference_figures",
                    own,
                    "params:bundle",
                ],
                "preference_bundle",
            ),
        ]
    )


def create_scores() -> Pipeline:
    """Read pictures, look, score."""
    own = "params:preference"
    return Pipeline(
        [
            Node(nodes.read_pictures, "params:data", "pictures"),
            Node(nodes.look_at, ["pictures", own, "params:work"], "looked"),
            Node(nodes.write_scores, ["pictures", "looked", own], "preference_scored"),
        ]
    )
