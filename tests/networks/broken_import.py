"""A module that cannot be imported."""

raise RuntimeError("the licence server\ndoes not answer")
