"""Put the last results of `run.py` into the pages: python benchmarks/document.py.

Between `<!-- bench NAME -->` and `<!-- end -->` stands what a benchmark saved under that name, as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from run import RESULTS

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def main() -> int:
    parser = argparse.ArgumentParser(description="Put results into a document.")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"default: {RESULTS}")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="default: docs/performance.md")
    options = parser.parse_args()
    text = options.document.read_text(encoding="utf-8")
    options.document.write_text(filled(text, options.results), encoding="utf-8")
    return 0


def filled(text: str, results: Path) -> str:
    """The text with the results in it; a place for which there is no result keeps what it has."""

    def fill(match: re.Match[str]) -> str:
        path = results / f"{match[2]}.md"
        return f"{match[1]}{path.read_text(encoding='utf-8')}{match[4]}" if path.exists() else match[0]

    return re.sub(r"(<!-- bench (\w+) -->\n)(.*?)(<!-- end -->)", fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
