"""What is known of a sweep or search while it runs and afterwards: events, counts, views, status, faults, its driver.

Neither Ray nor PyTorch is imported here: `glad-ray status` answers at once, on machines that have neither.
"""
