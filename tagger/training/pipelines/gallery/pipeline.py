"""How the steps of the gallery are joined."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from tagger.training.pipelines.gallery import nodes


def create_pipeline() -> Pipeline:
    """Read, look, choose, write, map."""
    return Pipeline(
        [
            Node(nodes.read_candidates, ["params:data", "params:gallery"], "candidates"),
            Node(nodes.look, ["candidates", "params:gallery"], "seen"),
            Node(nodes.choose, ["candidates", "seen", "params:gallery"], "chosen"),
            Node(
                nodes.write_pictures,
                ["candidates", "seen", "chosen", "params:gallery"],
                "gallery_folder",
            ),
            Node(nodes.make_map, ["gallery_folder", "params:gallery"], "gallery_report"),
        ]
    )
