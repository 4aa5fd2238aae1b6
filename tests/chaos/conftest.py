from tests.engine.conftest import view  # noqa: F401
