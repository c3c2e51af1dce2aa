"""Exploring pictures on a map: what is near, what a set shares, what is found, where one lies."""

from tagger.exploring.chart import Chart, MapName
from tagger.exploring.service import ExploreServices, build_explore

__all__ = ["Chart", "ExploreServices", "MapName", "build_explore"]
