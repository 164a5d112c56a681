"""How the pages say things, by subject. `web.words` is where doors and templates find all of it."""
