"""Find values that are assigned to names of secrets in texts: source code, headers, SQL, command lines, XML,
YAML, JSON.

A text may be large and hostile, so it is scanned once, from name to name. The context that is read around a
name is bounded, or is not read a second time.
"""

from __future__ import annotations

import re
from functools import lru_cache

from asyncmq_cli.output.redaction.names import (
    FIELDS,
    REDACTED,
    also_redacted,
    is_class_of_errors,
    is_secret_name,
    word_set,
    words_of,
)

_TRIGGERS = (
    r"authorization|credential|passw|passphrase|passcode|pass(?![a-z])|pwd|pswd|secret|token|cookie|sess|auth"
    r"|key|jwt|card|cvv|cvc|otp|ssn|csrf|xsrf|bearer|connection[_-]?string|security[_ -]code"
    r"|(?<![A-Za-z0-9])pw(?![a-z])|(?<![A-Za-z])pin(?![a-z])|(?:recovery|backup|mfa|verification)[_ -]?codes?"
)
_LONGEST_NAME = 64
_BEFORE = re.compile(r"[A-Za-z0-9_-]*\Z")
# A name of several words separated by spaces, as in prose: `API key: …`.
_SPACED_BEFORE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:api|access|private|signing|secret|encryption|card|session|client) \Z",
    re.IGNORECASE,
)
_REST = re.compile(r"[A-Za-z0-9_-]{0,64}(?: (?:id|number|key|code)\b)?", re.IGNORECASE)

_QUOTE = re.compile(
    r"""\\*["']|&quot;|&apos;|&#0?3[49];|\\{1,8}u002[27]|\\{1,8}x2[27]|%2[27]""", re.IGNORECASE
)
_TYPE = (
    r"(?:[a-z]{1,10}\.)?(?:str|bytes|int|Any|any|Optional|Union|SecretStr|SecretBytes|Final|ClassVar|Annotated|Text"
    r"|string|String|Literal|Sequence|Mapping|object|list|List|dict|Dict|tuple|Tuple)"
)
_SIGN = re.compile(
    rf"""(?P<closed>\]?\)?)\s*
    (?:(?P<typed>:[ ]*["']?{_TYPE}
        (?:\[[^\]\n]{{0,60}}\]{{1,3}})?(?:[ ]*\|[ ]*[\w.]{{1,30}}){{0,4}}["']?[ ]*=(?!=))
      |(?P<sign>=>|:=|!=|={{1,3}}|:|%3D|%3A)
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_COMMA = re.compile(r"\s*,\s*[bfru]{0,2}(?=\\*[\"'])", re.IGNORECASE)
_OPENS_PAIR = re.compile(r"[(\[]\s{0,4}[bfru]{0,2}\Z", re.IGNORECASE)
_CLOSES_PAIR = re.compile(r"\s{0,4}[\])]")
_PREFIX = re.compile(r"[bfru]{1,2}(?=[\"'])", re.IGNORECASE)
_GAP = re.compile(r"[ \t]+")
_GAP_AND_QUOTE = re.compile(r"[ \t]+(?=')")
_CALL = re.compile(r"\([bfru]{0,2}(?=[\"'])", re.IGNORECASE)
_WRAPPER = re.compile("Secret(?:Str|Bytes)?")
_OPENS_ELEMENT = re.compile(r"<(?:[A-Za-z][\w.-]{0,30}:)?\Z")
_REST_OF_TAG = re.compile(r"(?:\s[^<>]{0,300})?>")
_CDATA = "<![CDATA["

_PLAIN = re.compile(r"""(?:[^\s"',;&()\[\]{}<]|["'](?=\w))*""")
_TO_SEMICOLON = re.compile(r"[^;\r\n]*")
_NOTHING = re.compile(r"(?:None|null|nil|True|False|true|false)(?![\w.(\[-])")
_BRACKET_OR_QUOTE = re.compile(r"""["'()\[\]{}]""")
_COOKIES = re.compile(r"""[^\s=;"'<>]{1,256}(?:;[^\r\n"'<>=]{0,256})?=[^\r\n"'<>]*""")
_MORE_COOKIES = re.compile(r"""[^\s"',;&()\[\]{}<>]*(?:;[^\r\n"'<>=]{0,256}=[^\r\n"'<>]*)?""")
"""The rest of a list of cookies after the first cookie, which is already redacted."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}[ \t]+(?=[^\s\"',;&)}\]])")
_PEM = re.compile(r"-----BEGIN [^-]*-{5,}[^-]*(?:-----END [^-]*-{5,})?")
_BEFORE_SECRETS = ("bearer", "basic", "token", "digest", "negotiate", "-----begin")
_PARAMETERS = re.compile(
    r"""(?:[ \t]*,[ \t]*)?[A-Za-z][\w-]{0,40}=(?:\\*"[^"\r\n]{0,4000}"|[^\s,"']*)""", re.VERBOSE
)
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[+-]?[ \t]*(?:#[^\n]*)?(?=\n)")
_LINE = re.compile(r"\n(?P<indent>[ \t]*)(?P<text>[^\n]*)")
_INDENT = re.compile(r"[ \t]*(?:- )?")
_PROSE = word_set(
    "to is was are or and option flag must argument arguments requires required needs for not if in the a "
    "an with has cannot can should may might will does on of as at by from"
)
_UNEXPECTED = re.compile(r"(?:unexpected|invalid|illegal|expected|unknown|near|bad) \Z", re.IGNORECASE)
# A phrase after the name, as in `password for user bob: …`.
_OWNER = re.compile(r"[ ](?:for|of)(?:[ ][^\s:=]{1,64}){1,3}(?=[:=])", re.IGNORECASE)
_JOINED = re.compile(r"[A-Za-z0-9][_-][A-Za-z]")
_ONE_WORD = re.compile(r"[^\s\"',;&()\[\]{}<=:]{3,}")
_GAP_AND_ANY_QUOTE = re.compile(r"[ \t]+(?=[\"'])")
# If one of these words stands alone after the name of a token, it is not the token's value.
_STATUS_WORDS = word_set(
    "expired missing invalid required rejected revoked refused denied accepted ok failed found set unset "
    "empty changed wrong unknown none null true false valid mismatch here there now again"
)
_SQL_WORDS = ("password", "passwd", "passphrase", "pwd", "secret")
_HEADERS = ("authorization", "cookie")
_COUNT = re.compile(r"[0-9][0-9.,%]*(?![\w-])")
_PATH = re.compile(r"[/~]")


@lru_cache(maxsize=2)
def _names(also: tuple[tuple[str, ...], ...], *, is_ascii: bool) -> re.Pattern[str]:
    """The pattern of names. With `is_ascii`, it is for ASCII text in lower case, in which a search takes a
    quarter of the time."""
    added = "".join(f"|{'[_ -]?'.join(map(re.escape, words))}" for words in also)
    return re.compile(_TRIGGERS + added, 0 if is_ascii else re.IGNORECASE)


def without_assigned(text: str) -> str:
    """`text` with the values of secret names redacted."""
    pieces: list[str] = []
    done = position = 0
    is_ascii = text.isascii()
    names = _names(also_redacted(), is_ascii=is_ascii)
    searched = text.lower() if is_ascii else text
    while found := names.search(searched, position):
        start, end = _whole_name(text, found, done)
        position = max(end, found.end())
        name = text[start:end]
        if not is_secret_name(name):
            continue
        value = _value_behind(text, start, end, name)
        if value is None:
            continue
        begin, stop, shown = value
        pieces += text[done:begin], shown
        done = position = stop
    return "".join([*pieces, text[done:]])


def _whole_name(text: str, found: re.Match[str], least: int) -> tuple[int, int]:
    first = max(least, found.start() - _LONGEST_NAME)
    before = _BEFORE.search(text, first, found.start())
    start = before.start() if before else found.start()
    if spaced := _SPACED_BEFORE.search(text, max(least, start - 12), start):
        start = spaced.start()
    rest = _REST.match(text, found.end())
    return start, rest.end() if rest else found.end()


_Value = tuple[int, int, str]
"""The start and end of a value, and the text that replaces it."""


def _value_behind(text: str, start: int, end: int, name: str) -> _Value | None:
    if name.startswith("-") and (value := _of_option(text, start, end)):
        return value
    if element := _OPENS_ELEMENT.search(text, max(0, start - 33), start):
        return _of_element(text, end) if element else None
    quote = _QUOTE.match(text, end)
    after = quote.end() if quote else end
    sign = _SIGN.match(text, after)
    if sign is None and not quote and (owner := _OWNER.match(text, end)):
        sign = _SIGN.match(text, owner.end())
    if sign is None:
        if quote and (value := _of_pair(text, start, after)):
            return value
        return _of_sql(text, start, end, name) or (None if quote else _behind_blank(text, start, end, name))
    colon = sign["sign"] in (":", "%3A", "%3a")
    if colon and not quote and not _is_named_before_colon(text, start, name):
        return None
    return assigned(text, start, sign.end(), name, bare_colon=colon and not quote)


def _is_named_before_colon(text: str, start: int, name: str) -> bool:
    """Whether a name before a plain colon is that of a secret. It may also be prose or a class: `TokenError:
    no such user` and `InvalidToken: expired` are messages."""
    return not is_class_of_errors(name) and _UNEXPECTED.search(text, max(0, start - 12), start) is None


def assigned(text: str, start: int, at: int, name: str, *, bare_colon: bool) -> _Value | None:
    """The value that begins at `at` and whose name begins at `start`, or None."""
    words = words_of(name)
    if (prefix := _PREFIX.match(text, at)) is not None:
        at = prefix.end()
    if quote := _QUOTE.match(text, at):
        end, closing = _end_of_quoted(text, quote.end(), quote[0])
        return at, end, f"{quote[0]}{REDACTED}{closing}"
    if _NOTHING.match(text, at):
        return None
    if words[-1] in ("pwd", "oldpwd") and _PATH.match(text, at):
        # PWD is the shell's working directory.
        return None
    if bare_colon:
        if (block := _end_of_block(text, start, at)) > at:
            return at, block, REDACTED
        if words[-1] in ("pass", "auth") and _COUNT.match(text, at):
            return None
    if any(word in _HEADERS for word in words) and bare_colon:
        end = _end_of_header(text, at, is_cookie="cookie" in words)
    else:
        end = _end_of_plain(text, at, of_semicolons=_is_among_semicolons(text, start))
    return (at, end, REDACTED) if end > at else None


def _of_option(text: str, start: int, end: int) -> _Value | None:
    """The value of an option, as in `--password hunter2`, also if the two are elements of a list."""
    closing_quote = _QUOTE.match(text, end)
    if closing_quote and (comma := _COMMA.match(text, closing_quote.end())):
        quote = _QUOTE.match(text, comma.end())
        if quote is None:
            return None
        stop, closing = _end_of_quoted(text, quote.end(), quote[0])
        return comma.end(), stop, f"{quote[0]}{REDACTED}{closing}"
    gap = _GAP.match(text, end)
    if gap is None or text[gap.end() : gap.end() + 1] in ("-", "", "=", ":"):
        return None
    if quote := _QUOTE.match(text, gap.end()):
        stop, closing = _end_of_quoted(text, quote.end(), quote[0])
        return gap.end(), stop, f"{quote[0]}{REDACTED}{closing}"
    plain = _end_of_plain(text, gap.end())
    if plain == gap.end() or text[gap.end() : plain].lower().rstrip(".") in _PROSE:
        return None
    return gap.end(), plain, REDACTED


def _of_element(text: str, end: int) -> _Value | None:
    tag = _REST_OF_TAG.match(text, end)
    if tag is None or text[tag.end() - 2] == "/":
        return None
    begin = tag.end()
    if text.startswith(_CDATA, begin):
        stop = text.find("]]>", begin)
        stop = len(text) if stop < 0 else stop + 3
    else:
        stop = text.find("<", begin)
        stop = len(text) if stop < 0 else stop
    return (begin, stop, REDACTED) if text[begin:stop].strip() else None


def _of_pair(text: str, start: int, after: int) -> _Value | None:
    """The value in a pair of a name and a value, as in a header or a call: `("password", "…")`."""
    opened = start - 1 - (text[start - 2 : start - 1] == "\\")
    opening = _OPENS_PAIR.search(text, max(0, opened - 8), max(0, opened))
    comma = _COMMA.match(text, after)
    if opening is None or comma is None:
        return None
    quote = _QUOTE.match(text, comma.end())
    if quote is None:
        return None
    stop, closing = _end_of_quoted(text, quote.end(), quote[0])
    if opening[0][0] == "[" and not _CLOSES_PAIR.match(text, stop):
        # This is a list of names.
        return None
    if text[quote.end() : stop - len(closing)].lower() in FIELDS:
        return None
    return comma.end(), stop, f"{quote[0]}{REDACTED}{closing}"


def _of_sql(text: str, start: int, end: int, name: str) -> _Value | None:
    """The value in `WITH PASSWORD 'hunter2'`, and the argument of a call such as
    `set_password('hunter2')`."""
    if (call := _CALL.match(text, end)) and (words_of(name)[-1] in _SQL_WORDS or _WRAPPER.fullmatch(name)):
        quote = _QUOTE.match(text, call.end())
        stop, closing = _end_of_quoted(text, quote.end(), quote[0]) if quote else (call.end(), "")
        return call.end(), stop, f"{quote[0] if quote else ''}{REDACTED}{closing}"
    gap = _GAP_AND_QUOTE.match(text, end)
    if gap is None or name.lower() not in _SQL_WORDS:
        return None
    stop, closing = _end_of_quoted(text, gap.end() + 1, "'")
    return gap.end(), stop, f"'{REDACTED}{closing}"


def _behind_blank(text: str, start: int, end: int, name: str) -> _Value | None:
    """The value in `Token '…'` or `x-api-key …`, as headers and options appear in logs. A one-word name also
    occurs in prose, so its value must be quoted. The value of a longer name must look like a secret, or be
    alone on the line with its name."""
    if gap := _GAP_AND_ANY_QUOTE.match(text, end):
        if words_of(name)[-1] not in ("token", "key") or _UNEXPECTED.search(text, max(0, start - 12), start):
            return None
        opening = text[gap.end()]
        stop, closing = _end_of_quoted(text, gap.end() + 1, opening)
        return gap.end(), stop, f"{opening}{REDACTED}{closing}"
    gap = _GAP.match(text, end)
    value = _ONE_WORD.match(text, gap.end()) if gap and _JOINED.search(name) else None
    if value is None or text.startswith(REDACTED, value.start()):
        return None
    word = value[0].rstrip(".")
    is_alone = text[start - 1 : start] in ("", "\n") and text[value.end() : value.end() + 1] in (
        "",
        "\n",
        "\r",
    )
    is_word = word.lower() in _STATUS_WORDS or word.lower() in _PROSE
    if _is_random(word) or (is_alone and not is_word):
        return value.start(), value.end(), REDACTED
    return None


def _is_random(word: str) -> bool:
    """Whether the word is no word of a natural language: it has digits among letters, has many digits, or is
    very long."""
    digits = sum(letter.isdigit() for letter in word)
    if len(word) < 4 or not word.isascii():
        return False
    return 0 < digits < len(word) if any(map(str.isalpha, word)) else digits >= 6


def _end_of_quoted(text: str, start: int, opening: str) -> tuple[int, str]:
    """The end of a quoted value, and the quote that closes it. A value without a closing quote ends with the
    text. In JSON inside a JSON string, a closing quote has 1, 3, 7… backslashes, depending on the depth, and
    a quote inside the value has more.
    """
    if opening[-1] not in "\"'":
        end = text.find(opening, start)
        return (len(text), "") if end < 0 else (end + len(opening), opening)
    if opening in ('"', "'") and text.startswith(opening * 2, start):
        end = text.find(opening * 3, start + 2)
        return (len(text), "") if end < 0 else (end + 3, opening)
    level = len(opening) - 1
    position = start
    while (end := text.find(opening[-1], position)) >= 0:
        slashes = _slashes_before(text, position, end)
        if slashes < level:
            return end - slashes, ""
        if (slashes - level) % (2 * level + 2) == 0:
            return end + 1, opening
        position = end + 1
    return len(text), ""


def _end_of_plain(text: str, start: int, *, of_semicolons: bool = False) -> int:
    if text.startswith(REDACTED, start):
        start += len(REDACTED)
    if of_semicolons and text[start : start + 1] not in tuple("([{"):
        found = _TO_SEMICOLON.match(text, start)
        piece = found[0] if found else ""
        # The value ends at the quote after which the enclosing text continues.
        return start + len(re.split(r"[\"'](?![\w;])|\s\w+=", piece, maxsplit=1)[0])
    before = _PEM.match(text, start) or _SCHEME.match(text, start)
    if before and before[0].split()[0].lower() not in _BEFORE_SECRETS:
        before = None
    plain = _PLAIN.match(text, before.end() if before else start)
    end = plain.end() if plain else start
    while text[end : end + 1] in tuple("([{"):
        end = end_of_bracket(text, end)
        # A password may continue after a bracket.
        plain = _PLAIN.match(text, end)
        end = plain.end() if plain else end
    return end


def _is_among_semicolons(text: str, start: int) -> bool:
    """Whether the name belongs to a connection string: `Server=db;Pwd=…;`."""
    return text[max(0, start - 1) : start] == ";" or text[max(0, start - 2) : start] == "; "


def _end_of_header(text: str, start: int, *, is_cookie: bool) -> int:
    """The end of the secret part of a header's value: a scheme with its credentials, or all pairs of a
    cookie."""
    if text.startswith(REDACTED, start):
        more = _MORE_COOKIES.match(text, start + len(REDACTED)) if is_cookie else None
        return more.end() if more else _end_of_plain(text, start)
    if is_cookie:
        cookies = _COOKIES.match(text, start)
        return cookies.end() if cookies else _end_of_plain(text, start)
    scheme = _SCHEME.match(text, start)
    if scheme is None:
        return _end_of_plain(text, start)
    end = scheme.end()
    while found := _PARAMETERS.match(text, end):
        end = found.end()
    return end if end > scheme.end() else _end_of_plain(text, end)


def _end_of_block(text: str, start: int, at: int) -> int:
    """The end of the YAML block that begins at `at` or on the next line: all lines that are indented further
    than the name. It is `at` if there is no block."""
    if block := _BLOCK.match(text, at):
        line = block.end()
    else:
        line = text.rfind("\n", max(0, at - 200), at)
        if line < start or not text[line + 1 : at].isspace() or not text.startswith("- ", at):
            return at
        line = text.find("\n", start, at)
    begin = text.rfind("\n", max(0, start - 200), start) + 1
    margin = _INDENT.match(text, begin, start)
    most = len(margin[0]) if margin else 0
    end = line
    while found := _LINE.match(text, end):
        if found["text"] and len(found["indent"]) <= most:
            break
        end = found.end()
    return max(at, end)


def end_of_bracket(text: str, start: int) -> int:
    position, depth = start, 0
    while found := _BRACKET_OR_QUOTE.search(text, position):
        if found[0] in "\"'":
            quote = "\\" * _slashes_before(text, position, found.start()) + found[0]
            position, _ = _end_of_quoted(text, found.end(), quote)
            continue
        position = found.end()
        depth += 1 if found[0] in "([{" else -1
        if depth == 0:
            return position
    return len(text)


def _slashes_before(text: str, start: int, end: int) -> int:
    piece = text[start:end]
    return len(piece) - len(piece.rstrip("\\"))
