"""Layer 2: a tumour classifier out of patches."""
