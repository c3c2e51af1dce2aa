"""The gallery: from public-domain clip art to ``exported/gallery`` and ``assets/gallery``."""

from tagger.training.pipelines.gallery.pipeline import create_pipeline

__all__ = ["create_pipeline"]
