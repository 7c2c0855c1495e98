"""File systems of sites."""
