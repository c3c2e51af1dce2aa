"""Pipeline ``sketch``: the drawing recogniser."""

from tagger.training.pipelines.sketch.pipeline import create_pipeline

__all__ = ["create_pipeline"]
