"""How the bundled parents were trained and measured."""
