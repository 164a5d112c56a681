"""The inference process: loads models by digest, makes images step by step, and lets nothing out unchecked.

It knows neither database nor people. All it is told arrives through `inference.contract`.
"""
