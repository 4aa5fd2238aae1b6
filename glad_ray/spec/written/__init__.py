"""What users write: sweep files, `--set key=value`, values and names of code in fields; and records as the Python that
makes them.
"""
