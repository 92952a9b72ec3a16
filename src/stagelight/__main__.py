"""``python -m stagelight`` is the command ``stagelight``."""

from __future__ import annotations

from stagelight.cli import main

if __name__ == "__main__":
    main()
