"""What is preferred to what: rankers, tastes learnt from votes, and figures about both."""

from tagger.preference.profiles import Profile
from tagger.preference.ranker import Ranker
from tagger.preference.space import Space, describe
from tagger.preference.taste import Taste, Word, blend
from tagger.preference.votes import CHOICES, Pair, Vote

__all__ = [
    "CHOICES",
    "Pair",
    "Profile",
    "Ranker",
    "Space",
    "Taste",
    "Vote",
    "Word",
    "blend",
    "describe",
]
