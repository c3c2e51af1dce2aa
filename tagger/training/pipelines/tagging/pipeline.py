"""How the steps of tagging are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.tagging import nodes


def _data() -> list[Node]:
    """Steps that every pipeline begins with."""
    return [
        Node(nodes.read_pictures, ["params:data", "params:limit"], "records"),
        Node(nodes.build_tag_list, ["records", "params:taglist", "params:sources"], "taglist"),
        Node(
            nodes.pack_pictures,
            ["records", "taglist", "params:taglist", "params:pack", "params:work"],
            "packed",
        ),
    ]


def create_pipeline() -> Pipeline:
    """Read, list, pack, train, calibrate, choose operating points, export, check, write."""
    return Pipeline(
        [
            *_data(),
            Node(
                nodes.train_network,
                [
                    "packed",
                    "taglist",
                    "params:recipe",
                    "params:sources",
                    "params:run",
                    "params:work",
                ],
                "trained",
            ),
            Node(nodes.choose_size, ["trained", "packed", "params:sources", "params:pack"], "size"),
            Node(nodes.choose_views, ["trained", "packed", "params:sources", "size"], "views"),
            Node(nodes.score, ["trained", "packed", "records", "size", "views"], "scores"),
            Node(nodes.calibrate, ["scores", "packed", "params:sources"], "calibration"),
            Node(
                nodes.choose_operating_points,
                ["scores", "calibration", "packed", "params:sources"],
                "points",
            ),
            Node(
                nodes.export_model,
                ["trained", "calibration", "size", "views", "params:work"],
                "models",
            ),
            Node(
                nodes.check_parity,
                ["trained", "calibration", "scores", "views", "models", "params:export"],
                "parity",
            ),
            Node(
                nodes.evaluate_model,
                ["models", "scores", "calibration", "packed", "taglist", "params:sources"],
                "figures",
            ),
            Node(
                nodes.write_bundle,
                [
                    "models",
                    "taglist",
                    "points",
                    "figures",
                    "parity",
                    "trained",
                    "size",
                    "views",
                    "packed",
                    "params:bundle",
                    "params:work",
                ],
                "bundle",
            ),
        ]
    )


def create_comparison() -> Pipeline:
    """Train every recipe of a list at one equal budget; the table goes into the model card."""
    return Pipeline(
        [
            *_data(),
            Node(
                nodes.compare_recipes,
                [
                    "packed",
                    "taglist",
                    "params:comparison",
                    "params:recipe",
                    "params:sources",
                    "params:run",
                    "params:work",
                ],
                "comparison",
            ),
        ]
    )


def create_unseen_style() -> Pipeline:
    """Train without one source, test on it."""
    return Pipeline(
        [
            *_data(),
            Node(
                nodes.test_unseen_style,
                [
                    "packed",
                    "taglist",
                    "params:unseen_style",
                    "params:recipe",
                    "params:sources",
                    "params:run",
                    "params:work",
                ],
                "unseen_style",
            ),
        ]
    )
