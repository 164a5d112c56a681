"""`python -m inference` runs the worker."""

from inference.server import main

main()
