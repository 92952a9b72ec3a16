from __future__ import annotations

import pytest

from stagelight.fleet._alerts import _seconds, evaluated


class Told:
    """A Prometheus that has some alerts."""

    def __init__(self, *alerts):
        self._alerts = list(alerts)

    def alerts(self):
        """All of them."""
        return self._alerts


def alert(name, *, state="firing", severity="warning", **labels):
    """One alert as the API tells of it."""
    return {
        "state": state,
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {},
        "activeAt": "2026-11-25T10:00:00.123456789Z",
    }


def test_only_what_fires_for_the_service_is_told() -> None:
    """By job, service name or pipeline; what is pending or somebody else's is not."""
    told = Told(
        alert("pending", state="pending", job="orders"),
        alert("other", job="billing"),
        alert("by job", job="shop/orders"),
        alert("by service", service_name="orders", severity="info"),
        alert("by pipeline", stagelight_pipeline_name="nightly", severity="critical"),
    )
    found = evaluated(told, "orders", {"nightly"})
    assert [one["name"] for one in found] == ["by pipeline", "by job", "by service"]
    assert found[0]["summary"] == "nightly"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T10:00:00.123456789Z", 1795600800),
        ("2026-11-25T10:00:00Z", 1795600800),
        ("2026-11-25T11:00:00.5+01:00", 1795600800),
        ("", None),
        ("soon", None),
    ],
)
def test_times_are_read_as_go_writes_them(text, seconds) -> None:
    """To the second, whatever fraction stands behind it."""
    assert _seconds(text) == seconds
