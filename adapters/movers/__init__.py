"""Tools that copy a file from one site to another."""
