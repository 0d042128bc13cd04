"""A wrong setting is one sentence naming the variable, and never shows the password."""

import pytest

import config

GOOD = {
    "KAFKA_URL": "kafka://a:9092,b:9093",
    "DATABASE_URL": "mysql://shop:s3cret@db:3306/shop",
}


@pytest.fixture
def environment(monkeypatch):
    for name in config.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def set_variables(**variables: str) -> None:
        for name, value in {**GOOD, **variables}.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_defaults_are_those_of_the_replaced_job(environment):
    environment()
    settings = config.load()
    assert settings.topic == "flash_sale_events"
    assert settings.starting_offsets == "latest"
    assert settings.flush_interval == 5
    assert settings.brokers == ["kafka://a:9092", "kafka://b:9093"]
    assert settings.database.drivername == "mysql+pymysql"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KAFKA_URL": ""}, "KAFKA_URL is not set"),
        ({"KAFKA_URL": "localhost:9092"}, "KAFKA_URL is wrong: must be kafka://host:port"),
        ({"KAFKA_URL": "kafka://host"}, "KAFKA_URL is wrong: must be kafka://host:port"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgres://shop:s3cret@db/shop"}, "DATABASE_URL is wrong: must be"),
        ({"DATABASE_URL": "mysql://shop:s3cret@db:port/shop"}, "DATABASE_URL is wrong: must be"),
        ({"DATABASE_URL": "mysql://shop:s3cret@db:3306"}, "DATABASE_URL is wrong: must be"),
        ({"STARTING_OFFSETS": "newest"}, "STARTING_OFFSETS is wrong: input should be 'latest'"),
        ({"FLUSH_INTERVAL": "five"}, "FLUSH_INTERVAL is wrong: input should be a valid number"),
        ({"FLUSH_INTERVAL": "0"}, "FLUSH_INTERVAL is wrong: input should be greater than 0"),
        ({"FLUSH_MAX_ROWS": "-1"}, "FLUSH_MAX_ROWS is wrong"),
        ({"PORT": "70000"}, "PORT is wrong"),
        (
            {"FLUSH_MAX_ROWS": "20", "BUFFER_MAX_ROWS": "10"},
            "BUFFER_MAX_ROWS is 10: must be at least FLUSH_MAX_ROWS (20).",
        ),
    ],
)
def test_wrong_setting_is_one_sentence(environment, capsys, variables, sentence):
    environment(**variables)
    with pytest.raises(SystemExit) as stopped:
        config.load()
    message = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message.startswith(sentence)
    assert message.count("\n") == 1
    assert "s3cret" not in message


def test_password_is_masked_wherever_settings_are_shown(environment):
    environment()
    settings = config.load()
    assert "s3cret" not in repr(settings) + str(settings) + str(settings.database)


def test_every_setting_says_what_it_is():
    for name, field in config.Settings.model_fields.items():
        assert field.description, name
