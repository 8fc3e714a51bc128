"""`python -m geoseg_cli` runs the command line."""

import sys

from geoseg_cli.main import main

sys.exit(main())
