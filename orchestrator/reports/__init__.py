"""The parts of a run's report: what is measured, what is drawn, what is listed, and the templates that show it.

measures.py   what each step took, beside what was predicted
efficiency.py what tasks asked for, and what they used
layers.py     where the boxes of a graph go
dag.py        the steps as a graph, with the data that moved along its edges
timeline.py   when everything happened
listings.py   rows of tables
pictures.py   results to look at
report.html   the page; report.css, dag.svg and timeline.svg are its parts
"""
