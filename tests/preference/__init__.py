"""Tests of tagger.preference."""
