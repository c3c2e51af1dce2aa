"""How the steps of metric learning are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.embedding import nodes
from tagger.training.pipelines.tagging import nodes as tagging


def _data() -> list[Node]:
    """Steps that every pipeline begins with."""
    return [
        Node(tagging.read_pictures, ["params:data", "params:limit"], "records"),
        Node(nodes.open_base, ["params:embedding", "params:run"], "embedding_base"),
        Node(
            tagging.pack_pictures,
            ["records", "embedding_base", "params:taglist", "params:pack", "params:work"],
            "packed",
        ),
    ]


def _seen() -> list[Node]:
    """Steps up to what the network sees, the network being trained before if that is wished."""
    return [
        Node(
            nodes.tune_network,
            [
                "embedding_base",
                "packed",
                "records",
                "params:embedding",
                "params:recipe",
                "params:sources",
                "params:run",
                "params:export",
                "params:bundle",
                "params:work",
            ],
            "embedding_tuned",
        ),
        Node(
            nodes.see_pictures,
            ["embedding_tuned", "packed", "records", "params:embedding", "params:work"],
            "embedding_seen",
        ),
    ]


def create_pipeline() -> Pipeline:
    """Open, see, train, export, check, judge, write."""
    return Pipeline([*_data(), *_train()])


def create_sequel() -> Pipeline:
    """The same after ``tagging`` in one run, with the pictures that it read and packed."""
    opened = Node(nodes.open_written, ["bundle", "params:run"], "embedding_base")
    return Pipeline([opened, *_train()])


def _train() -> list[Node]:
    return [
        *_seen(),
        Node(
            nodes.train_head,
            [
                "embedding_tuned",
                "embedding_seen",
                "packed",
                "params:embedding",
                "params:sources",
                "params:work",
            ],
            "embedding_head",
        ),
        Node(
            nodes.export_embedding,
            ["embedding_tuned", "embedding_head", "params:work"],
            "embedding_models",
        ),
        Node(
            nodes.check_parity,
            [
                "embedding_tuned",
                "embedding_head",
                "embedding_models",
                "packed",
                "records",
                "params:export",
            ],
            "embedding_parity",
        ),
        Node(
            nodes.evaluate_embedding,
            [
                "embedding_tuned",
                "embedding_head",
                "embedding_seen",
                "embedding_models",
                "packed",
                "records",
                "params:sources",
                "params:work",
            ],
            "embedding_figures",
        ),
        Node(
            nodes.write_bundle,
            [
                "embedding_tuned",
                "embedding_head",
                "embedding_models",
                "embedding_figures",
                "embedding_parity",
                "params:embedding",
                "params:bundle",
                "params:work",
            ],
            "embedding_bundle",
        ),
    ]


def create_comparison() -> Pipeline:
    """Train a head by every recipe of a list upon the same features."""
    return Pipeline(
        [
            *_data(),
            *_seen(),
            Node(
                nodes.compare_recipes,
                [
                    "embedding_tuned",
                    "embedding_seen",
                    "packed",
                    "params:embedding",
                    "params:sources",
                    "params:work",
                ],
                "embedding_comparison",
            ),
        ]
    )


def create_unseen_style() -> Pipeline:
    """Train without one style, then look for it and from it."""
    return Pipeline(
        [
            *_data(),
            Node(
                nodes.test_unseen_style,
                [
                    "embedding_base",
                    "packed",
                    "records",
                    "params:embedding",
                    "params:unseen_style",
                    "params:recipe",
                    "params:sources",
                    "params:run",
                    "params:work",
                ],
                "embedding_unseen_style",
            ),
        ]
    )
