"""Verbs on data: names of the catalogue, copies at sites, and what is kept.

selections.py  what people mean by the names that they give      adding.py    files become known
errands.py     what shall be brought where                       portions.py  how much of it at once
carrying.py    brings it from wherever it lies best              shipping.py  how others see and hold that
fetching.py    get                                               putting.py   put
copying.py     cp, mv                                            removing.py  rm
looking.py     ls, show, find, du                                copies.py    which copies are really there
verifying.py   verify and repair                                 watching.py  new files of a folder
reading.py     parts of files, for the file system               keeping.py   pins and rules
cleaning.py    partial files that nobody wants
"""

from orchestrator.operations.data.adding import add_data
from orchestrator.operations.data.cleaning import Orphan, clean_data
from orchestrator.operations.data.copying import Named, copy_data, move_data
from orchestrator.operations.data.errands import Carried, FileProgress
from orchestrator.operations.data.fetching import fetch_file, get_data
from orchestrator.operations.data.keeping import (
    Upkeep,
    add_rule,
    apply_rules,
    list_pins,
    list_rules,
    pin_data,
    remove_rule,
    unpin_data,
)
from orchestrator.operations.data.looking import (
    DatasetView,
    Entry,
    FileView,
    Usage,
    find_data,
    list_data,
    list_folder,
    measure_usage,
    show_data,
    stat_data,
    tag_data,
)
from orchestrator.operations.data.putting import put_data
from orchestrator.operations.data.reading import Reader, open_data
from orchestrator.operations.data.removing import Unwanted, remove_data
from orchestrator.operations.data.verifying import Verification, verify_data
from orchestrator.operations.data.watching import Sighting, Watch, watch_data
from staging.upkeep import UpkeepPlan

__all__ = [
    "Carried", "DatasetView", "Entry", "FileProgress", "FileView", "Named", "Orphan", "Reader", "Sighting",
    "Unwanted", "Upkeep", "UpkeepPlan", "Usage", "Verification", "Watch", "add_data", "add_rule", "apply_rules",
    "clean_data", "copy_data", "fetch_file", "find_data", "get_data", "list_data", "list_folder", "list_pins",
    "list_rules", "measure_usage", "move_data", "open_data", "pin_data", "put_data", "remove_data", "remove_rule",
    "show_data", "stat_data", "tag_data", "unpin_data", "verify_data", "watch_data",
]  # fmt: skip
