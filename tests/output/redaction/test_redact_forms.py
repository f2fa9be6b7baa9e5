# ruff: noqa: E501 - a form stands on one line
"""Each form of a secret that docs/security.md promises to redact, and text that stays readable.

In each text, `hunter2` is the secret; or the text ends in `|`, and everything before it is one.
"""

from __future__ import annotations

from typing import Any

import pytest

from asyncmq_cli.output.redaction.redact import REDACTED, is_secret_name, redact, redact_also, redact_text

FORMS: dict[str, tuple[str, ...]] = {
    "JSON in texts": (
        'body={\\"token\\": \\"hunter2\\"}',
        '{\\\\\\"password\\\\\\": \\\\\\"hunter2\\\\\\"}',
        "{\\u0022password\\u0022:\\u0022hunter2\\u0022}",
        "{&quot;password&quot;:&quot;hunter2&quot;}",
        "%22password%22%3A%22hunter2%22",
        "password%3Dhunter2",
        'b\'{"password":"hunter2"}\'',
        "b'{\\'password\\': \\'hunter2\\'}'",
        "{\\x22password\\x22:\\x22hunter2\\x22}",
    ),
    "PEM": (
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,ABC\n\nhunter2\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter2\n-----END PGP PRIVATE KEY BLOCK-----",
    ),
    "SQL": (
        "CREATE USER bob WITH PASSWORD 'hunter2'",
        "CREATE USER bob IDENTIFIED BY 'hunter2'",
        "ALTER USER bob PASSWORD 'hunter2'",
        "SET PASSWORD = 'hunter2'",
        "SELECT 1 FROM u WHERE password = 'hunter2'",
        "SET PASSWORD FOR 'u'@'h' = PASSWORD('hunter2')",
        "INSERT INTO users (name, password) VALUES ('bob', 'hunter2')",
        "[SQL: INSERT INTO users (name, password) VALUES (%s, %s)]\n[parameters: ('bob', 'hunter2')]",
        "[SQL: UPDATE users SET password=%s]\n[parameters: ('hunter2', 1)]",
        "DETAIL:  Key (email, token)=(a@b, hunter2) already exists.",
    ),
    "URLs": (
        "https://bob:hun/hunter2@host/x",
        "https://bob:hun#hunter2@host/x",
        "https://bob:hun'hunter2@host/x",
        "https://ghp_hunter2hunter2hunter2@github.com/x",
        "https://hunter2abcdefabcdefabcdefabcdef12:x-oauth-basic@github.com",
        "https://hunter2abcdefabcdef0123456789@sentry.io/1",
        "postgresql+psycopg2://u:hunter2@h/db",
        "amqp://u:p@hunter2@h",
        "redis://:hunter2@h",
        "redis:\\/\\/u:hunter2@h",
        "bob:hunter2@tcp(127.0.0.1:3306)/db",
        "mongodb+srv://u:hunter2@h/x?y=z",
        "https://x-access-token:hunter2@github.com",
        "redis://u:hun?hunter2@h",
        '{"id": "x", "url": "postgres://user:hunter2-S3CR3T',
        "postgres:\\/\\/user:hunter2/",
        "jdbc:mysql://h/db?user=a&password=hunter2",
        "https://s3/x?X-Amz-Credential=hunter2abcdefghijk%2F2&X-Amz-Signature=hunter2abcdefabcdefabcdef",
        "https://x.blob/?sv=1&sig=hunter2abcdefghijklmnop%3D",
        "GET /?token=hunter2&n=1",
        "?access_token=hunter2&x",
    ),
    "XML": (
        "<password>hunter2</password>",
        '<wsse:Password Type="x#PasswordText">hunter2</wsse:Password>',
        "<ns1:apiKey>hunter2</ns1:apiKey>",
        "<password><![CDATA[hunter2]]></password>",
        '<user password="hunter2"/>',
        "<secret>\n  hunter2\n</secret>",
    ),
    "YAML": (
        "password: |\n  hunter2\n  hunter2\nnext: 1",
        "  private_key: >-\n    hunter2\n    hunter2\n  x: 1",
        "password:\n  - hunter2\n  - b",
        "tokens:\n  - hunter2",
        "secret: >\n    hunter2",
        "db:\n  password:\n    hunter2",
    ),
    "by name": (
        "pwd = 'hunter2'",
        "passphrase=b'hunter2'",
        "password: hunter2",
        'passwd: "hunter2"',
        "pwd=hunter2",
        "pass=hunter2",
        "passphrase: hunter2",
        "session_id=hunter2",
        "sessionid: hunter2",
        "cookie=hunter2",
        "access_key=hunter2",
        "signing_key: hunter2",
        "jwt=hunter2",
        "card_number=hunter2",
        '"pwd": "hunter2"',
        '"pass": "hunter2"',
        "'session_id': 'hunter2'",
        '"cookie": "hunter2"',
        '"auth": "hunter2"',
        '"access_key": "hunter2"',
        '"signing_key": "hunter2"',
        '"jwt": "hunter2"',
        '"card_number": "hunter2"',
        "cvv=hunter2",
        "API key: hunter2",
        "Access Key = hunter2",
        "card number: hunter2",
        "session id: hunter2",
        "client secret: hunter2",
        "token=hunter2",
        "refresh_token: hunter2",
        "export PASSWORD=hunter2",
        "pin=hunter2",
        "card_pin: hunter2",
        '"pin": "hunter2"',
        "Password for user bob: hunter2",
        "password for bob: hunter2",
        "token of the service a: hunter2",
    ),
    "command lines": (
        "Command '['mysqldump', '-uroot', '-phunter2', 'db']' returned non-zero exit status 2.",
        "Command '['psql', '--password', 'hunter2']' returned non-zero exit status 1.",
        "Command 'mysql -u root -phunter2 db' returned non-zero exit status 1.",
        "Command 'tool --password hunter2' returned non-zero",
        "Command '['tool', '--password=hunter2']' returned",
        "tool --api-key hunter2 --x",
        "sshpass -p hunter2 ssh x",
        "redis-cli -a hunter2 PING",
        "curl -u bob:hunter2 https://x",
        "Command '['curl', '-u', 'bob:hunter2', 'https://x']' returned non-zero exit status 22.",
        "Command '['mytool', '-phunter2']' died with <Signals.SIGKILL: 9>.",
        "docker login -u bob -p hunter2 reg",
        "mysql -phunter2",
        "mysql -p'hunter2' db",
        '--token "hunter2"',
        "--secret='hunter2'",
        "['tool', '--token', 'hunter2']",
        "machine x login bob password hunter2",
    ),
    "connection strings": (
        "Server=db;User Id=sa;Pwd=hunter2;",
        "Server=db;Uid=sa;Password=hunter2",
        "Driver={ODBC};PWD={hunter2;x};Server=a",
        "Server=db;Password=hun'hunter2(x;Database=y",
        "AccountKey=hunter2==;EndpointSuffix=core",
        "Data Source=x;User ID=sa;Password=my hunter2 pass;Pooling=false",
        "Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey=hunter2=",
    ),
    "headers": (
        'Digest username="bob", realm="x", response="hunter2"',
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=hunter2abcdefabcdefabcdef",
        "Bot hunter2hunter2hunter2",
        "Authorization: ApiKey hunter2",
        'Authorization: Digest username="bob", realm="x", response="hunter2"',
        "Authorization: SSWS hunter2",
        "Authorization: Bot hunter2",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAhunter2/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;range, Signature=hunter2",
        "Authorization: hunter2",
        "authorization=Bearer hunter2",
        "Proxy-Authorization: Basic hunter2",
        'Authorization: Token token="hunter2", email="a@b"',
        'Authorization: OAuth oauth_consumer_key="hunter2",oauth_token="hunter2"',
        "curl -H 'Authorization: ApiKey hunter2' https://x",
        "ApiKey: hunter2",
        "AccessToken: hunter2",
        "SecretAccessKey: hunter2",
        "X-Auth-Token: hunter2",
        "X-Api-Key: hunter2",
        "x-amz-security-token: hunter2",
        "Set-Cookie: session=hunter2; Path=/; HttpOnly",
        "Cookie: a=b; sid=hunter2; c=d",
        "cookie: sid=hunter2",
        "failed with Bearer hunter2hunter2",
        "sent Bearer eyJhbGciOi.hunter2.x9",
        "Bearer hunter2",
        "auth=hunter2",
        "Token hunter2hunter2hunter2",
        "Token 'hunter2'",
        'sent token "hunter2" twice',
        "x-api-key hunter2",
        "x-api-key\thunter2",
        "GET / x-auth-token hunter2 200",
        "access_token hunter2abc",
    ),
    "known by their form": (
        "AKIAIOSFODNN7EXAMPLE|",
        "ghp_0123456789abcdefghij0123456789abcdef|",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1|",
        "xoxb-123456789012-abcdef|",
        "sk_live_0123456789abcdef|",
        "sk-proj-abcdefGHIJ0123456789abcd|",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv|",
        "glpat-0123456789abcdefghij|",
        "SG.0123456789abcdefghij.0123456789abcdefghij|",
        "hf_abcdefghijklmnopqrstuvwxyz0123456789|",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789|",
    ),
    "name and value": (
        "name=password value=hunter2",
        '{"name": "password", "value": "hunter2"}',
        "{'name': 'DB_PASSWORD', 'value': 'hunter2'}",
        "Name: DB_PASSWORD, Value: hunter2",
        "- name: DB_PASSWORD\n  value: hunter2",
        '<add key="DbPassword" value="hunter2"/>',
        '<param name="password" type="text" value="hunter2"/>',
        '<input name="password" type="password" value="hunter2">',
        "<property><name>db.password</name><value>hunter2</value></property>",
        "<key>apiToken</key><string>hunter2</string>",
        "('password', 'hunter2')",
        "[('Authorization', 'Bearer hunter2')]",
        "[(b'authorization', b'Bearer hunter2')]",
        "['X-Api-Key', 'hunter2']",
        '[["password", "hunter2"]]',
    ),
    "pydantic": (
        "1 validation error for Login\npassword\n  String should have at least 12 characters [type=string_too_short, input_value='hunter2', input_type=str]",
        "1 validation error for A\n  Value error [type=value_error, input_value={'user': 'bob', 'passwo...d': 'hunter2'}, input_type=dict]",
        "input_value={'password': 'hunter2', 'n': 1}, input_type=dict",
        "1 validation error for A\ndb.api_key\n  Input should be a valid integer [type=int_parsing, input_value='hunter2', input_type=str]",
        "[{'type': 'x', 'loc': ('body', 'password'), 'msg': 'short', 'input': 'hunter2'}]",
    ),
    "source": (
        'os.environ["DB_PASSWORD"] = "hunter2"',
        "os.environ['DB_PASSWORD']='hunter2'",
        'password: str = "hunter2"',
        'def connect(host: str, password: str = "hunter2") -> None:',
        'password: Optional[str] = "hunter2"',
        'api_key: str | None = "hunter2"',
        "token: 'str' = 'hunter2'",
        'os.environ.setdefault("DB_PASSWORD", "hunter2")',
        'os.getenv("API_TOKEN", "hunter2")',
        'monkeypatch.setenv("SECRET_KEY", "hunter2")',
        'self.password = "hunter2"',
        "client = Client(api_key='hunter2', n=1)",
        'if password == "hunter2":',
        'if password != "hunter2":',
        'password := "hunter2"',
        'headers = {"Authorization": f"Bearer hunter2"}',
        'headers["X-Api-Key"] = "hunter2"',
        'requests.get(url, auth=("bob", "hunter2"))',
        'PASSWORD = """hunter2"""',
        "SecretStr('hunter2')",
        "user.set_password('hunter2')",
    ),
}
READABLE = (
    "f(a=1, key=some_long_identifier_name)",
    "token-refresh",
    "app.auth.password_reset",
    "task app.auth.password_reset failed",
    "app.auth.password_reset: done",
    "author: Ann",
    "author=Ann",
    '"author": "Ann"',
    '"passenger": "Bob"',
    '"pass_rate": 0.4',
    "pass_rate=0.4",
    "keyboard: us",
    "monkey=1",
    "KeyError: 'token'",
    "the password of bob has expired",
    "TokenError: no such user",
    "InvalidToken: expired",
    "AuthenticationError: wrong user",
    "5 passed, 1 failed",
    "pass: 5 fail: 3",
    "tokenizer: bert",
    "Bearer authentication failed",
    "basic auth required",
    "https://host:8080/token/refresh failed for bob@example.org",
    "https://medium.com/@user",
    "git@github.com:a/b.git",
    "ssh://git@github.com/a",
    "mkdir -p /tmp/x",
    "ssh -p 22 host",
    "Command '['mkdir', '-p', '/tmp/x']' returned non-zero exit status 1.",
    "Command '['docker', 'run', '-p8080:80']' returned non-zero exit status 1.",
    "Command '['find', '.', '-print']' returned non-zero exit status 1.",
    "PWD=/srv/app",
    "primary_key=5",
    "key: value",
    "cache_key=abc",
    "max_tokens=100",
    "name=bob value=3",
    "Key (email)=(a@b) already exists.",
    "INSERT INTO users (name) VALUES ('bob')",
    "password=None",
    "password: Optional[str] = None",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "password_reset=5",
    "Unexpected token: }",
    "<passenger>Bob</passenger>",
    '"authority": "x"',
    "oauth: ok",
    "public_key=abc",
    "token_count=5",
    "secretary: Ann",
    "route auth.login: 404",
    "the following arguments are required: --password",
    "https://example.org/a?email=a@b.c",
    "sk-learn-something-quite-long-here",
    "authenticated: yes",
    "token expired at 12:30",
    '  File "/app/auth.py", line 3, in login',
    "    return self.tokens.refresh(user)",
    "card: 4",
    "sessions: 4",
    "session started: ok",
    "see https://host:8080/a, or x@y",
    "see https://host:8080",
    "see https://host:8080/a/b:c",
    "http://[::1]:8080",
    "sqlite:///:memory:",
    "at redis://host:port",
    "https://host:",
    "std::vector<a>::b",
    "the token expired",
    "access_token expired",
    "refresh_token is missing",
    "the access_token has expired",
    "x-api-key missing",
    "api_key rejected by the server",
    "Unexpected token '}'",
    "near token 'FROM'",
    'password authentication failed for user "bob"',
    "wrong password for user bob",
    "session_id 5 not found",
    "['password', 'username']",
    "('password', 'email')",
    "spinning: 5",
    "pinned=3",
    "shipping: 5",
)
SECRET_NAMES = """
    password PASSWORD passwd pwd pass passphrase session_id sessionId cookie Set-Cookie cookies auth access_key jwt
    signing_key card_number cardNumber x_api_key api-key apikey API_KEY XApiKey clientSecret client_secret DB_PASS
    AWS_SECRET_ACCESS_KEY SecretAccessKey ApiKey AccessToken private_key privateKey db_pwd MYSQL_PWD PGPASSWORD
    smtp_pass passwordHash password_hash token2 refresh_token tokens csrf_token csrfmiddlewaretoken Authorization
    Proxy-Authorization X-Auth basic_auth http_auth credentials AccountKey SharedAccessKey encryption_key JSESSIONID
    PHPSESSID cvv cvc2 otp ssn password_reset_token new_password confirm_password password_confirmation
    secret_key_base SECRET_KEY ssh_key userpwd dbpass password_v2 tokenValue sessionid
""".split()  # noqa: SIM905
OTHER_NAMES = """
    author authority passenger pass_rate keyboard monkey key public_key primary_key cache_key idempotency_key
    routing_key password_reset token-refresh token_refresh token_count max_tokens prompt_tokens tokenizer secretary
    passes passed bypass compass keys cookie_domain token_type token_url password_policy TokenError session user card
    hash authenticated oauth auth_backend path compassion tokens_used passive number account app.auth.password_reset
""".split()  # noqa: SIM905


def reported(text: str) -> str:
    return text.encode("unicode_escape").decode()[:60]


@pytest.mark.parametrize("text", [text for texts in FORMS.values() for text in texts], ids=reported)
def test_a_secret_is_hidden_in_each_form(text: str) -> None:
    shown = redact_text(text)
    assert "hunter2" not in shown and REDACTED in shown
    assert not text.endswith("|") or shown == f"{REDACTED}|"
    assert redact_text(shown) == shown
    assert "hunter2" not in str(redact({"last_error": text, "args": [text], "kwargs": {"n": {"m": text}}}))


@pytest.mark.parametrize("text", READABLE, ids=reported)
def test_harmless_text_stays_readable(text: str) -> None:
    assert redact_text(text) == text
    assert redact({"task": text, "args": [text]}) == {"task": text, "args": [text]}


def test_names_are_judged_by_their_words() -> None:
    assert [name for name in SECRET_NAMES if not is_secret_name(name)] == []
    assert [name for name in OTHER_NAMES if is_secret_name(name)] == []


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_only_the_values_under_a_secrets_name_are_hidden(name: str) -> None:
    data: Any = {name: "hunter2", "n": 1, "deep": [{name: ["hunter2"]}]}
    assert redact(data) == {name: REDACTED, "n": 1, "deep": [{name: REDACTED}]}
    assert redact_text(f"failed: {name}=hunter2, n=1") == f"failed: {name}={REDACTED}, n=1"


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_values_under_another_name_are_shown(name: str) -> None:
    assert redact({name: "hunter2"}) == {name: "hunter2"}


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_PASSWORD", "value": REDACTED}),
        ({"Key": "api_key", "Value": "hunter2", "n": 1}, {"Key": "api_key", "Value": REDACTED, "n": 1}),
        ({"loc": ["body", "password"], "input": "hunter2"}, {"loc": ["body", "password"], "input": REDACTED}),
        ([["Authorization", "Bearer hunter2"]], [["Authorization", REDACTED]]),
        (["mysqldump", "-uroot", "-phunter2", "db"], ["mysqldump", "-uroot", REDACTED, "db"]),
        (["tool", "--password", "hunter2", "x"], ["tool", "--password", REDACTED, "x"]),
        (["tool", "--password=hunter2"], ["tool", f"--password={REDACTED}"]),
        (["curl", "-u", "bob:hunter2"], ["curl", "-u", REDACTED]),
        ({"a password=hunter2": 1}, {f"a password={REDACTED}": REDACTED}),
        ({"password": None, "has_password": True}, {"password": None, "has_password": True}),
        ({"PWD": "/srv/app", "pwd": "hunter2"}, {"PWD": "/srv/app", "pwd": REDACTED}),
        ({"name": "bob", "value": 3}, {"name": "bob", "value": 3}),
        (["password", "username"], ["password", "username"]),
        (["password", "hunter2"], ["password", REDACTED]),
        ({"pin": "1234", "pinned": True, "spin": 3}, {"pin": REDACTED, "pinned": True, "spin": 3}),
        (["mkdir", "-p", "a"], ["mkdir", "-p", "a"]),
        (["ssh", "-p", "22"], ["ssh", "-p", "22"]),
    ],
)
def test_a_secret_is_recognised_by_the_name_beside_it(data: Any, shown: Any) -> None:
    assert redact(data) == shown
    assert redact(shown) == shown


def test_names_can_be_added() -> None:
    data = {
        "customerIban": "DE1",
        "ibanez": "guitar",
        "note": "IBAN: DE1, national-id=7",
        "n": ["iban", "DE1"],
    }
    assert redact(data) == data
    redact_also(["iban", "national id"])
    try:
        assert redact(data) == {
            "customerIban": REDACTED,
            "ibanez": "guitar",
            "note": f"IBAN: {REDACTED}, national-id={REDACTED}",
            "n": ["iban", REDACTED],
        }
    finally:
        redact_also([])
    assert redact(data) == data
