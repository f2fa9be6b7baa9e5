"""A second client: PINGs without a pause until its standard input ends, then says how long it waited.

`python -I -S bystander.py SOCKET` prints the number of PINGs, and the 99.9th percentile and the
longest of the waits in seconds.
"""

import select
import socket
import sys
import time


def main() -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    waits = []
    while not select.select([sys.stdin], [], [], 0.0005)[0]:
        asked = time.perf_counter()
        connection.sendall(b"PING\r\n")
        answer = connection.recv(64)
        waits.append(time.perf_counter() - asked)
        if answer != b"+PONG\r\n":
            sys.exit(f"unexpected answer {answer!r}")
    waits.sort()
    sys.stdout.write(f"{len(waits)} {waits[int(len(waits) * 0.999)]} {waits[-1]}\n")


main()
