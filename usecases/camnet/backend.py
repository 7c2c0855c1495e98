"""TensorFlow, imported quietly. Import it from here and nowhere else.

TensorFlow reads these variables while it is imported, and without them fills the log with notes on absent GPUs.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

__all__ = ["tf"]
