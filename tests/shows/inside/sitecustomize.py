"""Run by each interpreter of a cluster that is to be broken."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.shows.breaking import break_this_machine

break_this_machine()
