"""Published numbers and protocols, and the results that may stand beside them."""
