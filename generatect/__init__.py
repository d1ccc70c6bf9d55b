"""generatect: from a radiology report to a 3-D chest CT."""

import sys

from generatect.signals import end_while_importing

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # `python -m generatect.COMMAND` looks for the command, and is to import it
    end_while_importing()
