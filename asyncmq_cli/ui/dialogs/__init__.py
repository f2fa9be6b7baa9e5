"""Dialogs on top of a page: small questions, the palette, and the dialog of a change."""
