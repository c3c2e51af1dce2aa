"""From tags as people wrote them to the list that is worth suggesting.

The rules are the CSV files in ``data/``, a reason a row; :mod:`tagger.taglist.rules` applies them
to one raw tag and says why, :mod:`tagger.taglist.builder` applies them to a whole data set.
"""

from tagger.taglist.builder import BuiltTag, Report, TagListBuilder
from tagger.taglist.rules import Decision, Rules, normalise, singular

__all__ = ["BuiltTag", "Decision", "Report", "Rules", "TagListBuilder", "normalise", "singular"]
