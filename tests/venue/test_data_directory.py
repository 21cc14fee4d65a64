from collections.abc import Iterator
from pathlib import Path

import pytest

from venue.data_directory import DataDirectory, write_whole
from venue.problems import ProblemNumber, VenueError


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[DataDirectory]:
    data = DataDirectory(tmp_path / "data")
    data.take()
    yield data
    data.release()


def problem(data: DataDirectory) -> ProblemNumber:
    with pytest.raises(VenueError) as caught:
        data.take()
    return caught.value.number


def test_a_directory_serves_one_stack_at_a_time(taken: DataDirectory) -> None:
    other = DataDirectory(taken.path)
    assert problem(other) is ProblemNumber.DATA_DIRECTORY_IN_USE
    taken.release()
    other.take()
    other.release()


def test_data_of_another_version_is_refused_and_not_held(taken: DataDirectory) -> None:
    taken.release()
    (taken.path / "version").write_text("0\n")
    assert problem(taken) is ProblemNumber.DATA_OF_ANOTHER_VERSION
    assert not taken.in_use()


def test_a_directory_with_other_things_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert problem(DataDirectory(tmp_path)) is ProblemNumber.DATA_DIRECTORY_UNUSABLE
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert problem(DataDirectory(tmp_path / "file" / "data")) is ProblemNumber.DATA_DIRECTORY_UNUSABLE


def test_replays_at_a_venue_elsewhere_do_not_keep_a_stack_out(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")
    data.replays.mkdir(parents=True)
    data.take()
    data.release()


def test_the_state_of_a_stack_is_read_only_while_it_runs(taken: DataDirectory) -> None:
    taken.write_venue({"state": "ready"})
    assert DataDirectory(taken.path).read_venue() == {"state": "ready"}
    taken.release()
    with pytest.raises(VenueError, match="no venue runs") as caught:
        DataDirectory(taken.path).read_venue()
    assert caught.value.number is ProblemNumber.VENUE_NOT_RUNNING


def test_a_file_is_written_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_whole(path, "one")
    write_whole(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
