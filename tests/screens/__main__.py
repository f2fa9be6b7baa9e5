"""Write the expected screens again: `python -m tests.screens [NAME…]`."""

import sys

from asyncmq_cli.demo.server import PrivateRedis
from tests.screens.rendering import COMMANDS, KEPT, Production, rendered

with PrivateRedis() as server:
    shop = Production(server.url)
    for name in sys.argv[1:] or COMMANDS:
        for folder, text in rendered(shop, name).items():
            (KEPT / folder).mkdir(exist_ok=True)
            (KEPT / folder / f"{name}.txt").write_text(text)
