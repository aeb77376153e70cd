"""The application: what the command line and a notebook do with the other rooms."""
