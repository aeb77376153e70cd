"""No test reaches a network; this stands before anything reads the hub's settings."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
