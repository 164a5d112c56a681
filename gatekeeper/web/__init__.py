"""The doors' common ground: routing on the raw path, who is asking, the guard, and how answers look."""
