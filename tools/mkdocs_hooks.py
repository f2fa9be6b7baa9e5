"""A hook of MkDocs that adds the pages beside docs/, such as the CHANGELOG, to the site.

Links to them are written as the files lie in the repository, so that they also work there; the hook changes
them for the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md")

_UP = re.compile(rf"(\]\()\.\./({'|'.join(map(re.escape, BESIDE))})")
_DOWN = re.compile(r"(\]\()docs/")


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name in BESIDE:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_DOWN.sub(r"\1", text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return _UP.sub(r"\1\2", markdown)
