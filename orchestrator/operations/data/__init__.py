"""Verbs on data: names of the catalogue, copies at sites, and what is kept.

selections.py  what people mean by the names that they give      adding.py    files become known
errands.py     what shall be brought where                       portions.py  how much of it at once
carrying.py    brings it from wherever it lies best              shipping.py  how others see and hold that
fetching.py    get                                               putting.py   put
copying.py     cp, mv                                            passing.py   cp --through
looking.py     ls, show, find, du                                removing.py  rm
verifying.py   verify and repair                                 copies.py    which copies are really there
reading.py     parts of files, for the file system               watching.py  new files of a folder
keeping.py     pins and rules                                    cleaning.py  partial files that nobody wants
"""
