"""The data classes that the layers pass to each other. None of them depends on Redis or the terminal.

Times are epoch seconds, unless a name says otherwise. There is one module per subject, so that a command
imports only the classes that it uses.
"""
