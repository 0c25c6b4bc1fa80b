"""``python -m fairart`` is the command ``fairart``."""

from __future__ import annotations

import sys

from fairart.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
