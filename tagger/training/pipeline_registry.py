"""Names of the pipelines; ``__default__`` makes all that the default app needs."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from tagger.training.pipelines import (
    digits,
    embedding,
    gallery,
    preference,
    sketch,
    sketch_tuning,
    tagging,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name."""
    made = {
        "tagging": tagging.create_pipeline(),
        "tagging_comparison": tagging.create_comparison(),
        "tagging_unseen_style": tagging.create_unseen_style(),
        "embedding": embedding.create_pipeline(),
        "embedding_comparison": embedding.create_comparison(),
        "embedding_unseen_style": embedding.create_unseen_style(),
        "sketch": sketch.create_pipeline(),
        "sketch_comparison": sketch.create_comparison(),
        "sketch_tuning": sketch_tuning.create_pipeline(),
        "gallery": gallery.create_pipeline(),
        "preference": preference.create_pipeline(),
        "preference_scores": preference.create_scores(),
        "digits": digits.create_pipeline(),
        "digits_index": digits.create_indexing(),
    }
    # An embedding is learnt on the features of one network: after its tags, never before.
    made["illustration"] = made["tagging"] + embedding.create_sequel()
    return {**made, "__default__": made["illustration"]}
