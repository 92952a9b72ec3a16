"""What each vendor's OTLP intake asks for, as the lines of an environment.

Every line is a variable that the OpenTelemetry SDK itself reads, so that they serve
``stagelight run``, ``configure()`` and ``opentelemetry-instrument`` alike.
"""

from __future__ import annotations

import base64
import re
import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from stagelight._errors import ConfigurationError
from stagelight._vendors._table import ALWAYS, VENDORS, Field, Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VENDORS", "Field", "Vendor", "environment", "find", "render"]

#: What may stand in a host name, a path or a name of a data set.
_VALUE: Final = re.compile(r"[\w.:/@-]+", re.ASCII)


def find(name: str) -> Vendor:
    """The vendor of a name, whatever its case and its spaces.

    Args:
        name: Such as ``honeycomb``, ``Grafana Cloud`` or ``gcp``.

    Raises:
        ConfigurationError: There is none; the text lists those that there are.
    """
    wanted = _plain(name)
    for vendor in VENDORS:
        if wanted in {_plain(one) for one in (vendor.name, *vendor.aliases)}:
            return vendor
    names = ", ".join(vendor.name for vendor in VENDORS)
    raise ConfigurationError(f"no vendor {name!r} is known; known are {names}")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def environment(
    vendor: Vendor, values: Mapping[str, str], token: str | None = None
) -> dict[str, str]:
    """The variables that lead telemetry to a vendor.

    Args:
        vendor: A row of the table.
        values: What only the user knows, by the names of the vendor's fields; a
            placeholder stands for what is missing.
        token: The secret; a placeholder where it is None.

    Raises:
        ConfigurationError: A field is unknown, or a value cannot stand in an address.
    """
    known = {field.name: field for field in vendor.fields}
    for name, value in values.items():
        if name not in known:
            raise ConfigurationError(
                f"{vendor.name} has no {name!r}; it takes {', '.join(known)}"
            )
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"{vendor.name}: {name} is {value!r}; it takes letters, digits and "
                ". : / @ _ -"
            )
    filled = {
        field.name: values.get(field.name) or field.default or field.placeholder
        for field in vendor.fields
    }
    lines = dict(ALWAYS)
    for variable, template in vendor.lines:
        in_header = variable.endswith("HEADERS")
        texts = {
            name: quote(value, safe="") if in_header else value
            for name, value in filled.items()
        }
        texts["token"] = quote(token or "YOUR_TOKEN", safe="")
        if "{basic}" in template:
            texts["basic"] = _basic(filled["instance"], token)
        lines[variable] = _fill(template, texts)
    return lines


def _fill(template: str, texts: Mapping[str, str]) -> str:
    return re.sub(r"\{([\w-]+)\}", lambda found: texts[found[1]], template)


def _basic(user: str, token: str | None) -> str:
    if token is None or user.startswith("YOUR_"):
        return "BASE64_OF_INSTANCE_COLON_TOKEN"
    return quote(base64.b64encode(f"{user}:{token}".encode()).decode(), safe="")


def render(vendor: Vendor, lines: Mapping[str, str], *, shell: bool = True) -> str:
    """The lines as text, with comments on what else the vendor needs.

    Args:
        vendor: A row of the table.
        lines: What ``environment`` returned.
        shell: Whether for a shell, with ``export`` and quotes, or for an env file.
    """
    missing = [
        f"{field.placeholder}: {field.meaning}"
        for field in vendor.fields
        if any(field.placeholder in value for value in lines.values())
    ]
    if any("YOUR_TOKEN" in value or "COLON_TOKEN" in value for value in lines.values()):
        missing.append(f"the token: {vendor.token}")
    comments = [
        f"{vendor.title}: {vendor.documentation}",
        *(f"fill in {text}" for text in missing),
        *vendor.notes,
    ]
    texts = [f"# {comment}" for comment in comments]
    for name, value in lines.items():
        texts.append(
            f"export {name}={shlex.quote(value)}" if shell else f"{name}={value}"
        )
    return "\n".join(texts) + "\n"
