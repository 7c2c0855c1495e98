"""What is measured against peers, and how to repeat it."""
