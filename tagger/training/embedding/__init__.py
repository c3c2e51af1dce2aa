"""Metric learning on the illustration model: pictures alike in what they show lie close."""
