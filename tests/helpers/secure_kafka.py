"""Apache Kafka with a listener for each way of securing it, and an authorizer."""

from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from dev.servers.apache_kafka import ApacheKafka
from dev.servers.certificates import Authority
from dev.servers.processes import free_port
from tests.helpers.token_endpoint import AUDIENCE, ISSUER, TokenEndpoint

USER = "shop"
#: Looked for in logs, so it is no word that may be there anyway.
PASSWORD = "kafka-s3cret-of-the-tests"
#: A password as Azure Event Hubs gives it, of the user ``$ConnectionString``.
CONNECTION_STRING = (
    "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=worker;"
    "SharedAccessKey=s3cret+/of/the+tests="
)


class SecureKafka(ApacheKafka):
    """Its plain listener is for administration; ``port_of`` names the others.

    CLIENTS wants client certificates, LOGIN a SASL login in TLS, EXPIRED and ELSEWHERE have a
    certificate that is not valid any more, or is made out to another address.
    """

    LISTENERS: tuple[str, ...] = ("CLIENTS", "LOGIN", "EXPIRED", "ELSEWHERE")

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder)
        self._authority = authority
        self.port_of = {name: free_port() for name in self.LISTENERS}

    def tls_url(self, listener: str) -> str:
        """A listener's address as ``KAFKA_URL`` has it."""
        return f"kafka+ssl://127.0.0.1:{self.port_of[listener]}"

    def add_scram_user(self, mechanism: str, password: str = PASSWORD) -> None:
        """Give the user a password under SCRAM, or another one."""
        kind = getattr(ScramMechanism, mechanism.replace("-", "_"))
        info = ScramCredentialInfo(kind, 4096)
        change = UserScramCredentialUpsertion(USER, info, password.encode())
        admin = self._admin()
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(20)

    def allow(self, kind: str, name: str, user: str, right: str) -> None:
        """Grant a right on a topic or group; nobody without one may use it from now on."""
        grant = AclBinding(
            ResourceType[kind.upper()],
            name,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            AclOperation[right],
            AclPermissionType.ALLOW,
        )
        admin = self._admin()
        for future in admin.create_acls([grant]).values():
            future.result(20)

    def _settings(self) -> str:
        keys = {
            "CLIENTS": self._authority.issue("kafka"),
            "LOGIN": self._authority.issue("kafka"),
            "EXPIRED": self._authority.issue("kafka", days=-1),
            "ELSEWHERE": self._authority.issue("kafka", "192.0.2.1"),
        }
        trusted = self.folder / "trusted.pem"
        trusted.write_text(self._authority.pem)
        lines = [
            self._listeners(self.port_of),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SSL,"
            "LOGIN:SASL_SSL,EXPIRED:SSL,ELSEWHERE:SSL",
            "inter.broker.listener.name=PLAINTEXT",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={trusted}",
            "ssl.keystore.type=PEM",
            "listener.name.clients.ssl.client.auth=required",
            "listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.login.plain.sasl.jaas.config="
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_{USER}="{PASSWORD}";',
            *(
                f"listener.name.login.scram-sha-{bits}.sasl.jaas.config="
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                for bits in (256, 512)
            ),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found=true",
            "super.users=User:ANONYMOUS",
        ]
        for name, pair in keys.items():
            file = self.folder / f"{name}.pem"
            lines.append(f"listener.name.{name.lower()}.ssl.keystore.location={pair.write(file)}")
        return super()._settings() + "\n".join([*lines, ""])


class LoginKafka(SecureKafka):
    """Has further logins: OAUTH by tokens in TLS, and OPEN by passwords without TLS.

    Connections to both end after ``SESSION`` seconds, or with their token: clients log in again.
    """

    LISTENERS = (*SecureKafka.LISTENERS, "OAUTH", "OPEN")
    SESSION = 4

    def __init__(self, folder: Path, authority: Authority, endpoint: TokenEndpoint) -> None:
        super().__init__(folder, authority)
        self._endpoint = endpoint
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={endpoint.keys_url}"
        self.jvm_options = (*self.jvm_options, allowed)

    def _settings(self) -> str:
        oauth = "org.apache.kafka.common.security.oauthbearer"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        session = 1000 * self.SESSION
        key = self._authority.issue("kafka").write(self.folder / "OAUTH.pem")
        kinds = "LOGIN:SASL_SSL,"
        settings = super()._settings().replace(kinds, f"{kinds}OAUTH:SASL_SSL,OPEN:SASL_PLAINTEXT,")
        lines = [
            f"listener.name.oauth.ssl.keystore.location={key}",
            "listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class="
            f"{oauth}.OAuthBearerValidatorCallbackHandler",
            "listener.name.oauth.oauthbearer.sasl.jaas.config="
            f"{oauth}.OAuthBearerLoginModule required;",
            f"listener.name.oauth.oauthbearer.connections.max.reauth.ms={session}",
            f"sasl.oauthbearer.jwks.endpoint.url={self._endpoint.keys_url}",
            f"sasl.oauthbearer.expected.audience={AUDIENCE}",
            f"sasl.oauthbearer.expected.issuer={ISSUER}",
            "sasl.oauthbearer.clock.skew.seconds=0",
            "listener.name.open.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
            "listener.name.open.plain.sasl.jaas.config="
            f'{plain} required user_{USER}="{PASSWORD}" '
            f'user_$ConnectionString="{CONNECTION_STRING}";',
            f"listener.name.open.scram-sha-256.sasl.jaas.config={scram} required;",
            f"listener.name.open.scram-sha-256.connections.max.reauth.ms={session}",
        ]
        return settings + "\n".join([*lines, ""])
