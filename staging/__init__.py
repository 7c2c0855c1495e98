"""Bytes from place to place, and proof that they arrived."""
