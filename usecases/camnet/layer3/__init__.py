"""Layer 3: a heat map of one slide."""
