from __future__ import annotations

import base64

import pytest

from harness import OtlpReceiver, run_program
from harness.command import diagnose, run_command
from harness.vendor import VendorServer
from harness.vendor_rules import RULES

TOKEN = "t0k3n+with/odd=chars"
QUOTED = "t0k3n%2Bwith%2Fodd%3Dchars"
PASSWORD = "pa55w0rd-in-url"
BASIC = base64.b64encode(f"user:{TOKEN}".encode()).decode()

PROGRAM = """
import logging
logging.basicConfig(level=logging.INFO)

class Parse:
    def process(self, event):
        raise ValueError("no")

try:
    Parse().process({"id": 1})
except ValueError:
    print("done")
"""
#: How headers may be set, rightly and wrongly.
HEADERS = {
    "plain": f"api-key={TOKEN}",
    "quoted": f"Authorization=Bearer%20{QUOTED}",
    "basic": f"Authorization=Basic%20{BASIC}",
    "no equals sign": f"Authorization Bearer {TOKEN}",
    "line end": f"authorization=Bearer%20{QUOTED}%0A",
    "not ascii": f"authorization=Bearer%20{QUOTED}%C3%A9",
    "control character": f"authorization=Bearer%20{QUOTED}%01",
    "bad name": f"api%20key={QUOTED}",
}
PROTOCOLS = ("http/protobuf", "grpc")


def assert_hidden(*texts: str) -> None:
    """Check that no form of a secret stands in a text."""
    for text in texts:
        for secret in (TOKEN, QUOTED, BASIC, PASSWORD):
            assert secret not in text, text
            assert secret.encode().hex() not in text


def environment(url: str, protocol: str, headers: str) -> dict[str, str]:
    """Variables that lead a program there, in a hurry."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }


@pytest.fixture(scope="module")
def receiver():
    """A receiver that turns everybody away."""
    with OtlpReceiver() as receiver:
        receiver.answer(401)
        yield receiver


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_program_shows_none(receiver, protocol, headers):
    """Whatever is wrong with a header, no log line of the run shows its value."""
    url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    result = run_program(
        PROGRAM,
        env=environment(url, protocol, headers),
        prefix=("-m", "stagelight", "run"),
    )
    assert (result.returncode, result.stdout) == (0, "done\n"), result
    assert "stagelight cannot export" in result.stderr
    assert_hidden(result.stderr)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_the_doctor_shows_none(receiver, protocol, headers):
    """Nor does the doctor, in its document; it says that the key is not welcome."""
    url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    env = environment(url, protocol, headers)
    none = [word for name in ("jaeger", "prometheus") for word in (f"--{name}", "none")]
    found = diagnose("--collector", "none", *none, env=env)
    assert found.code == 1
    assert found.statuses()["export"] == "failed"
    assert_hidden(found.text)


def test_an_intake_that_repeats_the_request():
    """A key that the server itself shows in its error is hidden in ours."""
    with VendorServer(RULES["honeycomb"]) as server:
        env = environment(
            server.lead("https://api.eu1.honeycomb.io"),
            "http/protobuf",
            f"x-honeycomb-team={TOKEN}",
        )
        result = run_program(
            PROGRAM, env=env, prefix=("-m", "stagelight", "run", "--json-logs")
        )
        assert server.violations
    assert "stagelight cannot export" in result.stderr
    assert_hidden(result.stderr, result.stdout)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{PASSWORD}@127.0.0.1:9",
        f"https://user:{PASSWORD}@127.0.0.1:9/otlp",
        f"ftp://user:{PASSWORD}@127.0.0.1:9",
        f"http://user:{PASSWORD}@127.0.0.1:none",
        f"http://127.0.0.1:9/?api_key={PASSWORD}",
    ],
)
def test_a_password_in_an_address(url):
    """It is hidden in warnings, in the table, in refusals and by the doctor."""
    env = environment(url, "http/protobuf", "")
    result = run_program(PROGRAM, env=env, prefix=("-m", "stagelight", "run"))
    assert "127.0.0.1" in result.stderr
    assert_hidden(result.stderr, result.stdout)
    done = run_command("doctor", "--timeout", "1", env=env)
    assert done.returncode in {1, 2}
    assert "127.0.0.1" in done.stdout + done.stderr
    assert_hidden(done.stdout, done.stderr)


@pytest.mark.parametrize("option", ["--jaeger", "--prometheus", "--collector"])
def test_a_password_in_an_option(option):
    """Nor is it repeated where an option is refused, or its backend is away."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    wrong = run_command("doctor", option, f"ftp://u:{PASSWORD}@h", env=env)
    assert wrong.returncode == 2
    away = run_command(
        *("doctor", "--timeout", "1", option, f"http://u:{PASSWORD}@127.0.0.1:9"),
        env=env,
    )
    assert away.returncode == 1
    assert_hidden(wrong.stdout, wrong.stderr, away.stdout, away.stderr)


def test_a_token_given_in_place_of_its_variable():
    """A secret put on the command line by mistake is not repeated."""
    done = run_command("vendor", "honeycomb", "--token", TOKEN)
    assert done.returncode == 2
    assert "the name of an environment variable" in done.stderr
    assert_hidden(done.stdout, done.stderr)


def test_placeholders_stand_for_secrets():
    """Without --token no secret is printed, even if the environment has one."""
    env = {"HONEYCOMB_API_KEY": TOKEN, "MY_TOKEN": TOKEN}
    done = run_command("vendor", "honeycomb", env=env)
    assert done.returncode == 0
    assert "YOUR_TOKEN" in done.stdout
    assert_hidden(done.stdout, done.stderr)
