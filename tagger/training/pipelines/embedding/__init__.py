"""Metric learning: from a tagging bundle to one whose embedding is trained."""

from tagger.training.pipelines.embedding.pipeline import (
    create_comparison,
    create_pipeline,
    create_sequel,
    create_unseen_style,
)

__all__ = ["create_comparison", "create_pipeline", "create_sequel", "create_unseen_style"]
