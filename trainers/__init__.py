"""Trainers of AutoThink models, on snapshots: `python -m trainers.<name> CONFIG.yaml`.

They read folders and need no database. Nothing is reported to anybody: the libraries' telemetry is off.
"""

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("WANDB_MODE", "disabled")
