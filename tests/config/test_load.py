from pathlib import Path

import pytest

from regimes.config import Settings, load
from regimes.config.settings import Origin
from regimes.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def with_toml(folder: Path, text: str) -> Path:
    path = folder / "regimes.toml"
    path.write_text(text)
    return path


def mistakes(folder: Path, toml: str = "", environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(with_toml(folder, toml), environ=environ or {}, folder=folder)
    return str(caught.value).splitlines()


def test_without_any_source_the_defaults_hold(folder: Path) -> None:
    settings = load(environ={}, folder=folder)
    assert settings.symbols == ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert settings.timeframes == ("1h", "4h", "1d", "1w")
    assert settings.pipeline.interval_seconds == 5.0
    assert settings.venues.spot == "binanceus"
    assert settings.venues.derivatives == "binanceusdm"


def test_environment_beats_dotenv_beats_toml_beats_default(folder: Path) -> None:
    toml = with_toml(
        folder, "[funding]\nanomaly_z_threshold = 2.1\n[pipeline]\ninterval_seconds = 7\nstatus_seconds = 9\n"
    )
    (folder / ".env").write_text(
        "REGIMES__FUNDING__ANOMALY_Z_THRESHOLD=2.2\nREGIMES__PIPELINE__INTERVAL_SECONDS=8\n"
    )
    settings = load(toml, environ={"REGIMES__FUNDING__ANOMALY_Z_THRESHOLD": "2.3"}, folder=folder)
    assert dict(settings.section("funding"))["anomaly_z_threshold"] == 2.3
    assert settings.pipeline.interval_seconds == 8
    assert settings.pipeline.status_seconds == 9


def test_each_value_says_where_it_came_from(folder: Path) -> None:
    toml = with_toml(folder, "[pipeline]\nstatus_seconds = 9\n")
    (folder / ".env").write_text("LOG_LEVEL=DEBUG\n")
    settings = load(toml, environ={"BINANCE_API_KEY": "k"}, folder=folder)
    assert settings.origin("pipeline.status_seconds") == Origin(str(toml), "pipeline.status_seconds")
    assert settings.origin("log.level") == Origin(str(folder / ".env"), "LOG_LEVEL")
    assert settings.origin("venues.api_key") == Origin("environment", "BINANCE_API_KEY")
    assert str(settings.origin("symbols")) == "default"


def test_the_file_is_the_named_one_then_the_variables_then_the_local_one(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "regimes.toml").write_text("[pipeline]\ninterval_seconds = 11\n")
    (folder / "by_variable.toml").write_text("[pipeline]\ninterval_seconds = 12\n")
    (folder / "by_option.toml").write_text("[pipeline]\ninterval_seconds = 13\n")
    variable = {"REGIMES_CONFIG": str(folder / "by_variable.toml")}
    assert load(environ={}, folder=folder).pipeline.interval_seconds == 11
    assert load(environ=variable, folder=folder).pipeline.interval_seconds == 12
    assert load(folder / "by_option.toml", environ=variable, folder=folder).pipeline.interval_seconds == 13


@pytest.mark.parametrize("environ", [{}, {"REGIMES_CONFIG": "/nowhere/x.toml"}])
def test_a_named_file_that_is_missing_stops_the_start(folder: Path, environ: dict[str, str]) -> None:
    named = None if environ else folder / "none.toml"
    with pytest.raises(ConfigError, match=r"(--config|REGIMES_CONFIG): .* is not a file"):
        load(named, environ=environ, folder=folder)


def test_all_mistakes_are_named_at_once(folder: Path) -> None:
    found = mistakes(
        folder,
        'symbls = ["BTC/USDT"]\n[funding]\nanomaly_z_treshold = 2\n[pipeline]\ninterval_seconds = -1\nqueue_capacity = "many"\n',
        {"REGIMES__VOLATILITY__CLASSIFY_BY": "absolut", "REGIMES__NOSUCH__KEY": "1"},
    )
    assert len(found) == 6
    text = "\n".join(found)
    for part in (
        "regimes.toml: symbls: there is no such setting; did you mean symbols?",
        "regimes.toml: funding.anomaly_z_treshold: there is no such setting; did you mean funding.anomaly_z_threshold?",
        "regimes.toml: pipeline.interval_seconds = -1: input should be greater than or equal to 0.1",
        'regimes.toml: pipeline.queue_capacity = "many": input should be a valid integer',
        'environment: REGIMES__VOLATILITY__CLASSIFY_BY = "absolut":',
        "did you mean 'absolute'?",
        "environment: REGIMES__NOSUCH__KEY: there is no section [nosuch]",
    ):
        assert part in text


def test_a_misspelt_section_is_recognised(folder: Path) -> None:
    (found,) = mistakes(folder, "[volatilty]\nstable_threshold = 0.02\n")
    assert found.endswith("there is no section [volatilty]; did you mean [volatility]?")


def test_an_empty_unknown_section_is_a_mistake_too(folder: Path) -> None:
    (found,) = mistakes(folder, "[alertng]\n")
    assert "there is no section [alertng]" in found


def test_a_section_with_all_keys_taken_out_is_no_mistake(folder: Path) -> None:
    assert load(with_toml(folder, "[funding]\n"), environ={}, folder=folder).symbols


def test_a_key_at_the_wrong_level_is_pointed_to_its_section(folder: Path) -> None:
    (found,) = mistakes(folder, "interval_seconds = 5\n")
    assert "did you mean pipeline.interval_seconds?" in found


def test_a_variable_is_corrected_in_the_spelling_of_variables(folder: Path) -> None:
    (found,) = mistakes(folder, "", {"REGIMES__PIPELINE__INTERVALL_SECONDS": "5"})
    assert "did you mean REGIMES__PIPELINE__INTERVAL_SECONDS?" in found


@pytest.mark.parametrize(
    ("toml", "rule"),
    [
        ("[pipeline]\ninterval_seconds = true\n", "valid number"),
        ('[pipeline]\ninterval_seconds = "5"\n', "valid number"),
        ("[pipeline]\ninterval_seconds = nan\n", ""),
        ("[pipeline]\ninterval_seconds = inf\n", ""),
        ("[pipeline]\nqueue_capacity = 5000.5\n", "valid integer"),
        ("symbols = []\n", "should be at least 1;"),
        ('symbols = "BTC/USDT"\n', "array"),
        ('symbols = ["BTCUSDT"]\n', "BASE/QUOTE"),
        ('symbols = ["BTC/USDT:USDT"]\n', "BASE/QUOTE"),
        ('symbols = ["BTC/USDT", "BTC/USDT"]\n', "stands more than once"),
        ('symbols = ["top:0"]\n', "BASE/QUOTE"),
        ('symbols = ["top:501"]\n', "from 1 to 500"),
        ('timeframes = ["15m"]\n', "whole number of hours"),
        ('timeframes = ["1 hour"]\n', "must look like"),
        ("funding = 3\n", "[funding] is a section"),
        ('[log]\nlevel = "LOUD"\n', "'DEBUG', 'INFO'"),
        ("[venues]\nspot = 5\n", "'binanceus', 'binance'"),
    ],
)
def test_a_wrong_value_in_the_file_stops_the_start(folder: Path, toml: str, rule: str) -> None:
    (found,) = mistakes(folder, toml)
    assert found.startswith(str(folder / "regimes.toml"))
    assert rule in found


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("REGIMES__PIPELINE__INTERVAL_SECONDS", "soon", "valid number"),
        ("REGIMES__PIPELINE__INTERVAL_SECONDS", "", "valid number"),
        ("REGIMES__SYMBOLS", "BTC/USDT,ETHUSDT", "BASE/QUOTE"),
        ("REGIMES__SYMBOLS", '["BTC/USDT"', "not valid JSON"),
        ("LOG_LEVEL", "verbose", "'DEBUG', 'INFO'"),
        ("REGIMES__SYMBOLZ", "BTC/USDT", "did you mean REGIMES__SYMBOLS?"),
    ],
)
def test_a_wrong_variable_stops_the_start(folder: Path, variable: str, value: str, rule: str) -> None:
    (found,) = mistakes(folder, "", {variable: value})
    assert found.startswith(f"environment: {variable}")
    assert rule in found


def test_a_file_that_is_not_toml_names_the_line(folder: Path) -> None:
    (found,) = mistakes(folder, "[pipeline]\ninterval_seconds = \n")
    assert "not valid TOML" in found
    assert "line 2" in found


def test_a_file_that_is_not_text_is_named(folder: Path) -> None:
    path = folder / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml: not valid TOML"):
        load(path, environ={}, folder=folder)


@pytest.mark.parametrize("text", ["BTC/USDT, ETH/USDT", '["BTC/USDT","ETH/USDT"]'])
def test_a_list_in_a_variable_is_json_or_separated_by_commas(folder: Path, text: str) -> None:
    assert load(environ={"REGIMES__SYMBOLS": text}, folder=folder).symbols == ("BTC/USDT", "ETH/USDT")


def test_other_names_in_dotenv_and_environment_are_left_alone(folder: Path) -> None:
    (folder / ".env").write_text("OTHER_PROGRAM=1\nOPENAI_KEYS=x\n")
    assert load(environ={"PATH": "/bin", "REGIMESX": "1"}, folder=folder).symbols


def test_an_unknown_name_of_ours_in_dotenv_is_a_mistake(folder: Path) -> None:
    (folder / ".env").write_text("REGIMES__FUNDING__NOSUCH=1\n")
    with pytest.raises(ConfigError, match=r"\.env: REGIMES__FUNDING__NOSUCH: there is no such setting"):
        load(environ={}, folder=folder)


def test_an_empty_well_known_name_means_not_set(folder: Path) -> None:
    (folder / ".env").write_text("BINANCE_API_KEY=\nLOG_FILE=\n")
    settings = load(environ={"LOG_LEVEL": ""}, folder=folder)
    assert settings.venues.api_key is None
    assert settings.log.file is None
    assert settings.log.level == "INFO"


@pytest.mark.parametrize("name", ["BINANCE_SECRET_FILE", "REGIMES__VENUES__SECRET_FILE"])
def test_a_secret_can_be_read_from_a_file(folder: Path, name: str) -> None:
    (folder / "secret").write_text("hush\n")
    settings = load(environ={name: str(folder / "secret")}, folder=folder)
    assert settings.venues.secret is not None
    assert settings.venues.secret.get_secret_value() == "hush"
    assert settings.origin("venues.secret") == Origin("environment", name)


def test_a_secret_file_that_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"BINANCE_SECRET_FILE = /nowhere cannot be read"):
        load(environ={"BINANCE_SECRET_FILE": "/nowhere"}, folder=folder)


def test_a_secret_given_twice_is_a_mistake(folder: Path) -> None:
    (folder / "secret").write_text("hush")
    both = {"BINANCE_SECRET_FILE": str(folder / "secret"), "BINANCE_SECRET": "other"}
    with pytest.raises(ConfigError, match="BINANCE_SECRET and BINANCE_SECRET_FILE are both set"):
        load(environ=both, folder=folder)


def test_a_secret_is_never_shown(folder: Path) -> None:
    settings = load(environ={"BINANCE_API_KEY": "visible?"}, folder=folder)
    assert "visible?" not in repr(settings)
    (found,) = mistakes(folder, "[venues]\napi_key = 12345678\n")
    assert "12345678" not in found


def test_two_empty_venues_are_a_mistake_across_settings(folder: Path) -> None:
    (found,) = mistakes(folder, '[venues]\nspot = ""\nderivatives = ""\n')
    assert "name at least one venue" in found


def test_thresholds_out_of_order_are_a_mistake_across_settings(folder: Path) -> None:
    found = mistakes(folder, "[volatility]\nstable_threshold = 0.2\nhigh_vol_threshold = 0.1\n")
    assert "[volatility]" in found[0]
    assert "volatility.stable_threshold" in found[0]


def test_timeframes_are_put_in_order(folder: Path) -> None:
    assert load(with_toml(folder, 'timeframes = ["1d", "1h"]\n'), environ={}, folder=folder).timeframes == (
        "1h",
        "1d",
    )


def test_what_the_program_sets_is_validated_and_says_so(folder: Path) -> None:
    settings = load(environ={}, folder=folder)
    demo = Origin("demo", "")
    changed = settings.replaced(demo, symbols=("BTC/USDT",), pipeline={"interval_seconds": 1})
    assert isinstance(changed, Settings)
    assert changed.symbols == ("BTC/USDT",)
    assert changed.pipeline.interval_seconds == 1
    assert changed.pipeline.queue_capacity == settings.pipeline.queue_capacity
    assert changed.origin("pipeline.interval_seconds") == demo
    assert settings.pipeline.interval_seconds == 5
    with pytest.raises(ValueError, match="greater than"):
        settings.replaced(demo, pipeline={"interval_seconds": 0})


def test_a_choice_of_numbers_can_be_made_in_the_environment(folder: Path) -> None:
    settings = load(environ={"REGIMES__VENUES__DEPTH_LEVELS": "100"}, folder=folder)
    assert settings.venues.depth_levels == 100
    with pytest.raises(ConfigError, match="100, 500 or 1000"):
        load(environ={"REGIMES__VENUES__DEPTH_LEVELS": "200"}, folder=folder)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REGIMES_SYMBOLS", "did you mean REGIMES__SYMBOLS?"),
        ("REGIMES_FUNDING__WATCH_Z_THRESHOLD", "did you mean REGIMES__FUNDING__WATCH_Z_THRESHOLD?"),
        ("REGIMES_FUNDING_WATCH_Z_THRESHOLD", "did you mean REGIMES__FUNDING__WATCH_Z_THRESHOLD?"),
        ("REGIMES_FUNDINGG__X", "names of settings begin with REGIMES__"),
        ("WEBHOOKS_AL", "did you mean WEBHOOKS_ALL?"),
        ("WEBHOOKS_EVERYONE_AND_ALL", "did you mean WEBHOOKS_ALL?"),
    ],
)
def test_a_variable_that_is_meant_for_us_and_names_no_setting_is_refused(
    folder: Path, name: str, meant: str
) -> None:
    assert mistakes(folder, environ={name: "x"}) == [
        f"environment: {name}: there is no such setting; {meant}"
    ]
    (folder / ".env").write_text(f"{name}=x\n")
    assert mistakes(folder) == [f"{folder / '.env'}: {name}: there is no such setting; {meant}"]


def test_variables_of_other_programs_are_left_alone(folder: Path) -> None:
    others = {
        "REGIMES_CONFIG": "",
        "REGIMES_TEST_DATA": "x",
        "WEBHOOK_URL": "x",
        "WEBHOOKS": "x",
        "SYMBOLS": "x",
    }
    assert load(environ=others, folder=folder).symbols == ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def test_a_line_of_dotenv_that_is_no_variable_is_named(folder: Path) -> None:
    (folder / ".env").write_text("LOG_LEVEL=INFO\nnot a variable\n")
    assert mistakes(folder) == [
        f"{folder / '.env'}: line 2 is not NAME=value; correct it, or put # before it"
    ]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(folder: Path, value: str) -> None:
    key = "liquidation.cascade_threshold_usd"
    (found,) = mistakes(folder, f"[liquidation]\ncascade_threshold_usd = {value}\n")
    assert key in found
    (found,) = mistakes(folder, environ={"REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD": value})
    assert "REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD" in found
