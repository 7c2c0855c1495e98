"""One file for one outside system; nothing else in the code knows it. Adapters never import each other."""
