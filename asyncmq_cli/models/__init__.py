"""The values that pass between the layers. None of them knows Redis or the terminal.

Times are epoch seconds, unless a name says otherwise. There is one module per subject, so that a command
imports only the classes that it uses.
"""
