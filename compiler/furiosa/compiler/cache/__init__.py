"""The compiler's cache: results of earlier compilations, kept in a folder or on a Redis server."""

from furiosa.compiler.cache.entry import Damaged, Facts
from furiosa.compiler.cache.place import open_store
from furiosa.compiler.cache.question import Question
from furiosa.compiler.cache.store import Kept, Store, Trouble
from furiosa.compiler.cache.use import Cache

__all__ = ["Cache", "Damaged", "Facts", "Kept", "Question", "Store", "Trouble", "open_store"]
