"""How the bundled demo parents and their task data were made."""
