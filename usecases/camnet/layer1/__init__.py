"""Layer 1: labelled patches out of one slide."""
