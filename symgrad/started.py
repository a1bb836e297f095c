"""Started: when this process began to load the package. What changes on disk afterwards is not what runs."""

import time
from typing import Final

STARTED: Final = time.time()
