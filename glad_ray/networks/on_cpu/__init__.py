"""Layers in forms that a CPU computes fast: few passes through memory, and loops that use its vector units."""
