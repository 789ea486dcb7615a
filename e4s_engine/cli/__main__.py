"""Entry point of `python -m e4s_engine.cli`."""

import sys

from e4s_engine.cli import main

sys.exit(main())
