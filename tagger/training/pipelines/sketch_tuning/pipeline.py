"""How the steps of a tuning are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.sketch_tuning import candidate, nodes

_SETTINGS = "params:sketch_tuning"
_WORK = "params:work"


def create_pipeline() -> Pipeline:
    """Open, read, train, calibrate, export, judge, check, write."""
    return Pipeline(
        [
            Node(nodes.open_live, ["params:data", _SETTINGS, _WORK], "live"),
            Node(nodes.read_lessons, ["live", _SETTINGS], "collected"),
            Node(nodes.read_first_training, ["params:data", "live", _SETTINGS], "first_training"),
            Node(
                nodes.prepare,
                ["live", "collected", "first_training", _SETTINGS, _WORK],
                "prepared",
            ),
            Node(
                nodes.tune_network,
                ["live", "collected", "prepared", "params:data", _SETTINGS, _WORK],
                "tuned",
            ),
            Node(
                nodes.calibrate,
                ["live", "prepared", "tuned", "first_training", "params:sketch_tuning.watched"],
                "candidate",
            ),
            Node(nodes.export_candidate, ["live", "candidate", _WORK], "candidate_models"),
            Node(
                nodes.judge_candidate,
                [
                    "live",
                    "collected",
                    "prepared",
                    "first_training",
                    "candidate",
                    "tuned",
                    "candidate_models",
                    _SETTINGS,
                    _WORK,
                ],
                "judgement",
            ),
            Node(
                nodes.check_candidate,
                [
                    "live",
                    "candidate",
                    "collected",
                    "judgement",
                    "candidate_models",
                    "params:export",
                ],
                "candidate_parity",
            ),
            Node(
                candidate.write_candidate,
                [
                    "live",
                    "collected",
                    "prepared",
                    "candidate",
                    "tuned",
                    "judgement",
                    "candidate_parity",
                    "candidate_models",
                    "params:data",
                    _SETTINGS,
                    _WORK,
                    "params:bundle.command",
                ],
                "tuned_bundle",
            ),
        ]
    )
