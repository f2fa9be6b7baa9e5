"""The values that pass between the layers. None of them knows Redis or a terminal.

Times are epoch seconds unless a name says otherwise. One module a subject, so that a command builds
only the classes that it uses.
"""
