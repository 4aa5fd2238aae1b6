"""A page on what sweeps and searches do, made from their storages alone and read again while somebody looks at it.

`watch.py` reads a storage, `results.py` its table; `views.py` chooses what a page shows, and `pages.py` makes HTML of
it; `app.py` has the addresses, `access.py` says who may ask, and `server.py` listens. Nothing here writes to a storage.
"""
