"""What others wrote never steers a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._system.terminal import printable, say, say_sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ± – ◆ 模型\n\tindented", "plain text, ± – ◆ 模型\n\tindented"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("\x9b31m", "\\u009b31m"),
        ("back\x08\rover", "back\\u0008\\u000dover"),
        ("exe\u202efdp.", "exe\\u202efdp."),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("name-\udcff", "name-\\udcff"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_whatever_comes_can_be_encoded_and_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert all(char in "\n\t" or char.isprintable() or ord(char) > 0x9F for char in shown)
    assert printable(shown) == shown


def test_what_is_said_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b]0;title\x07", end="")
    say("\x1b[1m", error=True)
    assert capsys.readouterr() == ("\\u001b]0;title\\u0007", "\\u001b[1m\n")


def test_a_sentence_is_broken_for_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "  instruct in MLP falls from 0.98 to 0.68 in results/demo-of-today"
    monkeypatch.setenv("COLUMNS", "34")
    say_sentence(sentence)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say_sentence(sentence)
    say_sentence("")
    assert capsys.readouterr().out == (
        f"{sentence}\n"
        "  instruct in MLP falls from 0.98\n    to 0.68 in\n    results/demo-of-today\n"
        "\n"
    )
