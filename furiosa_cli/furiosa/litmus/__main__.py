"""`python -m furiosa.litmus`, where the command is not on PATH."""

import sys

from furiosa.litmus.command import main

sys.exit(main())
