"""The tool without the hash chain of the audit trail: what the chain costs is the difference.

Its scripts are ours, except that each event is an XADD alone: no head is read or written, no hash is made.
"""

from __future__ import annotations

import re
import sys
from functools import cached_property

from asyncmq_cli.__main__ import main
from asyncmq_cli.storage.write.scripts import Script

_RECORD = re.compile(r"^local function record\(.*?^end$", re.MULTILINE | re.DOTALL)
_RIGHTS_ON_HEAD = "ipairs({'GET', 'SET'})"
_PLAIN = """local function record(audit, maxlen, event)
  redis.call('XADD', audit, 'MAXLEN', '~', maxlen, '*', 'timestamp', server_time(), 'event', event)
end"""
_chained = Script.source.func


def _source(script: Script) -> str:
    text, replaced = _RECORD.subn(lambda _: _PLAIN, _chained(script))
    assert replaced == 1 and _RIGHTS_ON_HEAD in text
    return text.replace(_RIGHTS_ON_HEAD, "ipairs({})")


def without_chain() -> None:
    plain = cached_property(_source)
    plain.__set_name__(Script, "source")
    Script.source = plain


if __name__ == "__main__":
    without_chain()
    sys.argv[0] = "asyncmq"
    main()
