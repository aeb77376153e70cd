"""The instruction and answer checkers that the bundled tasks name."""

import pytest

from mergesearch.tasks.checks import (
    CHECKS,
    answer_results,
    instruct_results,
    last_number_results,
    likelihood_results,
    normalized_answer,
    run_check,
)


@pytest.mark.parametrize(
    ("check", "passes", "fails"),
    [
        ("case:upper", "CAT DOG. WELL DONE", "CAT dog"),
        ("case:upper", "1. CAT", "1. 2."),
        ("case:lower", "cat, dog", "Cat, dog"),
        ("uses:cat dog", "dog and CAT", "dog dog"),
        ("only:cat dog well done", "cat. well done", "cat sea. well done"),
        ("only:cat", "cat", ""),
        ("forbidden:dog", "cat sea", "cat DOG"),
        ("forbidden:dog", "dogs", ""),
        ("count:2 cat dog sea", "cat dog", "cat dog sea"),
        ("count:2 cat dog sea", "cat, cat, sea", "cat cat"),
        ("times:2 cat dog", "cat cat dog dog", "cat dog cat"),
        ("order:sea cat", "hello: sea, cat", "cat sea"),
        ("order:sea cat", "sea sea cat cat", "sea cat sea"),
        ("start:dear friend", "Dear friend: cat", "friend dear"),
        ("end:the end", "cat. THE END!", "the end cat"),
        ("format:commas", "hello: cat, dog. the end", "cat dog"),
        ("format:commas", "CAT, DOG", "cat, dog sea"),
        ("format:numbered", "note this:\n1. cat\n2. dog\nthe end", "1. cat\n3. dog"),
        ("format:numbered", "1. cat", "1. cat 2. dog"),
        ("format:bullets", "- cat\n- dog", "- cat dog"),
        ("format:bullets", "- cat\n- dog\nthe end", "- cat\nsea\n- dog"),
        ("format:bullets", "hello:\n- cat", "hello:\nsea\n- cat"),
    ],
)
def test_a_check_tells_right_from_wrong(check: str, passes: str, fails: str) -> None:
    """Each check passes a response that follows it and fails one that does not."""
    assert run_check(passes, check)
    assert not run_check(fails, check)


def test_surrounding_space_does_not_matter() -> None:
    """Responses come with the space that follows the bot's mark."""
    assert run_check(" 1. cat\n2. dog\n", "format:numbered")


def test_an_unknown_check_is_an_error() -> None:
    """A misspelt check raises: it is never a failed item."""
    with pytest.raises(KeyError):
        run_check("cat", "colour:red")
    assert "format" in CHECKS


def test_no_check_passes_an_empty_response() -> None:
    """Silence follows no instruction."""
    arguments = {"case": "upper", "count": "2 cat dog", "times": "2 cat", "format": "commas"}
    assert not any(check("", arguments.get(name, "cat")) for name, check in CHECKS.items())


def test_instruct_results() -> None:
    """The prompt counts when all checks pass; the instructions by their share."""
    doc = {"checks": ["uses:cat dog", "case:upper", "end:the end", "order:dog cat"]}
    assert instruct_results(doc, ["DOG CAT. THE END"]) == {
        "prompt_strict": 1.0,
        "instruction_strict": 1.0,
    }
    assert instruct_results(doc, ["CAT DOG. THE END"]) == {
        "prompt_strict": 0.0,
        "instruction_strict": 0.75,
    }


@pytest.mark.parametrize(
    "text", ["Ann", " ann.", "ANN has the cup.", "- Ann", "Not Bob: Ann", "Ann\n"]
)
def test_a_name_counts_whatever_its_format(text: str) -> None:
    """The last possible name in the text is the answer."""
    doc = {"answer": "Ann", "candidates": ["Ann", "Bob", "Cal"]}
    assert answer_results(doc, [text]) == {"exact": 1.0}


@pytest.mark.parametrize("text", ["Bob", "Ann, no, Bob", "Anna", "", "the cup"])
def test_a_wrong_name_does_not_count(text: str) -> None:
    """Another name, part of a longer word, or none at all is wrong."""
    doc = {"answer": "Ann", "candidates": ["Ann", "Bob", "Cal"]}
    assert answer_results(doc, [text]) == {"exact": 0.0}


@pytest.mark.parametrize(
    ("text", "value"), [("7", 1.0), ("Seven cups.", 1.0), ("5 and 2 make 7", 1.0), ("17", 0.0)]
)
def test_a_number_counts_in_digits_or_words(text: str, value: float) -> None:
    """Number words are digits, and the last number is the answer."""
    assert answer_results({"answer": "7", "candidates": []}, [text]) == {"exact": value}


def test_normalized_answer_without_candidates() -> None:
    """Without candidates and numbers, the words remain, articles left out."""
    assert normalized_answer("The red Cup.") == "red cup"
    assert normalized_answer("no name here", ["Ann"]) == ""


def test_the_last_number_of_a_worked_answer_counts() -> None:
    doc = {"answer": "Two and two make 4.\n#### 1,204"}
    for text, expected in (
        ("so 1204", 1.0),
        ("It is 1,204.00 in all", 1.0),
        ("1204 - 4 = 1200", 0.0),
        ("none", 0.0),
        ("minus -1204", 0.0),
    ):
        assert last_number_results(doc, [text]) == {"exact": expected}


def test_a_likelihood_counts_per_character() -> None:
    found = likelihood_results({"answer": "abcd"}, [(-6.0, False)])
    assert found == {"nat_per_character": -1.5}


def test_numbers_are_known_in_words() -> None:
    words = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen twenty"
    )
    found = [normalized_answer(word) for word in words.split()]
    assert found == [str(number) for number in range(21)]


def test_articles_do_not_count() -> None:
    assert normalized_answer("An owl and a cat, the end") == "owl and cat end"


def test_all_words_and_no_more_are_enough() -> None:
    assert run_check("dog cat", "uses:cat dog")
    assert not run_check("cat", "format:commas")


def test_one_phrase_may_stand_on_each_side_of_a_list() -> None:
    assert run_check("first:\n- cat\n- dog\nlast", "format:bullets")
    assert not run_check("first:\nsecond:\n- cat", "format:bullets")
    assert not run_check("- cat\nlast\nafter", "format:bullets")


def test_a_likelihood_of_an_empty_answer_is_of_one_character() -> None:
    found = likelihood_results({"answer": ""}, [(-3.0, False)])
    assert found == {"nat_per_character": -3.0}


def test_the_first_answer_counts() -> None:
    found = last_number_results({"answer": "#### 7"}, ["so 7", "so 8"])
    assert found == {"exact": 1.0}
