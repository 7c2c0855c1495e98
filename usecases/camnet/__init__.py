"""CamNet: from whole-slide images of lymph nodes to heat maps of tumour probability, in three layers.

Layer 1 cuts labelled patches out of slides, layer 2 trains a classifier on them, layer 3 maps a slide with it.
Each is a command line (``python -m usecases.camnet.layer1 --help``) that reads files and writes files.
"""
