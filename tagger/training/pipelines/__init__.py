"""One package a pipeline: ``nodes`` are its steps, ``pipeline`` joins them."""
