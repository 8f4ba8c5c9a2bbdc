"""What a network keeps of a history, so that one more event costs one step.

Legend: B histories, D width, F numbers kept of an event, H heads, L slots in use, M events, P slots.
"""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Floats, RaggedTable
from polyscene.core.errors import ConfigError
from polyscene.lean.backbone import Kept, LeanBackbone
from polyscene.lean.blocks import normed
from polyscene.lean.reading import Asked, Reading, pair_buckets

MOST_NEW = 4
"""More events than these since the last answer, and the history is encoded anew: that is as cheap."""
FIRST_SLOTS = 16


class UserState:
    """What every layer keeps of a history's events; all that a later event sees of them.

    The newest event is never among them: what it says depends on when and from where is asked, and is
    only final once the next event came. Beyond `max_len` events the newest takes the slot of the oldest,
    whose influence on the others stays. Shapes: `kept` (P, F) for each layer, `seconds` (P,).
    """

    __slots__ = ("count", "kept", "max_len", "seconds")

    def __init__(self, kept: Kept, seconds: Array, max_len: int, dtype: Any) -> None:
        self.count = len(seconds) - 1
        self.max_len = max_len
        slots = min(max_len, max(FIRST_SLOTS, 1 << self.count.bit_length()))
        self.kept = [np.zeros((slots, kept_NF.shape[1]), dtype) for kept_NF in kept]
        self.seconds = np.zeros(slots, np.int64)
        for mine_PF, kept_NF in zip(self.kept, kept, strict=True):
            mine_PF[: self.count] = kept_NF[:-1]
        self.seconds[: self.count] = seconds[:-1]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(each.nbytes for each in (*self.kept, self.seconds))

    def ask(self, backbone: LeanBackbone, events: Asked, x_MD: Floats) -> Floats:
        """(1, D) what is expected after the last of M events; the others are taken in for good.

        They, of inputs `x_MD`, are what came since, oldest first: what each of them says is final, as the
        next one is known.
        """
        M = len(x_MD)
        while M > 1 and self.count + M > self.max_len:
            self._read(backbone, events.part(0, 1), x_MD[:1])
            self.count += 1
            x_MD, events, M = x_MD[1:], events.part(1), M - 1
        vector_1D = self._read(backbone, events, x_MD)
        self.count += M - 1
        return vector_1D

    def _read(self, backbone: LeanBackbone, events: Asked, x_MD: Floats) -> Floats:
        """(1, D) several events in free slots, or one that may take the slot of the oldest."""
        M, start = len(x_MD), self.count % self.max_len
        self._make_room(M)
        used = min(self.count + M, self.max_len)
        slots = slice(start, start + M)
        self.seconds[slots] = events.seconds
        timed = backbone.layers[0].when is not None
        buckets_ML = pair_buckets(events.sight, self.seconds[:used]) if timed else None
        for layer, kept_PF in zip(backbone.layers, self.kept, strict=True):
            attention, level_MD = layer.block.attention, normed(x_MD)
            kept_PF[slots] = attention.keep(level_MD)
            q_MQ, again_MD = attention.ask(level_MD)
            near_HML = layer.laid(M, used)
            if slots.stop != used:
                near_HML = np.roll(near_HML, slots.stop, axis=2)
            kept_LF = kept_PF[:used].astype(np.float32, copy=False)
            found_MD = attention.find(q_MQ, kept_LF, layer.timed(near_HML, buckets_ML))
            x_MD = layer.block.close(x_MD, found_MD, again_MD)
        return backbone.leveled(x_MD[-1:])

    def _make_room(self, events: int) -> None:
        slots = len(self.seconds)
        if self.count + events > slots and slots < self.max_len:
            more = min(max(slots, events), self.max_len - slots)
            self.kept = [np.concatenate([each, np.zeros_like(each[:more])]) for each in self.kept]
            self.seconds = np.concatenate([self.seconds, np.zeros(more, np.int64)])


class States:
    """The states of the latest histories, within `limit_mb` (10^6 bytes); safe for several threads.

    A state stands under a digest of the very events it was made of, so it can't be used for any other
    history: who forgot, merged or mended an event has another one. A thread takes a state out while it
    works with it; one that finds none encodes in full. `leeway`: how many events may have fallen out of a
    state before it is made anew; 0 keeps every answer what a full encode gives.
    """

    def __init__(
        self,
        backbone: LeanBackbone,
        reading: Reading,
        *,
        limit_mb: float,
        leeway: int = 0,
        dtype: Any = np.float32,
    ) -> None:
        if backbone.ages is not None:
            raise ConfigError(
                "states: positions are counted from the end, so one more event changes what every event"
                " says; fit the model with positions = 'relative'"
            )
        self.backbone, self.reading, self.dtype = backbone, reading, dtype
        self.limit, self.leeway = int(limit_mb * 1e6), leeway
        self.size = 0
        self._kept: OrderedDict[bytes, UserState] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def encode(self, table: RaggedTable, second_B: Array, scenario_B: Array) -> Floats:
        """(B, D) as `LeanBackbone.encode` of what `Reading.asked` makes of the table."""
        vectors_BD = np.zeros((len(table), self.backbone.width), np.float32)
        for row in np.flatnonzero(table.lengths):
            one = np.array([row])
            vectors_BD[row] = self._one(table.take(one), second_B[one], scenario_B[one])
        return vectors_BD

    def clear(self) -> None:
        """Forgets everybody."""
        with self._lock:
            self._kept.clear()
            self.size = 0

    def _one(self, table: RaggedTable, second_1: Array, scenario_1: Array) -> Floats:
        keys = self._keys(table)
        for new, key in enumerate(keys):
            state = self._take(key)
            if state is not None and state.count + new + 1 - state.max_len <= self.leeway:
                vector_1D = state.ask(self.backbone, *self._newest(table, new + 1, second_1, scenario_1))
                self._put(keys[0], state)
                return vector_1D
        kept: Kept = []
        asked = self.reading.asked(table, second_1, scenario_1)
        vector_1D = self.backbone.encode(asked, kept)
        if len(asked.seconds) > 1:
            self._put(keys[0], UserState(kept, asked.seconds, self.reading.max_len, self.dtype))
        return vector_1D

    def _newest(
        self, table: RaggedTable, count: int, second_1: Array, scenario_1: Array
    ) -> tuple[Asked, Floats]:
        """The newest `count` events as they look from the ones after them, and their inputs (count, D)."""
        # Those that the oldest takes over from are read too, and one more: an event also says how long ago
        # the one before it was.
        asked = self.reading.asked(table.tail(count + self.backbone.reach + 1), second_1, scenario_1)
        return asked.part(len(asked.rows) - count), self.backbone.inputs(asked)[-count:]

    def _keys(self, table: RaggedTable) -> list[bytes]:
        """Digests of all events but the newest, of all but two, and so on."""
        names = sorted({"row", "second", *(self.reading.sizes.keys() & table.columns.keys())})
        count = len(table["row"]) - 1
        events = np.stack([table[name] for name in names], 1).astype(np.int64)
        least = max(min(count, 1), count - MOST_NEW)
        digest = blake2b(events[:least].tobytes(), digest_size=16)
        keys = [digest.digest()]
        for place in range(least, count):
            digest.update(events[place].tobytes())
            keys.append(digest.digest())
        return keys[::-1]

    def _take(self, key: bytes) -> UserState | None:
        with self._lock:
            state = self._kept.pop(key, None)
            if state is not None:
                self.size -= state.size
            return state

    def _put(self, key: bytes, state: UserState) -> None:
        with self._lock:
            older = self._kept.pop(key, None)
            self.size += state.size - (0 if older is None else older.size)
            self._kept[key] = state
            while self.size > self.limit:
                _, dropped = self._kept.popitem(last=False)
                self.size -= dropped.size
