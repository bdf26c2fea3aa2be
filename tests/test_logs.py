import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from regimes.errors import ConfigError
from regimes.logs import LogSettings, configure
from regimes.redact import Redactor

pytestmark = pytest.mark.usefixtures("logging_as_before")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream=stream)
    structlog.get_logger().info("stream_connected", stream="spot", messages=3)
    (line,) = lines(stream)
    assert line["event"] == "stream_connected"
    assert line["messages"] == 3
    assert line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


def test_a_terminal_gets_words_not_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure(LogSettings(), stream=stream)
    structlog.get_logger().warning("clock_off", seconds=2)
    assert "clock_off" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_line_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure(LogSettings(level="WARNING"), stream=stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_lines_of_other_libraries_take_the_same_form() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream=stream)
    logging.getLogger("aiohttp.client").warning("slow %s", "answer")
    (line,) = lines(stream)
    assert line["event"] == "slow answer"
    assert line["level"] == "warning"


@pytest.mark.parametrize(
    ("fields", "hidden"),
    [
        ({"api_key": "abcdefgh"}, "abcdefgh"),
        ({"error": "GET /x?signature=deadbeef&n=1"}, "deadbeef"),
        ({"error": "refused s3cr3t-value by host"}, "s3cr3t-value"),
        ({"headers": {"Authorization": "Bearer tok"}}, "Bearer tok"),
        ({"urls": ["https://h/?token=zzzzz"]}, "zzzzz"),
        ({"error": ValueError("bad secret=hunter22")}, "hunter22"),
    ],
)
def test_a_secret_never_reaches_the_log(fields: dict[str, object], hidden: str) -> None:
    stream = io.StringIO()
    configure(LogSettings(), redact=Redactor(["s3cr3t-value"]), stream=stream)
    structlog.get_logger().error("refused", **fields)
    assert hidden not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_a_secret_inside_a_traceback_is_hidden_too() -> None:
    stream = io.StringIO()
    configure(LogSettings(), redact=Redactor(["s3cr3t-value"]), stream=stream)
    try:
        int("s3cr3t-value")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "Traceback" in stream.getvalue()
    assert "s3cr3t-value" not in stream.getvalue()


def test_the_log_goes_to_a_file_when_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "regimes.log"
    configure(LogSettings(file=file))
    structlog.get_logger().info("started")
    assert json.loads(file.read_text())["event"] == "started"


def test_a_log_file_that_cannot_be_written_is_the_operators_turn(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"log\.file \(LOG_FILE\).*cannot be written"):
        configure(LogSettings(file=tmp_path / "file" / "regimes.log"))
