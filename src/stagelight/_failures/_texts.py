"""What takes secrets out of every text that is kept or shown of a failed event."""

from __future__ import annotations

from typing import Final

from stagelight._redaction import Redactor

#: Knows the setting ``redact`` once capture is on, or a command has read it.
TEXTS: Final = Redactor()
