"""Compare symgrad with its peers: `python -m benchmarks [rung ...] [--repetitions=5] [--quick] [--threads=2]`.

Every library reads how many threads it may use from the processors of its process, or from a variable of its own when
it is loaded: so the measurements run in a process of their own, for which both are set.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks import session
from symgrad.compiled import process_threads

COUNTS = ("SYMGRAD_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> int:
    """Start the session."""
    threads = session.arguments().threads or process_threads()
    if hasattr(os, "sched_setaffinity"):  # JAX has no other setting
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    environment = {**os.environ, **dict.fromkeys(COUNTS, str(threads)), "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, "-m", "benchmarks.session", *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
