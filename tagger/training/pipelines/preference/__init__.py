"""Pipelines ``preference`` and ``preference_scores``: train a ranker; score pictures by one."""

from tagger.training.pipelines.preference.pipeline import create_pipeline, create_scores

__all__ = ["create_pipeline", "create_scores"]
