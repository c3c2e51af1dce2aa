"""Training of the drawing recogniser: data, variation, teacher, network, loop, evaluation."""
