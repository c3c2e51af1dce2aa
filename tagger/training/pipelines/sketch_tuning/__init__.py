"""Pipeline ``sketch_tuning``: the recogniser learns for good what people drew."""

from tagger.training.pipelines.sketch_tuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
