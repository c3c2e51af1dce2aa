"""Pipeline ``digits``: train, test and report on handwritten digits alone."""

from tagger.training.pipelines.digits.pipeline import create_pipeline

__all__ = ["create_pipeline"]
