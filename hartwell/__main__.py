"""`python -m hartwell` is the command `hartwell`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
