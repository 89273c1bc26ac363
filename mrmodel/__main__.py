"""``python -m mrmodel``."""

import sys

from mrmodel.cli.main import main

sys.exit(main())
