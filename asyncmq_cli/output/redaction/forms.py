"""Find secrets by their form anywhere in a text: provider keys, tokens, PEM, passwords in URLs.

Each pattern is bounded, or can only start where none of its own letters precede it, so that no text is
scanned twice.
"""

from __future__ import annotations

import base64
import binascii
import re

from asyncmq_cli.output.redaction.names import REDACTED

_W = "A-Za-z0-9_-"
# The providers publish these prefixes for secret scanners.
_PROVIDERS = re.compile(
    rf"""(?<![.{_W}])(?:
    (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16}}                               # AWS key ids
    |gh[pousr]_[A-Za-z0-9]{{16,}}|github_pat_[A-Za-z0-9_]{{16,}}        # GitHub
    |gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|ffct)-[{_W}]{{16,}}       # GitLab
    |xox[abceoprs]-[A-Za-z0-9-]{{10,}}|xapp-[0-9]-[A-Za-z0-9-]{{10,}}    # Slack
    |(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9]{{10,}}                  # Stripe
    |sk-(?=[A-Za-z_-]{{0,48}}[0-9])[{_W}]{{16,}}                        # OpenAI, Anthropic
    |AIza[{_W}]{{30,}}|ya29\.[{_W}]{{20,}}|GOCSPX-[{_W}]{{20,}}          # Google
    |npm_[A-Za-z0-9]{{30,}}|pypi-[{_W}]{{30,}}|rubygems_[0-9a-f]{{40,}}|dckr_pat_[{_W}]{{20,}}
    |SG\.[{_W}]{{16,64}}\.[{_W}]{{16,}}                                 # SendGrid
    |SK[0-9a-f]{{32}}                                                   # Twilio
    |hf_[A-Za-z0-9]{{30,}}                                              # Hugging Face
    |hv[sbr]\.[{_W}]{{20,}}                                             # Vault
    |do[opr]_v1_[0-9a-f]{{40,}}                                         # DigitalOcean
    |dapi[0-9a-f]{{32}}                                                 # Databricks
    |shp(?:at|ca|pa|ss)_[0-9a-fA-F]{{32}}                               # Shopify
    |sq0[a-z]{{3}}-[{_W}]{{20,}}                                        # Square
    |(?:lin_api|figd|pscale_(?:pw|tkn|oauth)|gls[ac]|sntrys|phc)_[{_W}]{{20,}}
    |NRAK-[A-Z0-9]{{20,}}|ATATT3[={_W}]{{20,}}|AGE-SECRET-KEY-1[A-Z0-9]{{40,}}|key-[0-9a-f]{{32}}
    |[0-9]{{8,10}}:AA[{_W}]{{30,}}                                      # Telegram
    |eyJ[{_W}]{{8,}}\.[{_W}]{{8,}}(?:\.[{_W}]*)*                        # JSON web tokens
    )""",
    re.VERBOSE,
)
_SIGNS = (
    *("AKIA", "ASIA", "ABIA", "ACCA", "gh", "gl", "xox", "xapp-", "k_", "whsec_", "sk-", "AIza", "ya29."),
    *("GOCSPX-", "npm_", "pypi-", "rubygems_", "dckr_", "SG.", "SK", "hf_", "hv", "_v1_", "dapi", "shp"),
    *("sq0", "lin_api_", "figd_", "pscale_", "sntrys_", "phc_", "NRAK-", "ATATT3", "AGE-", "key-", ":AA"),
    "eyJ",
)
# A token after its scheme must contain a digit: `Bearer authentication failed` is prose.
_SCHEMED = re.compile(
    rf"(?<![{_W}])(?P<scheme>Bearer|Basic|SSWS|ApiKey|Bot|Token)(?P<gap>(?:[ \t]|%20|\+)"
    r"(?:[ \t]){0,8})(?P<token>[A-Za-z0-9._~+/%-]{6,}={0,2})",
    re.IGNORECASE,
)
_SCHEMES = ("bearer", "basic", "ssws", "apikey", "bot ", "token")
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,64}-----")
_PEM_BODY = re.compile(r"[A-Za-z0-9+/=\s\\]*")
_SIGNED = re.compile(
    r"(?P<before>(?:[?&;](?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|sig|signature|code|key)"
    r"|,[ ]?signature)=)"
    r"(?P<value>[A-Za-z0-9%/+_.~-]{16,}={0,2})",
    re.IGNORECASE,
)

_DIGEST = re.compile(r"(?P<before>(?<![A-Za-z0-9_])response=[\"']?)[A-Za-z0-9]{6,}", re.IGNORECASE)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z")
# Characters that cannot be in the part of a URL before its `@`.
_NOT_IN_USERINFO = re.compile(r"""[\s"]|:\\?/\\?/|</|'[,)\]};]""")
_AUTHORITY = re.compile(r":\\?/\\?/")
# A text that begins like a port and a path is assumed to be these.
_PORT = re.compile(r"[0-9]{1,5}[/?#]")
# A URL at the end of a text may have been cut off before its `@`: whatever cannot be a port is a password.
_CUT_OFF = re.compile(
    r""":\\?/\\?/[^\s:@/?\#"'\[\]]{0,256}:(?P<value>(?!(?:[0-9]{0,5}|port)(?:[/?\#]|["']?\Z))[^\s@"'<>{}]{1,4000}\Z)""",
    re.IGNORECASE,
)
_MYSQL_DSN = re.compile(r"(?P<before>(?<![\w.-])[\w.-]{1,64}:)[^\s:@/\"']{1,256}(?=@(?:tcp|unix)\()")
# Users or passwords in a URL that mean that the other of the two is the secret.
_EMPTY_PASSWORDS = ("", "x", "x-oauth-basic", "api_token")
_LONG_USER = 20


def without_pem(text: str) -> str:
    """`text` without private keys: everything between the two PEM lines is replaced, also if the end is cut
    off."""
    if "PRIVATE KEY" not in text:
        return text
    pieces: list[str] = []
    done = 0
    while found := _PEM.search(text, done):
        following = _PEM.search(text, found.end())
        end = _PEM_END.search(text, found.end(), following.start() if following else len(text))
        body = _PEM_BODY.match(text, found.end())
        pieces += text[done : found.start()], REDACTED
        done = end.end() if end else body.end() if body else found.end()
    return "".join([*pieces, text[done:]])


def without_known_forms(text: str) -> str:
    """`text` without the secrets that can be recognised by their form."""
    if "@" in text and _AUTHORITY.search(text):
        text = without_url_passwords(text)
    if ":/" in text or ":\\/" in text:
        text = _without_cut_off(text)
    if "@tcp(" in text or "@unix(" in text:
        text = _MYSQL_DSN.sub(rf"\g<before>{REDACTED}", text)
    if any(sign in text for sign in _SIGNS):
        text = _PROVIDERS.sub(REDACTED, text)
    if "=" in text:
        text = _SIGNED.sub(rf"\g<before>{REDACTED}", text)
    lower = text.lower()
    if "digest" in lower and "response=" in lower:
        text = _DIGEST.sub(rf"\g<before>{REDACTED}", text)
    if any(scheme in lower for scheme in _SCHEMES):
        text = _SCHEMED.sub(_schemed, text)
    return text


def _schemed(found: re.Match[str]) -> str:
    scheme, token = found["scheme"], found["token"]
    if scheme.lower() == "basic":
        secret = _holds_a_colon(token)
    elif scheme.lower() in ("bot", "token", "apikey"):
        # These schemes also occur in prose, so the token must meet more conditions.
        secret = len(token) >= 16 and any(char.isdigit() for char in token)
    else:
        secret = any(char.isdigit() for char in token) or len(token) >= 32
    return f"{scheme}{found['gap']}{REDACTED}" if secret else found[0]


def _holds_a_colon(token: str) -> bool:
    """Whether the token decodes to `user:password`, as in HTTP basic authentication."""
    start = token[:256]
    try:
        return b":" in base64.b64decode(start + "=" * (-len(start) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def without_url_passwords(text: str) -> str:
    """`text` without the passwords in its URLs, whatever their characters are, and without tokens that are
    used as the user. The word PASSWORD is kept, because it appears in explanations of the form of a URL."""
    pieces: list[str] = []
    done = end = 0
    while found := _AUTHORITY.search(text, end):
        start = found.end()
        limit = _NOT_IN_USERINFO.search(text, start)
        end = limit.start() if limit else len(text)
        at = text.rfind("@", start, end)
        if at >= 0 and _SCHEME.search(text, max(done, found.start() - 31), found.start()):
            shown = _userinfo(text[start:at])
            if shown is not None:
                pieces += text[done:start], shown
                done = at
    return "".join([*pieces, text[done:]])


def _without_cut_off(text: str) -> str:
    start = max(text.rfind("://"), text.rfind(":\\/\\/"))
    found = _CUT_OFF.match(text, start) if start >= 0 else None
    if found is None or not _SCHEME.search(text, max(0, start - 31), start):
        return text
    return text[: found.start("value")] + REDACTED


def _userinfo(given: str) -> str | None:
    """The text to show before the `@`, or None if this is no user and password."""
    user, colon, password = given.partition(":")
    if any(char in user for char in "/?#"):
        # The `@` is in the path, the query or the fragment.
        return None
    if not colon:
        return REDACTED if _is_token(user) else None
    if _PORT.match(password):
        return None
    return _shown(user, password)


def _shown(user: str, password: str) -> str:
    if password == "PASSWORD":  # noqa: S105
        return f"{user}:{password}"
    hidden = REDACTED if _is_token(user) or (password in _EMPTY_PASSWORDS and len(user) > 8) else user
    return f"{hidden}:{REDACTED if password else ''}"


def _is_token(user: str) -> bool:
    if _PROVIDERS.fullmatch(user):
        return True
    return len(user) >= _LONG_USER and any(char.isdigit() for char in user) and "." not in user
