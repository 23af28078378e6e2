"""The mistakes that `mutations.py` makes overnight still have a place in the source and tests to be noticed by."""

from mutations import SOURCE, TESTS, mistakes


def test_every_mistake_replaces_one_place_and_names_tests_that_are_there() -> None:
    stale = []
    for mistake in mistakes():
        if (SOURCE / "sinefield" / mistake.file).read_text().count(mistake.old) != 1:
            stale.append(f"{mistake.file}: {mistake.old!r}")
        stale += [test for test in mistake.tests if not (TESTS / test.partition("::")[0]).is_file()]
    assert stale == []
