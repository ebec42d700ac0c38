"""In place of Python's package `encodings` in the static launcher.

The codec registry imports that name when an error handler is first looked up ("strict" is one: bytes that are not
UTF-8).  UTF-8, Latin-1 and ASCII, all that pyrunc uses, are in the interpreter itself.
"""
