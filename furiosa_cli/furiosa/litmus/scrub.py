"""What a bug report must not tell: logins in URLs, home folders, user names, values of environment variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_HIDDEN = "***"
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'<>`]*@")
# In bytes a login is printable, and not longer than any: weights are no texts.
_LOGIN_BYTES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://[!#-&(-;=?A-_a-~]{1,200}@")
_PASSWORD = re.compile(r"://[^/\s:]*:([^\s]+)@")
_HOMES = re.compile(r"/(?:home|Users)/[^/\s\"'<>`:,;]+")
_USER_NAMES = ("USER", "LOGNAME", "USERNAME", "SUDO_USER")
_SECRET_NAMES = re.compile("PASS|TOKEN|SECRET|KEY|CREDENTIAL|AUTH|PWD", re.IGNORECASE)
# Words and numbers are in every file: such a value tells nothing, unless its name says that it is a secret.
_COMMON = re.compile(r"[A-Za-z]+|[\d.,:+-]+")
_SHORTEST, _SHORTEST_SECRET, _SHORTEST_USER, _SHORTEST_IN_BYTES = 6, 4, 2, 5
_PAGE_DATA = re.compile(r'(<script type="application/json"[^>]*>)(.*?)(</script>)', re.DOTALL)
_PAGE_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class Scrubber:
    """Replaces in texts what is private to this computer and its user. A folder of ``folders`` becomes its name."""

    def __init__(self, environment: Mapping[str, str], folders: Iterable[Path] = ()) -> None:
        homes, users = _owner(environment)
        self._words = dict.fromkeys(_values(environment), _HIDDEN)
        self._words |= {str(folder): folder.name for folder in folders if len(folder.parts) > 1}
        self._words |= dict.fromkeys(homes, "~")
        literals = "|".join(map(re.escape, sorted(self._words, key=len, reverse=True)))
        self._literals = re.compile(literals or r"(?!)")
        self._users = _names(users)
        self._users_in_bytes = _names({user for user in users if len(user) >= _SHORTEST_IN_BYTES})

    def text(self, text: str) -> str:
        """A text without what is private."""
        text = _LOGIN.sub(rf"\1{_HIDDEN}@", text)
        text = self._literals.sub(lambda found: self._words[found[0]], text)
        return self._users.sub(_HIDDEN, _HOMES.sub("~", text))

    def values(self, value: Any) -> Any:
        """Plain data with every text in it scrubbed; keys of mappings stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.values(item) for key, item in value.items()}
        return [self.values(item) for item in value] if isinstance(value, list) else value

    def json(self, text: str) -> str:
        """A JSON text with every string value scrubbed."""
        return json.dumps(self.values(json.loads(text)), separators=(",", ":"))

    def page(self, html: str) -> str:
        """An HTML page that holds its data as JSON; the page's own words are not touched."""
        return _PAGE_DATA.sub(lambda found: found[1] + self.json(found[2]).translate(_PAGE_ESCAPES) + found[3], html)

    def same_length(self, data: bytes) -> bytes:
        """Bytes of an unknown format, private texts overwritten with stars, so that every offset stays."""
        for pattern in (_LOGIN_BYTES, self._literals, _HOMES, self._users_in_bytes):
            data = re.sub(pattern.pattern.encode(), lambda found: b"*" * len(found[0]), data)
        return data


def _names(users: set[str]) -> re.Pattern[str]:
    """Finds these names as whole words."""
    names = "|".join(map(re.escape, sorted(users, key=len, reverse=True)))
    return re.compile(f"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])" if names else r"(?!)")


def _owner(environment: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """Home folders and names of the user; the superuser's name is no secret, and a common word."""
    homes = {environment.get("HOME", "")}
    users = {environment.get(name, "") for name in _USER_NAMES}
    with suppress(ImportError, KeyError):
        import pwd

        entry = pwd.getpwuid(os.getuid())
        homes.add(entry.pw_dir)
        users.update((entry.pw_name, entry.pw_gecos.split(",")[0]))
    homes |= {os.path.realpath(home) for home in homes if home}
    users |= {Path(home).name for home in homes}
    return (
        {home.rstrip("/") for home in homes if len(home.rstrip("/")) > 1},
        {user for user in users if len(user) >= _SHORTEST_USER and user != "root"},
    )


def _values(environment: Mapping[str, str]) -> set[str]:
    found = set()
    for name, value in environment.items():
        secret = _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET and not value.isdigit()
        if secret or (len(value) >= _SHORTEST and not _COMMON.fullmatch(value)):
            found.add(value)
        found.update(word for word in _PASSWORD.findall(value) if len(word) >= _SHORTEST_SECRET)
    return found
