from pathlib import Path

import pytest

from venue.problems import ProblemNumber, VenueError
from venue.replay.progress import Answered, Progress, RunRecord


def begun(folder: Path, name: str = "run-1", source: str = "tape 1") -> Progress:
    return Progress.begin(folder, RunRecord(name, source, ["TAPE-1"]))


def test_a_run_goes_on_where_its_answers_end(tmp_path: Path) -> None:
    progress = begun(tmp_path)
    progress.answer(0, Answered(11, 250, 0))
    progress.answer(1, Answered(0, 300, 401))
    progress.close()
    again = Progress.resume(tmp_path, "tape 1")
    assert again.answered == {0: Answered(11, 250, 0), 1: Answered(0, 300, 401)}


def test_an_answer_cut_short_by_a_crash_counts_as_none_and_later_ones_stay_readable(tmp_path: Path) -> None:
    progress = begun(tmp_path)
    progress.answer(0, Answered(11, 250, 0))
    progress.close()
    with (tmp_path / "run-1.acks").open("a") as acks:
        acks.write("1 12")
    again = Progress.resume(tmp_path, "tape 1")
    assert set(again.answered) == {0}
    again.answer(1, Answered(12, 260, 0))
    again.close()
    assert set(Progress.resume(tmp_path, "tape 1").answered) == {0, 1}


def test_what_a_run_prepared_is_known_again(tmp_path: Path) -> None:
    progress = begun(tmp_path)
    progress.record.vault_before_minor = [1, 2]
    progress.record.funded = True
    progress.save()
    assert Progress.resume(tmp_path, "tape 1").record == progress.record


def test_the_newest_unfinished_run_is_the_one_to_resume(tmp_path: Path) -> None:
    begun(tmp_path, "run-1")
    begun(tmp_path, "run-2")
    last = begun(tmp_path, "run-3")
    last.record.finished = True
    last.save()
    assert Progress.resume(tmp_path, "tape 1").record.name == "run-2"


def test_an_unfinished_run_of_something_else_does_not_stand_in_the_way(tmp_path: Path) -> None:
    begun(tmp_path, "run-1")
    begun(tmp_path, "run-2", "demo 3 x 1000")
    assert Progress.resume(tmp_path, "tape 1").record.name == "run-1"


def test_without_an_unfinished_run_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(VenueError) as caught:
        Progress.resume(tmp_path, "tape 1")
    assert caught.value.number is ProblemNumber.NOTHING_TO_RESUME


def test_a_run_of_another_tape_is_not_resumed_with_this_one(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(VenueError) as caught:
        Progress.resume(tmp_path, "tape 2")
    assert caught.value.number is ProblemNumber.RESUME_DIFFERS
