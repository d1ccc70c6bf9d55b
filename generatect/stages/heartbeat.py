"""Hosts that train together hear each other's heartbeat: where one is cut off, the others end.

A host that loses its network closes no connection: whoever waits for its gradients would wait for half an hour (gloo)
or ten minutes (NCCL).
"""

import os
import signal
import socket
import sys
import threading
import time

from torch.distributed import Store

ENDED = b"ended"


class Heartbeat:
    """Of one process; each host's first process beats for its host, and all listen.

    Args:
        store: what the processes have in common; used through a connection of its own.
        host: number of this process's host.
        num_hosts: hosts that train together.
        beats: whether this process beats for its host, and speaks for it.
        leader: name of the host that keeps the store.
        every: seconds from one beat to the next.
        patience: seconds without a beat after which a host counts as lost; it has to outlast a busy machine.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: int,
        num_hosts: int,
        beats: bool,
        leader: str,
        every: float = 5.0,
        patience: float = 40.0,
    ) -> None:
        self._store, self._host, self._beats = store.clone(), host, beats
        self._every, self._patience = every, patience
        self._others = [number for number in range(num_hosts) if number != host]
        self._names = {host: leader, **{number: f"host {number} of {num_hosts}" for number in self._others}}
        self._last = dict.fromkeys(self._others, b"")
        self._heard = dict.fromkeys(self._names, time.monotonic())  # for this host: when the store has answered
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._listening = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> None:
        """Begin to beat and to listen."""
        self._beating.start()
        self._listening.start()

    def stop(self) -> None:
        """End, and let the others know that this is no loss."""
        self._ended.set()
        self._beating.join(2 * self._every)

    def lost(self) -> int | None:
        """Return the number of a host that has been silent for too long; this one's where the store is silent."""
        late = time.monotonic() - self._patience
        return next((number for number, heard in self._heard.items() if heard < late), None)

    def _beat(self) -> None:
        try:
            while not self._ended.is_set():
                self._exchange()
                self._ended.wait(self._every)
            if self._beats:
                self._store.set(_key(self._host), ENDED)
        except RuntimeError:  # the store's process has ended, which its other connections tell as well
            self._ended.set()

    def _exchange(self) -> None:
        if self._beats:
            self._store.set(_key(self._host), f"{socket.gethostname()} {time.monotonic()}")
        for number in self._others:
            beat = self._store.get(_key(number)) if self._store.check([_key(number)]) else b""
            if beat == ENDED:
                self._heard[number] = float("inf")
            elif beat != self._last[number]:
                self._last[number], self._heard[number] = beat, time.monotonic()
                self._names[number] = beat.decode().partition(" ")[0]
        self._heard[self._host] = time.monotonic()

    def _listen(self) -> None:
        while not self._ended.wait(self._every):
            lost = self.lost()
            if lost is None:
                continue
            if self._beats:
                print(
                    f"no sign of life from {self._names[lost]} for {self._patience:.0f} s; the training ends here, and "
                    "goes on with the same command and resume=auto once all hosts are back",
                    file=sys.stderr,
                    flush=True,
                )
            if lost == self._host and "TORCHELASTIC_RUN_ID" in os.environ:
                os.kill(os.getppid(), signal.SIGKILL)  # torchrun waits for the store, too, deaf to other signals
            os._exit(1)  # the main thread waits for the lost host and hears nothing else


def _key(host: int) -> str:
    return f"generatect_heartbeat_{host}"
