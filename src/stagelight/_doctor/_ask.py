"""Asking Prometheus."""

from __future__ import annotations

from typing import Any

from stagelight._doctor import _http


class Prometheus:
    """One Prometheus server.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, parameters: dict[str, str] | None = None) -> Any:
        """The data of an answer of its API v1.

        Raises:
            BackendError: There is no good answer.
        """
        document = _http.get_json(f"{self.url}/api/v1/{path}", parameters)
        if not isinstance(document, dict) or document.get("status") != "success":
            raise _http.BackendError("this is not the API of Prometheus")
        return document["data"]

    def vector(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that a query finds now."""
        data = self.ask("query", {"query": query})
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]
