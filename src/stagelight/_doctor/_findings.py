"""What the doctor says: findings by hop, without a secret in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from stagelight._secrets import redact

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
#: Not looked at: it was not asked for, or nothing could have got there.
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on one hop.

    Attributes:
        hop: Where on the way from the program to the backends.
        status: ``ok``, ``warning``, ``failed`` or ``skipped``.
        text: What is so.
        change: What to do about it; "" where nothing is to be done.
    """

    hop: str
    status: str
    text: str
    change: str = ""


@dataclass
class Report:
    """All findings, in the order of the way.

    Attributes:
        findings: Everything that was found.
        links: Where to look at the probe, by name.
    """

    findings: list[Finding] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, hop: str, status: str, text: str, change: str = "") -> None:
        """Add a finding, with every secret taken out of its texts."""
        self.findings.append(Finding(hop, status, redact(text), redact(change)))

    def broken(self, *, strict: bool = False) -> bool:
        """Whether anything does not work.

        Args:
            strict: Whether warnings count as well.
        """
        bad = {FAILED, WARNING} if strict else {FAILED}
        return any(finding.status in bad for finding in self.findings)
