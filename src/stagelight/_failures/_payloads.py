"""What is kept of an event: bytes and how to read them, or a description."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _names
from stagelight._capture import JSON, NONE, PICKLE
from stagelight._failures._encoding import (
    Encoder,
    Keys,
    UnfitError,
    state_of,
)
from stagelight._failures._snapshots import NoSnapshotError, event_in, snapshots
from stagelight._failures._texts import TEXTS
from stagelight._redaction import HIDDEN, Redactor

if TYPE_CHECKING:
    from stagelight._capture import Capture, Codec

REPR: Final = "repr"
USER: Final = "codec "
#: What ``Packer.finish`` makes JSON of.
SNAPSHOT: Final = "snapshot"
#: Types of events that may have one.
SNAPPED: Final = frozenset({dict, list, tuple, str, bytes, int, float, type(None)})
_DEEP: Final = 32
_TEXTUAL: Final = frozenset({str, bytes, int, float})
_LONG: Final = 2_000
#: Bytes that an object, or arguments beside the event, may take.
_BESIDE: Final = 64 * 1024
_PARTS: Final = 2_000
#: What the encoder made has no cycles.
_dumps: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Payload(NamedTuple):
    """An event as it is kept.

    Attributes:
        codec: ``json``, ``pickle``, ``codec module:name``, or ``repr``: a description
            that cannot be replayed. Until it is written, also ``snapshot``.
        data: The bytes.
        hidden: How many values were left out as secret.
        why: Why it cannot be replayed, or nothing.
    """

    codec: str
    data: bytes
    hidden: int
    why: str = ""


class Packer:
    """Makes payloads, as the user's settings say.

    Args:
        capture: The settings.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.keys = Keys(capture.redact_keys, capture.keep_keys)
        self._texts = Redactor(TEXTS.patterns, self.keys.secret)
        self._snapshot = snapshots(capture.max_event_bytes)
        self._codecs: dict[str, str | Codec] = {}

    def pack(self, stage: str, event: Any) -> Payload:
        """What is kept of an event, or of what it is made later; never raises.

        Args:
            stage: Name of the stage that it failed in.
            event: The event.
        """
        try:
            if self._capture.redact is not None:
                event = self._capture.redact(event)
        except Exception as error:  # noqa: BLE001 - then nothing of it may be kept
            return Payload(REPR, b"", 0, f"redact() raised {_named(error)}")
        codec = self._codecs.get(stage)
        if codec is None:
            codec = self._codecs[stage] = self._capture.codec_of(stage)
        if codec == JSON and type(event) in SNAPPED:
            try:
                return Payload(SNAPSHOT, self._snapshot(event), 0)
            except (NoSnapshotError, RecursionError):
                pass  # then as any other
        return self._made(codec, event)

    def finish(self, payload: Payload) -> Payload:
        """What is kept of an event, by the thread that writes.

        Args:
            payload: What ``pack`` returned.
        """
        if payload.codec != SNAPSHOT:
            return payload
        return self._made(JSON, event_in(payload.data))

    def plain(self, value: Any) -> Any:
        """What else is kept of a call, as data without secrets.

        Args:
            value: The value.

        Raises:
            UnfitError: It would not come back as it was, or is too large.
        """
        made = Encoder(self.keys, _PARTS, _BESIDE).encode(value)
        if len(_dumps(made)) > _BESIDE:
            raise UnfitError(f"it takes more than {_BESIDE:,} bytes")
        return made

    def _made(self, codec: str | Codec, event: Any) -> Payload:
        try:
            payload = self._packed(codec, event)
            if len(payload.data) <= self._capture.max_event_bytes:
                return payload
            why = f"it takes {len(payload.data):,} bytes, more than max_event_bytes"
        except UnfitError as error:
            why = f"it does not fit JSON: {error}"
        except Exception as error:  # noqa: BLE001 - the user's own pickling or codec
            why = f"{codec if isinstance(codec, str) else 'its codec'}: {_named(error)}"
        return self._described(event, why)

    def _packed(self, codec: str | Codec, event: Any) -> Payload:
        if codec == JSON:
            encoder = Encoder(self.keys)
            plain = encoder.encode(event)
            return Payload(JSON, _dumps(plain).encode("ascii"), encoder.hidden)
        if codec == NONE:
            raise UnfitError("events of this stage are not kept (codec none)")
        cleaner = _Cleaner(self.keys)
        cleaned = cleaner.clean(event)
        if codec == PICKLE:
            import pickle

            return Payload(PICKLE, pickle.dumps(cleaned), cleaner.hidden)
        if isinstance(codec, str):
            raise UnfitError(f"there is no codec {codec}")
        return Payload(
            USER + codec_path(codec), bytes(codec.dumps(cleaned)), cleaner.hidden
        )

    def _described(self, event: Any, why: str) -> Payload:
        try:
            shown = self._texts.value(event)
            text = json.dumps(shown, default=str, ensure_ascii=False)
        except Exception as error:  # noqa: BLE001 - an object of the user's
            text = f"<{type(event).__name__}: {_named(error)}>"
        data = _names.encodable(text[:_LONG]).encode()
        return Payload(REPR, data, 0, TEXTS.text(why))


class _Cleaner:
    """Copies an event as far as it holds what is secret by its name."""

    def __init__(self, keys: Keys) -> None:
        self._secret = keys.secret
        self.hidden = 0

    def clean(self, value: Any, depth: int = 0) -> Any:
        """A value without secrets; the same object where it has none.

        Args:
            value: Anything.
            depth: How deep in the event it is.
        """
        if depth > _DEEP:
            return value
        kind = type(value)
        if kind in _TEXTUAL:
            return self._shown(value) if TEXTS.patterns else value
        if kind is dict:
            return self._dict(value, depth)
        if kind in {list, tuple}:
            parts = [self.clean(one, depth + 1) for one in value]
            same = all(one is old for one, old in zip(parts, value, strict=True))
            return value if same else kind(parts)
        if isinstance(getattr(value, "__dict__", None), dict):
            return self._object(value, kind, depth)
        return value

    def _shown(self, value: Any) -> Any:
        """A text or number, or what the program's own patterns leave of it."""
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        shown = TEXTS.own(text)
        if shown == text:
            return value
        self.hidden += 1
        return shown if type(value) is str else HIDDEN

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        pairs = self._pairs(value, depth)
        if not TEXTS.patterns:
            return pairs
        shown = {
            self._shown(key) if type(key) in _TEXTUAL else key: one
            for key, one in pairs.items()
        }
        return pairs if shown == pairs else shown

    def _pairs(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        changed = {}
        for key, one in value.items():
            if isinstance(key, str) and self._secret(key):
                changed[key] = HIDDEN
                self.hidden += 1
                continue
            cleaned = self.clean(one, depth + 1)
            if cleaned is not one:
                changed[key] = cleaned
        return {**value, **changed} if changed else value

    def _object(self, value: Any, kind: type, depth: int) -> Any:
        own = vars(value)
        cleaned = self._pairs(own, depth)
        if cleaned is own:
            return value
        try:
            state_of(value, kind)
            made: Any = object.__new__(kind)
        except UnfitError:
            made = copy.copy(value)
        vars(made).update(cleaned)
        return made


def codec_path(codec: Codec) -> str:
    """How a codec is found again: ``module:name``, or ``module:Class()``.

    Args:
        codec: The user's.

    Raises:
        UnfitError: It is no part of a module.
    """
    import sys

    kind = type(codec)
    module = sys.modules.get(getattr(codec, "__module__", None) or kind.__module__)
    for name, value in list(vars(module).items()) if module else ():
        if value is codec and module is not None:
            return f"{module.__name__}:{name}"
    if "<" in kind.__qualname__:
        raise UnfitError(f"the codec {kind.__qualname__} is no part of a module")
    return f"{kind.__module__}:{kind.__qualname__}()"


def _named(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the user's own __str__
        return type(error).__name__
