"""Gatekeeper: a self-hosted model hub that releases generative models in stages."""

__version__ = "0.1.0"
