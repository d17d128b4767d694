"""Options of commands: one parser for each kind of value."""

import argparse

import pytest

from sosd_ros import commands


@pytest.mark.parametrize("text", ["480", "480x", "480x640x3", "0x640", "-1x5", "480x6e2", "", "x"])
def test_a_size_that_is_none_is_refused_with_the_form_that_it_should_have(text):
    """And with an example of one."""
    with pytest.raises(argparse.ArgumentTypeError) as error:
        commands.size(text)
    assert str(error.value).startswith(
        f"{text!r} is no size; expected HEIGHTxWIDTH in pixels, such"
    )


def test_the_height_comes_first(capsys):
    """A size that is higher than wide is taken, with a warning that says which is which."""
    assert commands.size("480x640") == (480, 640)
    assert capsys.readouterr().err == ""
    assert commands.size("640x480") == (640, 480)
    said = capsys.readouterr().err
    assert "640 high and 480 wide" in said and "write 480x640 if that is not meant" in said
