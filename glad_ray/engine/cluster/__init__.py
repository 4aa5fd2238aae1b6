"""The Ray cluster: found or started, joined, watched."""
