"""Where a study is kept: in a journal or a database; what else lies there is left as it is."""

import contextlib
import json
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from glad_ray.errors import UserError
from tests.engine.studies import (
    SEARCH,
    finish,
    keep,
    opened,
)


def test_a_database_keeps_a_study_too(storage, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    first = opened(SEARCH, storage, url)
    keep(storage, stop := first.next())
    again = opened(SEARCH, storage, url)
    stops = finish(again)
    assert stop not in stops
    assert again.winner is not None


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("mysql://reader:verysecret@localhost/x", "The study at mysql://reader:***@localhost/x cannot be opened"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("no such scheme://x", "no database's URL"),
        ("/proc/nowhere/study", "cannot be opened"),
    ],
)
def test_studies_that_cannot_be_opened_are_one_sentence(storage, where, sentence):
    with pytest.raises(UserError) as caught:
        opened(SEARCH, storage, where)
    assert sentence in str(caught.value)
    assert "verysecret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def sqlite_of(tables):
    def write(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            for table in tables:
                connection.execute(f"create table {table} (x)")
            connection.commit()

    return write


NO_JOURNALS = {
    "notes": lambda path: path.write_text("some\nnotes\n"),
    "one line": lambda path: path.write_text("some notes"),
    "json": lambda path: path.write_text(json.dumps({"a": 1})),
    "json lines": lambda path: path.write_text('{"op_code":"x"}\n{"a":1}\n'),
    "notes after a journal's beginning": lambda path: path.write_text('{"op_code":0,"worker_id":"x"}\nnotes'),
    "pickle": lambda path: path.write_bytes(b"\x80\x04\n\x00\x01"),
    "sqlite": sqlite_of(["studies"]),
}


@pytest.mark.parametrize("kind", NO_JOURNALS)
def test_a_file_that_is_no_journal_is_left_as_it_is(kind, storage, tmp_path):
    file = tmp_path / "file"
    NO_JOURNALS[kind](file)
    before = file.read_bytes()
    with pytest.raises(
        UserError, match="is a SQLite database" if kind == "sqlite" else "is no journal of a study"
    ) as caught:
        opened(SEARCH, storage, str(file))
    assert kind != "sqlite" or f"--study sqlite:///{file}" in str(caught.value)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "storage"]


def test_a_half_line_of_a_journal_of_others_is_left_as_it_is(storage, tmp_path):
    where = tmp_path / "study.journal"
    opened(SEARCH, storage, str(where))
    where.write_bytes(before := where.read_bytes() + b'{"op_code":4,"wor')
    with pytest.raises(UserError, match="ends in a half-written line, and has no study other"):
        opened(SEARCH.replace(name="other"), storage, str(where))
    assert where.read_bytes() == before
    opened(SEARCH, storage, str(where))
    assert all(json.loads(line) for line in where.read_bytes().splitlines())


def test_several_searches_may_share_a_journal(storage, tmp_path):
    where = str(tmp_path / "study.journal")
    for name in ("s", "t"):
        opened(SEARCH.replace(name=name), storage, where)


def test_a_study_of_another_program_is_left_as_it_is(storage, tmp_path):
    where = str(tmp_path / "study.journal")
    backend = JournalStorage(JournalFileBackend(where))
    theirs = optuna.create_study(study_name=SEARCH.name, storage=backend, direction="maximize")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    before = Path(where).read_bytes()
    with pytest.raises(UserError, match="was made by another program"):
        opened(SEARCH, storage, where)
    assert Path(where).read_bytes() == before


def test_a_database_of_other_things_is_left_as_it_is(storage, tmp_path):
    file = tmp_path / "places.db"
    sqlite_of(["places", "people"])(file)
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"holds other things than studies \(people, places\)"):
        opened(SEARCH, storage, f"sqlite:///{file}")
    assert file.read_bytes() == before
    opened(SEARCH, storage, f"sqlite:///{tmp_path / 'new.db'}")
    opened(SEARCH, storage, f"sqlite:///{tmp_path / 'new.db'}")


def test_a_file_in_the_way_of_the_lock_is_left_as_it_is(storage, tmp_path):
    mine = tmp_path / "poetry.lock"
    mine.write_text("mine")
    with pytest.raises(UserError, match="is in the way of the lock"):
        opened(SEARCH, storage, str(tmp_path / "poetry"))
    assert mine.read_text() == "mine"
