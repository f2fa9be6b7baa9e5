"""`python -m asyncmq_cli`, for machines where the name `asyncmq` is the library's."""

from asyncmq_cli.app import main

if __name__ == "__main__":
    main()
