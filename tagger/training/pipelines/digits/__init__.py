"""Pipelines ``digits`` and ``digits_index``: train, test and report on handwritten digits alone."""

from tagger.training.pipelines.digits.pipeline import create_indexing, create_pipeline

__all__ = ["create_indexing", "create_pipeline"]
