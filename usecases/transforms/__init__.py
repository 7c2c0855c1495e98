"""Small programs that data pass through on their way: packed, compressed, filtered, freed of what names a person.

Each is a plain command line, `python -m usecases.transforms.NAME`, that reads files and writes its result below
`--output-dir`. Equal files give equal results, byte by byte, so that results are found again by their hash.
"""
