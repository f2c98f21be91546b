"""`python -m worker` is the same as `execution-worker`."""

from __future__ import annotations

from worker.cli import main

if __name__ == "__main__":
    main()
