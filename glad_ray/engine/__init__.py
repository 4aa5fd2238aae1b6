"""The engine: a plan's units of work, one after another in this process or on Ray."""
