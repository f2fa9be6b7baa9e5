"""Every pair of foreground and background colours is readable on usual light and dark terminals."""

from __future__ import annotations

from itertools import chain

import redis
from rich.color import ColorSystem
from rich.style import Style

from asyncmq_cli.demo.server import PrivateRedis
from tests.ui.stage import Stage, play

LEAST = 2.5
"""Contrast as WCAG computes it: what the yellow has on white that sixteen colours have for orange. All other
text has 2.9 or more."""
# Foreground, background, the eight colours, the eight bright ones, as the terminals come.
PALETTES = {
    "code dark": "cccccc 1e1e1e 000000 cd3131 0dbc79 e5e510 2472c8 bc3fbc 11a8cd e5e5e5"
    " 666666 f14c4c 23d18b f5f543 3b8eea d670d6 29b8db e5e5e5",
    "tango light": "2e3436 ffffff 2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf"
    " 555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec",
    "one half light": "383a42 fafafa 383a42 e45649 50a14f c18301 0184bc a626a4 0997b3 fafafa"
    " 4f525d df6c75 98c379 e4c07a 61afef c577dd 56b5c1 ffffff",
    "xterm dark": "e5e5e5 000000 000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5"
    " 7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff",
}


def colours_of(stage: Stage) -> set[tuple[str, str, str]]:
    """A text with its foreground and background colour; `default` is that of the terminal."""
    found = {}
    for line in stage.app.screen._compositor.render_strips():
        for part in line:
            style = part.style or Style()
            front, back = (
                "default"
                if one is None or one.is_default
                else str(one.downgrade(ColorSystem.STANDARD).number)
                for one in (style.color, style.bgcolor)
            )
            pair = (back, front) if style.reverse else (front, back)
            if part.text.strip(" ─│╭╮╰╯█▁▂▃▄▅▆▇▉▌▐├└"):
                found.setdefault(pair, part.text)
    return {(text, *pair) for pair, text in found.items()}


def contrast(front: str, back: str) -> float:
    light, dark = sorted((_luminance(front), _luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(shade: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in (each / 255 for each in bytes.fromhex(shade))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_can_be_read_on_light_and_dark_terminals(
    server: PrivateRedis, production: redis.Redis
) -> None:
    seen: list[set[tuple[str, str, str]]] = []

    async def story(stage: Stage) -> None:
        async def look(*keys: str, at: str) -> None:
            await stage.press(*keys)
            await stage.sees(at)
            seen.append(colours_of(stage))

        await look(at="> imports")
        await look("colon", at="Ctrl-Y copies")
        await look("escape", "f", at="Columns")
        await look("escape", "s", at="Sort by")
        await look("escape", "slash", at="rows that")
        await look("escape", "5", at="worker-1")
        await look("3", at="251 dead jobs")
        await look("t", at="Retry 251")
        await look("tab", "tab", "tab", "tab", at="Retry 251")
        await look("escape", "enter", at="of 100 jobs")
        await look("enter", at="Root cause:")
        await look("o", at="error {4}")
        await look("slash", at="a name or a value")

    play(server.url, story, size=(100, 30))
    for name, palette in PALETTES.items():
        default, behind, *shades = palette.split()
        for text, front, back in chain.from_iterable(seen):
            found = contrast(
                default if front == "default" else shades[int(front)],
                behind if back == "default" else shades[int(back)],
            )
            assert found >= LEAST, (name, text, front, back, round(found, 2))
