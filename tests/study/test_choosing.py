import pytest

from mergesearch.errors import InputError
from mergesearch.study.choosing import Choice, Limit, parse_choice

DIRECTIONS = {"instruction": "maximize", "reasoning": "maximize", "length": "minimize"}
MEMBERS = [
    {"instruction": 0.35, "reasoning": 0.30, "length": 90.0},
    {"instruction": 0.30, "reasoning": 0.44, "length": 80.0},
    {"instruction": 0.22, "reasoning": 0.50, "length": 60.0},
]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("best:instruction", 0),
        ("best:length", 2),
        ("max:reasoning", 2),
        ("max:reasoning where instruction>=0.30", 1),
        ("max:reasoning where instruction >= 0.25 and length <= 85", 1),
        ("min:length where instruction>=0.3", 1),
        ("max:reasoning where instruction>=0.9", None),
        ("weighted:instruction=2,reasoning=1", 1),
        ("weighted:instruction=1", 0),
        ("weighted:reasoning=1,length=0.01", 2),
        ("weighted:instruction=0,reasoning=1", 2),
    ],
)
def test_an_expression_chooses_a_member(text, chosen):
    assert parse_choice(text, DIRECTIONS).of(MEMBERS) == chosen


def test_limits_are_read_as_they_are_written():
    choice = parse_choice("max:reasoning where instruction>=0.3 and length<=85", DIRECTIONS)
    assert choice == Choice(
        {"reasoning": 1.0}, (Limit("instruction", 1, 0.3), Limit("length", -1, 85.0))
    )


def test_limits_that_a_member_holds_are_named_where_none_holds_all():
    choice = parse_choice("max:reasoning where instruction>=0.9 and length<=10", DIRECTIONS)
    assert choice.of(MEMBERS) is None
    assert choice.reachable(MEMBERS) == "limits such as instruction>=0.35 or length<=60"


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("best:length", {"length": -1.0}),
        ("best:reasoning", {"reasoning": 1.0}),
        ("max:length", {"length": 1.0}),
        ("min:reasoning", {"reasoning": -1.0}),
        ("weighted:reasoning=2,length=0.5", {"reasoning": 2.0, "length": -0.5}),
    ],
)
def test_less_is_more_where_an_objective_is_minimized(text, weights):
    assert parse_choice(text, DIRECTIONS) == Choice(weights)


def test_of_equals_the_first_is_chosen():
    assert parse_choice("best:reasoning", DIRECTIONS).of([MEMBERS[1], MEMBERS[1]]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worst:reasoning", "unknown pick 'worst:reasoning'"),
        ("best:speed", "no objective 'speed'"),
        ("best:", "no objective ''"),
        ("max:reasoning where speed>=1", "no objective 'speed'"),
        ("max:reasoning where instruction>0.3", "'instruction>0.3' is not a limit"),
        ("max:reasoning where instruction>=high", "'high' is not a number"),
        ("max:reasoning where instruction>=nan", "'nan' is not a number"),
        ("weighted:instruction", "'' is not a number"),
        ("weighted:instruction=-1", "the weight -1 is negative"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said(text, message):
    with pytest.raises(InputError, match=message):
        parse_choice(text, DIRECTIONS)


def test_what_is_no_expression_is_answered_with_all_that_there_are():
    with pytest.raises(InputError) as caught:
        parse_choice("worst:reasoning", DIRECTIONS)
    assert caught.value.expected == (
        "knee, best:OBJECTIVE, 'max:OBJECTIVE where OTHER>=0.3', weighted:OBJECTIVE=2,OTHER=1,"
        " trial:NUMBER, or the name of a parent"
    )
