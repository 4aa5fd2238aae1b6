"""Who may see the page: any program on this machine that names it so; from elsewhere, who knows the token."""

import re

import pytest

from glad_ray.errors import UserError
from glad_ray.plan import make_plan, write_plan
from glad_ray.serve.server import listen, make_access
from glad_ray.storage import Storage
from tests.report import sample
from tests.serve.serving import serving

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    storage = Storage.open(tmp_path_factory.mktemp("access"))
    write_plan(make_plan(sample.small_sweep()), storage)
    return storage


@pytest.fixture(scope="module")
def local(storage):
    with serving(storage) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(storage):
    with serving(storage, token=TOKEN) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:9", "[::1]:80", "localhost."])
def test_names_of_this_machine(local, host):
    assert local.ask("/1/", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "evil.example:8421", "10.0.0.1", ""]
)
def test_a_name_that_leads_here_from_elsewhere_is_refused(local, host):
    """DNS rebinding: a page of evil.example whose name has become 127.0.0.1 asks for what is here."""
    answer = local.ask("/1/", Host=host)
    assert answer.status == 403
    assert b"small" not in answer.body
    assert local.ask("/static/page.css", Host=host).status == 403


def test_without_the_token_nothing_is_told(guarded):
    for path in ("/", "/1/", "/1/runs", "/static/page.css", "/nothing"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "glad-ray-1=x"}, {"Authorization": TOKEN}):
            answer = guarded.ask(path, **headers)
            assert answer.status == 401
            assert b"small" not in answer.body
    assert guarded.ask(f"/1/?token={TOKEN}x").status == 401
    assert guarded.ask("/1/?token=").status == 401
    assert guarded.ask("/1/?token=%ed%b3%b6").status == 401


def test_the_token_leaves_the_address_for_a_cookie(guarded):
    answer = guarded.ask(f"/1/runs?state=planned&token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "./runs?state=planned")
    cookie = answer.headers["set-cookie"]
    assert re.search(r"httponly", cookie, re.IGNORECASE)
    assert re.search(r"samesite=lax", cookie, re.IGNORECASE)
    pair = cookie.partition(";")[0]
    assert pair == f"glad-ray-{guarded.port}={TOKEN}"
    assert guarded.ask("/1/runs", Cookie=pair).status == 200
    assert TOKEN not in guarded.ask("/1/runs", Cookie=pair).text


@pytest.mark.parametrize("path", ["/", "/1/", "//evil.example/", "/https:evil.example", "/1/a%0d%0aX: y"])
def test_the_way_on_with_a_token_leads_nowhere_else(guarded, path):
    answer = guarded.ask(f"{path.replace(' ', '%20')}?token={TOKEN}")
    assert answer.status == 303
    assert answer.headers["location"].startswith("./")
    assert "x" not in answer.headers


def test_the_token_as_a_header(guarded):
    assert guarded.ask("/1/", Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.ask("/1/", "POST", Authorization=f"Bearer {TOKEN}").status == 405


def test_elsewhere_than_on_this_machine_a_token_is_made():
    with listen("0.0.0.0", 0) as listening:
        first, second = (make_access(listening, "0.0.0.0", None) for _ in range(2))
        assert len(first.token) >= 24
        assert first.token != second.token
        assert first.hosts is None
    with listen("127.0.0.1", 0) as listening:
        assert make_access(listening, "127.0.0.1", None).token is None


@pytest.mark.parametrize("token", ["short", "with a space in its middle", "x" * 15, "ü" * 20, "a;b" * 8])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token):
    with listen("127.0.0.1", 0) as listening, pytest.raises(UserError, match="at least 16 characters"):
        make_access(listening, "127.0.0.1", token)
