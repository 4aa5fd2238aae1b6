"""`python -m glad_ray` is the command `glad-ray`."""

from glad_ray.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
