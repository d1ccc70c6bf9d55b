"""Results that are kept while memory lasts, each made once however many threads ask for it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Memory(Generic[Result]):
    """Keeps what was last asked for.

    Args:
        num_bytes: size of a result.
        max_bytes: of all together; the last one is kept, whatever its size.
    """

    def __init__(self, num_bytes: Callable[[Result], int], max_bytes: int) -> None:
        self.num_bytes, self.max_bytes = num_bytes, max_bytes
        self.kept: OrderedDict[Hashable, Result] = OrderedDict()
        self.making: dict[Hashable, threading.Lock] = {}
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """The result of a key, made now unless it is kept; a second request for it waits for the first."""
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
            making = self.making.setdefault(key, threading.Lock())
        with making:
            with self.lock:
                if key in self.kept:
                    return self.kept[key]
            try:
                result = make()
                self._keep(key, result)
            finally:
                with self.lock:
                    self.making.pop(key, None)
        return result

    def _keep(self, key: Hashable, result: Result) -> None:
        with self.lock:
            self.kept[key] = result
            while len(self.kept) > 1 and sum(map(self.num_bytes, self.kept.values())) > self.max_bytes:
                self.kept.popitem(last=False)
