"""All benchmarks, one after the other, after a description of this computer: python benchmarks/run.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from report import machine

SCRIPTS = ("networks.py", "start_up.py", "compile_time.py", "inference.py")


def main() -> int:
    for name, value in machine().items():
        print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    for script in SCRIPTS:
        print(f"\n## {script}\n", flush=True)
        status = subprocess.run([sys.executable, Path(__file__).with_name(script)], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
