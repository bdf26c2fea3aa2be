import tomllib
from pathlib import Path

from regimes.config import load, render
from regimes.config.load import leaves
from regimes.config.settings import settings_type
from regimes.config.sources import VARIABLES


def test_the_shipped_configuration_is_written_from_the_settings() -> None:
    assert render.TOML_PATH.read_text() == render.toml(), "run `python -m regimes.config`"


def test_the_reference_of_settings_is_written_from_the_settings() -> None:
    assert render.DOCS_PATH.read_text() == render.docs(), "run `python -m regimes.config`"


def test_the_published_schema_is_written_from_the_event_itself() -> None:
    assert render.SCHEMA_PATH.read_text() == render.schema(), "run `python -m regimes.config`"


def test_every_well_known_variable_stands_in_the_reference() -> None:
    for name in VARIABLES:
        assert f"| `{name}`" in render.docs()


def test_the_shipped_configuration_changes_no_default(tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    shipped = load(render.TOML_PATH, environ={}, folder=tmp_path)
    assert shipped.model_dump() == load(empty, environ={}, folder=tmp_path).model_dump()


def test_every_key_stands_in_the_configuration_with_a_comment() -> None:
    text = render.toml()
    tables = tomllib.loads(text)
    for path, field in leaves(settings_type()):
        section, _, key = path.rpartition(".")
        assert key in (tables[section] if section else tables) or f"# {key} = " in text, path
        assert field.description, f"{path} says nothing about itself"


def test_the_rule_of_a_number_is_told() -> None:
    fields = dict(leaves(settings_type()))
    assert render.rule_of(fields["pipeline.interval_seconds"]) == ">= 0.1, <= 30"
    assert render.rule_of(fields["log.level"]) == "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
