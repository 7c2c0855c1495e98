"""Carries out a plan. Every decision is in the journal before it is acted on.

`loop` turns the wheel; at each turn `stagings` brings data, `submissions` hands tasks to sites, `completions` takes
results, and `expansion` opens the next steps. `live` is the run in memory: a copy of the journal, nothing more.
"""
