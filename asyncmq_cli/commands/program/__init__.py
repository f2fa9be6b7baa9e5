"""The commands about the program itself: its servers, its help, its documents, its screen and the demo."""
