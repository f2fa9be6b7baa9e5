"""Decide whether a name is that of a secret, for keys, variables, headers, options and elements.

A name is split into words (`dbPassword`, `DB_PASSWORD` and `db-password` have the same two words), so that
`pass_rate`, `author` and `keyboard` are not taken for secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

REDACTED = "[redacted]"


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LABELS = word_set(
    "name key field header param parameter variable var attribute attr option setting property label n k"
)
"""The keys of the name, in objects that have a name and a value as members."""
VALUES = word_set("value val content input data default string text v")

FIELDS = word_set(
    "username user_name user userid user_id login email mail name first_name last_name firstname lastname id "
    "host port database db url address phone role group"
)
"""Names of fields that often occur next to a password: in a list of two they are names, not values."""

# A name is that of a secret if it contains one of these, however its words are joined.
_ANYWHERE = re.compile(
    "authorization|credential|passw|passphrase|passcode|secret|token|cookie|sessionid|sessid|cardnumber"
    "|creditcard|connectionstring|(?:api|private|access|signing)key(?!error)"
)
_NOT_THESE = re.compile("secretar(?:y|ies|iat)|tokeni[sz]|cookiecutter")
# A name is that of a secret if its last word is one of these.
_LAST = word_set("pass pwd pw pswd psw auth jwt bearer cvv cvv2 cvc cvc2 otp totp ssn csrf xsrf passwort pin")
_LAST_PART = (
    "pwd",
    "authpass",
    "dbpass",
    "userpass",
    "rootpass",
    "adminpass",
    "smtppass",
    "sshpass",
    "mypass",
)
# A name that ends in `key` is that of a secret if one of these words is before it.
_KEYS = word_set(
    "account admin aes app application auth client consumer crypto decryption deploy encryption fernet "
    "hmac jwt license master rsa server service session shared sign ssh ssl storage tls webhook"
)
_PAIRS = frozenset(
    f"{first} {last}"
    for firsts, lasts in (
        ("card cc", "number no num nr pan"),
        ("security recovery backup mfa otp verification", "code codes"),
        ("session", "key"),
    )
    for first in firsts.split()
    for last in lasts.split()
)
# With these words after it, the name of a secret is still one: `password_hash`, `token2`, `pwd_new`.
_STILL = word_set(
    "value values hash hashed raw plain plaintext clear b64 base64 encoded encrypted enc str string text "
    "bytes new old current confirm confirmation repeat env var header param v"
)
# With these words after it, the name is harmless: `password_reset`, `token_count`, `cookie_domain`.
_NO_LONGER = word_set(
    "age algorithm at attempts backend bucket change changed class consent count created domain enabled "
    "error errors exists expired expires expiration expiry failed failure failures field fields form "
    "format handler httponly in invalid issuer job length lifetime limit limiter manager max middleware "
    "min missing mode model name names path policy provider queue rate refresh refreshed refresher "
    "renewal required requirements reset rotate rotated rotation samesite scope scopes secure service "
    "size status strength task tasks timeout ttl type types updated usage used valid validation validator "
    "verified version view mismatch denied required exception warning notfound"
)
_BEFORE_A_CLASS = word_set("invalid expired missing bad wrong unknown unexpected no incorrect weak illegal")
_AMOUNTS = word_set("max min num total n prompt completion input output cached reasoning used")
_URL_OF = re.compile("(?:token|authorization|credential|password|secret)s?(?:url|uri|endpoint)$")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# If case is ignored, these letters match `i`, `k` and `s`.
FOLDED = {"\u0130": "I", "\u0131": "i", "\u212a": "K", "\u017f": "s"}
_FOLD = str.maketrans(FOLDED)
_LONGEST = 256

_also: tuple[tuple[str, ...], ...] = ()


def redact_also(names: Iterable[str]) -> None:
    """Add names of secrets for this process. `iban` also matches `customerIban` and `IBAN`."""
    global _also
    _also = tuple(words for name in names if (words := words_of(name)))
    is_secret_name.cache_clear()


def also_redacted() -> tuple[tuple[str, ...], ...]:
    """The words of each name that was added by `redact_also`."""
    return _also


def words_of(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name if name.isascii() else name.translate(_FOLD)))


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a value with this name is a secret."""
    words = words_of(name[-_LONGEST:])
    if not words:
        return False
    if any(_is_within(also, words) for also in _also):
        return True
    squeezed = "".join(words)
    last = _last_but(words, lambda word: word.isdigit())
    if (last and last[-1] in _NO_LONGER) or _URL_OF.search(squeezed):
        return False
    if words[-1] == "tokens" and words[0] in _AMOUNTS:
        return False
    if _ANYWHERE.search(_NOT_THESE.sub("", squeezed)):
        return True
    ends = _last_but(words, lambda word: word.isdigit() or word in _STILL)
    return bool(ends) and _ends_as_a_secret(ends)


def is_class_of_errors(name: str) -> bool:
    """Whether a name before a colon is an exception class, such as `InvalidToken`, and not a header, such as
    `AccessToken`."""
    return words_of(name)[:1] != () and words_of(name)[0] in _BEFORE_A_CLASS


def _ends_as_a_secret(words: tuple[str, ...]) -> bool:
    last = words[-1].removesuffix("s") if words[-1] in ("pwds", "jwts", "otps") else words[-1]
    if last in _LAST or last.endswith(_LAST_PART):
        return True
    before = words[-2] if len(words) > 1 else ""
    return (last in ("key", "keys") and before in _KEYS) or f"{before} {last}" in _PAIRS


def _last_but(words: tuple[str, ...], is_passed_over: Callable[[str], bool]) -> tuple[str, ...]:
    end = len(words)
    while end and is_passed_over(words[end - 1]):
        end -= 1
    return words[:end]


def _is_within(part: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether `part` occurs in `words`, as consecutive words or written as one word."""
    size = len(part)
    return any(words[at : at + size] == part for at in range(len(words) - size + 1)) or "".join(part) in words
