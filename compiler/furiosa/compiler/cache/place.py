"""The choice of a store by the address of its place."""

from __future__ import annotations

from furiosa.compiler.cache.store import Store, Trouble
from furiosa.isa.env import StoreUrl


def open_store(url: StoreUrl, patience: float) -> Store:
    """The store at a place; a server gets ``patience`` seconds for each answer. Raises Trouble for an unknown kind."""
    scheme, separator, _ = url.text.partition("://")
    if not separator:
        from furiosa.compiler.cache.folder import Folder

        return Folder(url.text)
    if scheme in ("redis", "rediss"):
        from furiosa.compiler.cache.redis_store import RedisStore

        return RedisStore(url, patience)
    raise Trouble(f"`{scheme}` is no kind of store: name a folder, or a redis:// or rediss:// URL")
