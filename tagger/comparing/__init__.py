"""Comparing pictures: scores, votes that teach a taste, sets in order, what all votes say."""

from tagger.comparing.service import CompareServices, build_compare

__all__ = ["CompareServices", "build_compare"]
