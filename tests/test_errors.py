import pytest

from sign_cnn.errors import ConfigError, UserError, clean_exit


def test_a_users_error_ends_the_process_with_its_sentence():
    with pytest.raises(SystemExit, match=r"^Error: no such run$"), clean_exit():
        raise UserError("no such run")


def test_several_problems_are_listed():
    with pytest.raises(SystemExit, match=r"^Error: \n  - one\n  - two$"), clean_exit():
        raise ConfigError(["one", "two"])


def test_ctrl_c_ends_the_process_as_a_shell_expects_and_without_a_traceback(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop, clean_exit():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err == "Interrupted by Ctrl-C.\n"


def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), clean_exit():
        raise ZeroDivisionError
