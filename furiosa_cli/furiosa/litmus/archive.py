"""The archive of a bug report: what every step leaves, zipped when the run has ended, however it ended."""

from __future__ import annotations

import io
import secrets
import string
import time
import zipfile
from pathlib import Path

from furiosa.isa.errors import OptionError
from furiosa.isa.files import check_writable, save

_RANDOM = string.ascii_lowercase + string.digits + "_"


class Archive:
    """Members of ``<prefix>-<seconds of the epoch>.zip``. Raises OptionError when it could not be written."""

    def __init__(self, prefix: str) -> None:
        name = Path(prefix).name
        if not name or prefix.endswith("/"):
            raise OptionError(f"`{prefix}` is no prefix of a file name", hint="write `--dump report`")
        seconds = int(time.time())
        self.path = Path(f"{prefix}-{seconds}.zip")
        self._folder = f"{name}-{seconds}{''.join(secrets.choice(_RANDOM) for _ in range(8))}"
        self._members: dict[str, str | bytes] = {}
        check_writable(self.path)

    def add(self, name: str, content: str | bytes) -> None:
        """Take in a file, in the place of an earlier one of this name."""
        self._members[name] = content

    def close(self) -> None:
        """Write the file."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in sorted(self._members.items(), key=lambda item: (item[0] != "meta.yaml", item[0])):
                member = zipfile.ZipInfo(f"{self._folder}/{name}", time.localtime()[:6])
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
                file.writestr(member, data)
        save(self.path, content.getvalue())
