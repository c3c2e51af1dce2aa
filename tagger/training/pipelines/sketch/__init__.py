"""Pipeline ``sketch``: the drawing recogniser."""

from tagger.training.pipelines.sketch.pipeline import create_comparison, create_pipeline

__all__ = ["create_comparison", "create_pipeline"]
