"""Tests of tagger.comparing."""
