"""Keys and values of the configuration, in files and in variables."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import ConfigurationError
from stagelight._capture import Capture
from stagelight._config import ENVIRONMENT, Settings, load
from stagelight._patterns import Pattern, parse_pattern

WHOLE = """
pipeline = "orders"
stages = ["app.steps:*.transform", "app:load_rows=load"]
queues = ["jobs*", "!jobs-old"]
journeys_per_second = 5
rescues_per_second = "all"
json_logs = true
event_id = "meta.id"
capture = "kept"
listen = "127.0.0.1:9000"
watchdog = "0.0.0.0:9001"
grpc = "9002"
token = "correct-horse-battery"
ingress = "pull"
tap = true
trace_url = "http://jaeger/trace/{trace_id}"
redact = ['patient-\\d+']
alerts = true
detail = "basic"
cost_budget = 0.05
spans_per_trace = 900
"""
SETTINGS = Settings(
    pipeline="orders",
    stages=(Pattern("app.steps", "*.transform"), Pattern("app", "load_rows", "load")),
    queues=("jobs*", "!jobs-old"),
    journeys_per_second=5.0,
    rescues_per_second="all",
    json_logs=True,
    event_id="meta.id",
    capture=Capture("kept"),
    listen="127.0.0.1:9000",
    watchdog="0.0.0.0:9001",
    grpc="9002",
    token="correct-horse-battery",
    ingress="pull",
    tap=True,
    trace_url="http://jaeger/trace/{trace_id}",
    redact=(r"patient-\d+",),
    alerts=True,
    detail="basic",
    cost_budget=0.05,
    spans_per_trace=900,
)


@pytest.fixture(params=["stagelight.toml", "pyproject.toml"])
def file(request, tmp_path):
    """Writes either of the two files; returns how errors call its place."""

    def write(text):
        path = tmp_path / request.param
        table = "[tool.stagelight]" if request.param == "pyproject.toml" else ""
        path.write_text(f"{table}\n{text}", encoding="utf-8")
        return f"{path} {table}".rstrip()

    return write


def refused(folder, environment=None):
    """What is said of a configuration that cannot be right."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, environment or {})
    return str(caught.value)


def test_without_any(tmp_path):
    """Nothing has to be configured."""
    assert load(tmp_path, {}) == Settings()


def test_every_key(file, tmp_path):
    """A file holds every setting under its own name."""
    file(WHOLE)
    assert load(tmp_path, {}) == SETTINGS


def test_every_variable(tmp_path):
    """So do variables, lists separated by commas."""
    environment = {
        "STAGELIGHT_PIPELINE": "orders",
        "STAGELIGHT_STAGES": "app.steps:*.transform, app:load_rows=load,",
        "STAGELIGHT_QUEUES": "jobs*,!jobs-old",
        "STAGELIGHT_JOURNEYS_PER_SECOND": "5",
        "STAGELIGHT_RESCUES_PER_SECOND": "ALL".lower(),
        "STAGELIGHT_JSON_LOGS": "True",
        "STAGELIGHT_EVENT_ID": "meta.id",
        "STAGELIGHT_CAPTURE": "kept",
        "STAGELIGHT_LISTEN": "127.0.0.1:9000",
        "STAGELIGHT_WATCHDOG": "0.0.0.0:9001",
        "STAGELIGHT_GRPC": "9002",
        "STAGELIGHT_TOKEN": "correct-horse-battery",
        "STAGELIGHT_INGRESS": "pull",
        "STAGELIGHT_TAP": "1",
        "STAGELIGHT_TRACE_URL": "http://jaeger/trace/{trace_id}",
        "STAGELIGHT_REDACT": r"patient-\d+",
        "STAGELIGHT_ALERTS": "1",
        "STAGELIGHT_DETAIL": "basic",
        "STAGELIGHT_COST_BUDGET": "0.05",
        "STAGELIGHT_SPANS_PER_TRACE": "900",
        "OTEL_SERVICE_NAME": "not ours",
    }
    assert load(tmp_path, environment) == SETTINGS
    named = {f"{ENVIRONMENT}{field.name.upper()}" for field in fields(Settings)}
    assert named == {name for name in environment if name.startswith(ENVIRONMENT)}


def test_variables_win(file, tmp_path):
    """A variable replaces what the file says, and only that; an empty one is none."""
    file(WHOLE)
    environment = {"STAGELIGHT_PIPELINE": "other", "STAGELIGHT_QUEUES": " "}
    found = load(tmp_path, environment)
    assert (found.pipeline, found.queues) == ("other", SETTINGS.queues)
    assert found.stages == SETTINGS.stages


def test_the_process_environment_is_the_default(tmp_path, monkeypatch):
    """Without being told otherwise, variables are this process's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGELIGHT_PIPELINE", "mine")
    assert load().pipeline == "mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("FALSE", False), ("0", False)],
)
def test_words_for_a_flag(tmp_path, text, expected):
    """The usual words for yes and no."""
    assert load(tmp_path, {"STAGELIGHT_JSON_LOGS": text}).json_logs is expected


def test_the_nearest_file_counts(tmp_path):
    """The search goes up from the folder, and stops at the first table of ours."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.stagelight]\npipeline = 'top'\n")
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'stagelight-x'\n")
    assert load(inner, {}).pipeline == "top"
    (inner / "pyproject.toml").write_text("[tool.stagelight]\npipeline = 'pyproject'\n")
    assert load(inner, {}).pipeline == "pyproject"
    (inner / "stagelight.toml").write_text("pipeline = 'own'\n")
    assert load(inner, {}).pipeline == "own"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ingress = 'both'", 'it takes "push" or "pull"'),
        ("tap = 'yes'", "it takes true or false"),
        ("listen = ''", "it takes a text"),
        ("trace_url = 'http://jaeger/'", "with {trace_id}"),
        ("trace_url = 'javascript:{trace_id}'", "an http(s) address"),
        ("redact = ['(']", "a regular expression"),
        ("redact = 'x'", "a list of texts"),
    ],
)
def test_what_is_served_is_checked(file, tmp_path, line, words):
    """Bad values of the server's keys are refused as any others."""
    file(line)
    assert words in refused(tmp_path)


def test_an_unknown_key(file, tmp_path):
    """The error names the file, the key, the nearest known one, and all of them."""
    place = file("piplines = 'orders'")
    assert refused(tmp_path) == (
        f"{place}: unknown key 'piplines'; did you mean pipeline? known are pipeline, "
        "stages, queues, journeys_per_second, rescues_per_second, json_logs, event_id, "
        "capture, listen, watchdog, grpc, token, ingress, tap, trace_url, redact, "
        "alerts, "
        "detail, cost_budget, spans_per_trace"
    )
    place = file("zebra = 1")
    assert refused(tmp_path).startswith(f"{place}: unknown key 'zebra'; known are pip")


def test_an_unknown_variable(tmp_path):
    """A misspelt variable is an error as well, for else it would do nothing."""
    text = refused(tmp_path, {"STAGELIGHT_JSON_LOG": "1"})
    assert text.startswith(
        "environment: unknown key 'STAGELIGHT_JSON_LOG'; did you mean "
        "STAGELIGHT_JSON_LOGS? known are STAGELIGHT_PIPELINE, "
    )


NAME = "a text of 1 to 64 characters"
RATE = 'a number from 0 up, or "all"'
PATH = "an attribute or key, or several joined as meta.id"
GLOB = "a glob over names of queues, or !glob to leave some out"
FLAG = "true or false"
WHOLE_NUMBER = 'a whole number from 1 up, or "all"'


@pytest.mark.parametrize(
    ("line", "shown", "accepted"),
    [
        ("pipeline = ''", "''", NAME),
        ("pipeline = 7", "7", NAME),
        (f"pipeline = '{'x' * 65}'", repr("x" * 65), NAME),
        ('pipeline = "a\\nb"', r"'a\nb'", NAME),
        ("journeys_per_second = -1", "-1", RATE),
        ("journeys_per_second = inf", "inf", RATE),
        ("journeys_per_second = true", "True", RATE),
        ("rescues_per_second = 'many'", "'many'", RATE),
        ("spans_per_trace = 0", "0", WHOLE_NUMBER),
        ("spans_per_trace = 1.5", "1.5", WHOLE_NUMBER),
        ("json_logs = 'yes'", "'yes'", FLAG),
        ("json_logs = 1", "1", FLAG),
        ("event_id = 'a b'", "'a b'", PATH),
        ("event_id = 'a..b'", "'a..b'", PATH),
        ("event_id = ['a']", "['a']", PATH),
        ("queues = 'jobs'", "'jobs'", f"a list of texts, each {GLOB}"),
        ("queues = ['!']", "'!'", GLOB),
        ("stages = [1]", "1", "a pattern module:function"),
    ],
)
def test_a_value_that_cannot_be_right(file, tmp_path, line, shown, accepted):
    """The error names the file, the key, the value, and what would be accepted."""
    place = file(line)
    key = line.partition(" ")[0]
    expected = f"{place}: {key}: {shown} is not accepted; it takes {accepted}"
    assert refused(tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("variable", "text", "accepted"),
    [
        ("JOURNEYS_PER_SECOND", "fast", RATE),
        ("JOURNEYS_PER_SECOND", "nan", RATE),
        ("JSON_LOGS", "maybe", FLAG),
        ("SPANS_PER_TRACE", "-5", WHOLE_NUMBER),
        ("EVENT_ID", "meta id", PATH),
        ("QUEUES", "!", GLOB),
    ],
)
def test_a_variable_that_cannot_be_right(tmp_path, variable, text, accepted):
    """The error names the variable."""
    message = refused(tmp_path, {f"STAGELIGHT_{variable}": text})
    assert message.startswith(f"STAGELIGHT_{variable}: ")
    assert message.endswith(f"is not accepted; it takes {accepted}")


def test_a_pattern_that_is_none(file, tmp_path):
    """The error names the place, and the form that patterns have."""
    place = file('stages = ["app.load"]')
    assert refused(tmp_path) == (
        f"{place}: stages: 'app.load' is no pattern; it takes a pattern "
        "module:function or module:Class.method, with * ? [] as globs, and =name "
        "behind it to name the stage"
    )


@pytest.mark.parametrize(
    "text",
    ["", "app", ":f", "app:", "app:f:g", "a b:f", "app:f.", ".app:f", "app:1 2"],
)
def test_texts_that_are_no_pattern(text):
    """What could mean nothing is refused at once."""
    with pytest.raises(ConfigurationError, match="is no pattern"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app:*=load", "may match several functions"),
        ("app.*:load=load", "may match several functions"),
        ("app:load=", "has a bad name behind ="),
        ("app:load=" + "x" * 65, "takes 1 to 64 printable characters"),
        ("app:load=a\nb", "has a bad name behind ="),
    ],
)
def test_names_of_patterns_that_cannot_be_right(text, why):
    """One name means one function."""
    with pytest.raises(ConfigurationError, match=why):
        parse_pattern(text)


NAMES = st.from_regex(r"[a-zA-Z_]\w{0,8}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(NAMES, min_size=1, max_size=3))
def test_an_exact_pattern_means_exactly_its_function(module, target):
    """Written out and read again it is the same, and it means what it spells."""
    pattern = Pattern(".".join(module), ".".join(target))
    assert parse_pattern(str(pattern)) == pattern
    assert pattern.is_exact
    assert pattern.in_module(pattern.module)
    assert pattern.matches(pattern.target)
    assert not pattern.in_module(pattern.module + "x")
    assert not pattern.matches(pattern.target + ".more")


@pytest.mark.parametrize(
    ("glob", "qualname", "expected"),
    [
        ("Parser.*", "Parser.process", True),
        ("Parser.*", "Parser", False),
        ("*.process", "Parser.process", True),
        ("*.process", "Parser.inner.process", False),  # a glob stays within its part
        ("load_*", "load_rows", True),
        ("load_*", "Load_rows", False),
        ("*", "__init__", False),  # it never means a dunder
        ("Parser.*", "Parser.__call__", False),
        ("Parser.__call__", "Parser.__call__", True),
        ("step?", "step1", True),
        ("step[12]", "step3", False),
        ("make.<locals>.inner", "make.<locals>.inner", True),
        ("make.*.inner", "make.<locals>.inner", True),
    ],
)
def test_what_a_glob_means(glob, qualname, expected):
    """Globs match parts of qualified names, case and dunders apart."""
    assert Pattern("app", glob).matches(qualname) is expected


@pytest.mark.parametrize(
    ("globs", "wanted", "unwanted"),
    [
        ((), ["anything"], []),
        (("jobs*",), ["jobs", "jobs-2"], ["other"]),
        (("!scratch*",), ["jobs"], ["scratch", "scratch-2"]),
        (("jobs*", "!jobs-old"), ["jobs", "jobs-2"], ["jobs-old", "other"]),
        (("*", "!*"), [], ["anything"]),
    ],
)
def test_which_queues_are_wanted(globs, wanted, unwanted):
    """Without a positive glob all are, and what is excluded never is."""
    settings = Settings(queues=globs)
    assert all(settings.wants_queue(name) for name in wanted)
    assert not any(settings.wants_queue(name) for name in unwanted)


def test_a_file_that_is_no_toml(file, tmp_path):
    """The error names the file and where it is wrong."""
    place = file("pipeline = orders # stagelight")
    path = place.removesuffix(" [tool.stagelight]")
    assert refused(tmp_path).startswith(f"{path} is no valid TOML: Invalid value (at")


def test_a_project_that_is_not_about_us(tmp_path):
    """Another tool's pyproject.toml is not even parsed, so it may hold anything."""
    (tmp_path / "pyproject.toml").write_text("[project\nname = ")
    assert load(tmp_path, {}) == Settings()
