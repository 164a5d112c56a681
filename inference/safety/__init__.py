"""The worker's own safety: prompt screening, steering away from harm, and the check of every image.

It belongs to the server, never to a model's repository. Each part fails closed: no answer means not released.
"""
