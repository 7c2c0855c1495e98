"""A workflow from request to result."""
