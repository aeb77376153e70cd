from types import SimpleNamespace

import pytest

from mergesearch.study.bayesian.points import parameters_of, point_of

DIMENSIONS = [
    SimpleNamespace(name="method", low=0.0, high=0.0, choices=("linear", "ties", None)),
    SimpleNamespace(name="weight", low=-0.5, high=1.5, choices=()),
    SimpleNamespace(name="fixed", low=2.0, high=2.0, choices=()),
]


def test_a_point_holds_places_and_indices():
    point = point_of(DIMENSIONS, {"method": None, "weight": 1.0, "fixed": 2.0})
    assert point.tolist() == [2.0, 0.75, 0.0]


@pytest.mark.parametrize("method", ["linear", "ties", None])
def test_parameters_come_back(method):
    parameters = {"method": method, "weight": 0.25, "fixed": 2.0}
    assert parameters_of(DIMENSIONS, point_of(DIMENSIONS, parameters)) == parameters


def test_a_place_past_the_end_is_the_end():
    assert parameters_of(DIMENSIONS, [0.0, 1.0000001, 0.0])["weight"] == 1.5
