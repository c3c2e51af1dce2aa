"""Multi-label tagging: from tagged pictures to ``exported/illustration``."""

from tagger.training.pipelines.tagging.pipeline import (
    create_comparison,
    create_pipeline,
    create_unseen_style,
)

__all__ = ["create_comparison", "create_pipeline", "create_unseen_style"]
