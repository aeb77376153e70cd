"""How the bundled parents and the data of their tasks were made and measured."""
