"""A search: what it varies, by which rules, and whether these fit together."""
