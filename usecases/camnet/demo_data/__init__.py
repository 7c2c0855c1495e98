"""Invented slides for demonstrations: drawn tissue, not scanned, and not for any medical conclusion."""
