"""`python -m pinxit` is the command `pinxit`."""

import sys

from pinxit.cli import main

sys.exit(main())
