"""Tokens: when a new one is taken, and what an answer without one means."""

import base64
import json
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiokafka.errors import KafkaError

from config.settings import Settings
from source.cluster.auth import Cluster
from source.cluster.tokens import Token, TokenError, Tokens, _token, msk_iam, rejected_token


class Endpoint:
    """Gives numbered tokens that live 100 s, unless it is away."""

    def __init__(self) -> None:
        self.now, self.given, self.away = 1000.0, 0, False
        self.tokens = Tokens(self.fetch, {}, rejected_token, lambda: self.now)

    async def fetch(self) -> Token:
        if self.away:
            raise TokenError("away.", passing=True)
        self.given += 1
        return Token(f"s3cret-{self.given}", self.now + 100)


async def test_new_token_is_taken_before_the_last_one_ends(caplog):
    endpoint = Endpoint()
    for now, number in ((1000, 1), (1079, 1), (1080, 2), (1159, 2), (1300, 3)):
        endpoint.now = now
        assert await endpoint.tokens.token() == f"s3cret-{number}"
    endpoint.away, endpoint.now = True, 1390
    assert await endpoint.tokens.token() == "s3cret-3"
    endpoint.now = 1400
    with pytest.raises(TokenError):
        await endpoint.tokens.token()
    endpoint.away = False
    assert await endpoint.tokens.token() == "s3cret-4"
    assert "s3cret" not in caplog.text + repr(await endpoint.fetch())


async def test_a_clock_set_back_makes_no_token_live_longer():
    endpoint = Endpoint()
    assert await endpoint.tokens.token() == "s3cret-1"
    endpoint.now -= 3600
    assert await endpoint.tokens.token() == "s3cret-2"
    endpoint.now += 3600
    assert await endpoint.tokens.token() == "s3cret-3"


async def test_rejected_token_is_not_used_again():
    endpoint = Endpoint()
    await endpoint.tokens.token()
    endpoint.tokens.forget()
    assert await endpoint.tokens.token() == "s3cret-2"
    endpoint.tokens.forget()
    endpoint.away = True
    with pytest.raises(TokenError):
        await endpoint.tokens.token()


def test_aiokafka_retries_where_there_is_no_token():
    assert issubclass(TokenError, KafkaError)


def test_life_is_the_answers_or_the_tokens(monkeypatch):
    monkeypatch.setattr("source.cluster.tokens.time", lambda: 1000.0)

    def end(**answer: object) -> float:
        return _token(200, json.dumps(answer).encode()).end

    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1500}).encode()).decode().rstrip("=")
    assert end(access_token="opaque", expires_in=60) == 1060
    assert end(access_token="opaque", expires_in="60") == 1060
    assert end(access_token=f"a.{claims}.c") == 1500
    # Of a token that does not tell, each connection takes its own.
    assert end(access_token="opaque") == 0
    assert end(access_token="a.b.c", expires_in=True) == 0


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, b"s3cret", "answers without a token: check it."),
        (200, b"[]", "answers without a token: check it."),
        (200, b'{"access_token": "s3cret\\u0001auth=x"}', "answers without a token: check it."),
        (400, b'{"error": "invalid_client"}', "rejects the client: check KAFKA_USERNAME and"),
        (400, b'{"error": "unauthorized_client"}', "gives this client no token: allow it"),
        (400, b'{"error": "s3cret"}', "answers with HTTP 400: check it."),
        (302, b"", "answers with HTTP 302: check it."),
        (429, b"", "does not answer: start it, or change it (HTTP 429)."),
    ],
)
def test_answer_without_a_token_is_one_sentence(status, body, sentence):
    with pytest.raises(TokenError) as refusal:
        _token(status, body)
    assert f"KAFKA_OAUTH_TOKEN_URL {sentence}" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.passing == (status == 429)


def settings(**login: Any) -> Settings:
    return Settings(DATABASE_URL="mysql://u:p@db/d", kafka_url="SASL_SSL://a:9098", **login)


def test_tokens_are_not_shown():
    login = {"kafka_username": "app", "kafka_password": "s3cret"}
    url = {"kafka_oauth_token_url": "https://login/token"}
    found = Cluster.of(settings(kafka_sasl_mechanism="OAUTHBEARER", **login, **url))
    assert found.options["security_protocol"] == "SASL_SSL"
    assert "s3cret" not in repr(found) + repr(found.options)


async def test_msk_without_region_or_library_is_one_sentence(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    tokens = Cluster.of(settings(kafka_sasl_mechanism="AWS_MSK_IAM")).options[
        "sasl_oauth_token_provider"
    ]
    with pytest.raises(TokenError, match="AWS_MSK_IAM needs a region: set AWS_REGION"):
        await tokens.token()
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    with pytest.raises(TokenError, match=r"run `pip install -r requirements-msk\.txt`"):
        await msk_iam("eu-west-1")()


async def test_msk_token_is_signed_for_the_brokers_region(monkeypatch):
    pytest.importorskip("aws_msk_iam_sasl_signer")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    broker = "SASL_SSL://b-1.shop.x1.c2.kafka.eu-west-1.amazonaws.com:9098"
    found = Settings(
        DATABASE_URL="mysql://u:p@db/d", kafka_url=broker, kafka_sasl_mechanism="AWS_MSK_IAM"
    )
    options = Cluster.of(found).options
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    token = await options["sasl_oauth_token_provider"].token()
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    signed = parse_qs(url.query)
    assert url.hostname == "kafka.eu-west-1.amazonaws.com"
    assert signed["Action"] == ["kafka-cluster:Connect"]
    assert signed["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")
    assert "s3cret" not in token + url.query
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(TokenError, match=r"AWS gives no credentials for Kafka \(\w+\): set AWS_A"):
        await msk_iam("eu-west-1")()


def test_passwords_and_tokens_are_in_no_debug_log():
    code = (
        "import logging; from source import patches; patches.install();"
        "logging.basicConfig(level='DEBUG');"
        "print(logging.getLogger('aiokafka.conn').isEnabledFor(logging.DEBUG))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
