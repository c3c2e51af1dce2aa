"""Learn which of two pictures people prefer: ratings, pairs, networks, figures."""
