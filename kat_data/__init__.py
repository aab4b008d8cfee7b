"""KAT Data: verified, dual-mode training data for AutoThink models."""

__version__ = "0.1.0"
