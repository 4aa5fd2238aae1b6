"""The engine: a plan's units of work, one after another in this process or on Ray, and what is seen of them.

Nothing is imported here, so that actors that need no PyTorch do not load it: three seconds and 300 MB each.
"""
