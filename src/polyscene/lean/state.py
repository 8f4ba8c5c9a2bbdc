"""What a network keeps of a history, so that one more event costs one step.

Legend: B histories, D width, H heads, K layers, L slots in use, P slots at hand.
"""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Floats, RaggedTable
from polyscene.core.errors import ConfigError
from polyscene.lean.backbone import Kept, Layer, LeanBackbone
from polyscene.lean.reading import Asked, Reading, pair_buckets

MOST_NEW = 4
"""More events than these since the last answer, and the history is encoded anew: that is as cheap."""
FIRST_SLOTS = 16


class UserState:
    """Keys and values of a history's events in every layer; all that a later event sees of them.

    The newest event is never among them: what it says depends on when and from where is asked, and is
    only final once the next event came. Beyond `max_len` events the newest takes the slot of the oldest,
    whose influence on the others stays: `fallen` counts how often that happened, 0 means that answers are
    what a full encode gives. Shapes: `kept` (K, 2, P, D) keys and values, `seconds` (P,).
    """

    __slots__ = ("count", "fallen", "kept", "max_len", "seconds")

    def __init__(self, kept: Kept, seconds: Array, max_len: int, dtype: Any) -> None:
        self.count = len(seconds) - 1
        self.fallen = 0
        self.max_len = max_len
        slots = min(max_len, max(FIRST_SLOTS, 1 << self.count.bit_length()))
        self.kept = np.zeros((len(kept), 2, slots, kept[0][0].shape[1]), dtype)
        self.seconds = np.zeros(slots, np.int64)
        for layer, pair in enumerate(kept):
            for side, values_ND in enumerate(pair):
                self.kept[layer, side, : self.count] = values_ND[:-1]
        self.seconds[: self.count] = seconds[:-1]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.kept.nbytes + self.seconds.nbytes)

    def ask(self, backbone: LeanBackbone, newest: Asked) -> Floats:
        """(1, D) what is expected after the newest event, which the state keeps nothing of."""
        self._open(newest)
        return backbone.leveled(self._through(backbone, newest, to_the_end=True))

    def append(self, backbone: LeanBackbone, event: Asked) -> None:
        """Takes an event in for good: the next one is known, and with it all that this one says."""
        self._open(event)
        self._through(backbone, event, to_the_end=False)
        self.count += 1

    def _open(self, event: Asked) -> None:
        """A slot for the event, which may be that of the oldest."""
        slots = len(self.seconds)
        if self.count >= slots and slots < self.max_len:
            more = min(slots, self.max_len - slots)
            self.kept = np.concatenate([self.kept, np.zeros_like(self.kept[:, :, :more])], 2)
            self.seconds = np.concatenate([self.seconds, np.zeros(more, np.int64)])
        self.fallen = max(self.fallen, self.count + 1 - self.max_len)
        self.seconds[self.count % self.max_len] = event.seconds[0]

    def _through(self, backbone: LeanBackbone, event: Asked, *, to_the_end: bool) -> Floats:
        """(1, D) the event's way through the layers, its keys and values put into its slot."""
        x_1D = backbone.inputs(event)
        slot, used = self.count % self.max_len, min(self.count + 1, self.max_len)
        timed = backbone.layers[0].when is not None
        buckets_1L = pair_buckets(event.sight, self.seconds[:used]) if timed else None
        for number, layer in enumerate(backbone.layers):
            block, pair_2LD = layer.block, self.kept[number, :, :used]
            pair_2LD[:, slot] = np.concatenate(block.attention.keep(x_1D))
            if number == len(backbone.layers) - 1 and not to_the_end:
                break
            q_1D, gate_1D = block.attention.ask(x_1D)
            k_LD, v_LD = pair_2LD.astype(np.float32, copy=False)
            bias_H1L = layer.timed(self._near(layer, slot, used), buckets_1L)
            found_1D = block.attention.find(q_1D, k_LD, v_LD, bias_H1L)
            x_1D = block.close(x_1D, found_1D, gate_1D)
        return x_1D

    def _near(self, layer: Layer, slot: int, used: int) -> Floats:
        """(H, 1, L) the bias by distance of every slot from the newest."""
        newest_H1L = layer.laid(1, used)
        return newest_H1L if slot == used - 1 else np.roll(newest_H1L, slot + 1, axis=2)


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
                vector_1D = self._advance(state, self._newest(table, new, second_1, scenario_1))
                self._put(keys[0], state)
                return vector_1D
        kept: Kept = []
        asked = self.reading.asked(table, second_1, scenario_1)
        vector_1D = self.backbone.encode(asked, kept)
        if len(asked.seconds) > 1:
            self._put(keys[0], UserState(kept, asked.seconds, self.reading.max_len, self.dtype))
        return vector_1D

    def _newest(self, table: RaggedTable, new: int, second_1: Array, scenario_1: Array) -> list[Asked]:
        """The newest ``new + 1`` events, each alone, as they look from the ones after them."""
        # One more is read, because an event also says how long ago the one before it was.
        asked = self.reading.asked(table.tail(new + 2), second_1, scenario_1)
        return [asked.only(place) for place in range(1, new + 2)]

    def _advance(self, state: UserState, events: list[Asked]) -> Floats:
        for event in events[:-1]:
            state.append(self.backbone, event)
        return state.ask(self.backbone, events[-1])

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
