"""Mistakes on the command line are one line, and the place where the options stand."""

import pytest

from export import program
from keras_resnet import cli
from keras_resnet.parsing import Parser


@pytest.mark.parametrize(
    ("main", "arguments", "said"),
    [
        (cli.main, ["train", "--recip", "x", "--epoches", "3"], "there is no --epoches here: did you mean --epochs"),
        (
            cli.main,
            ["predict", "--model", "x", "a.png", "--clases", "y"],
            "there is no --clases here: did you mean --classes",
        ),
        (cli.main, ["predict"], "the following arguments are required: --model"),
        (cli.main, ["nothing"], "there is no command nothing"),
        (
            lambda argv: program.alone("export", argv),
            ["--int8"],
            "--int8: one file is made by keras-resnet export tflite --int8",
        ),
        (
            lambda argv: program.alone("export", argv),
            ["--weight-only-int4", "--all"],
            "keras-resnet export tflite --weight-only-int4",
        ),
        (lambda argv: program.alone("export tflite", argv), ["--in8"], "there is no --in8 here: did you mean --int8"),
    ],
)
def test_p2_p3_mistakes_are_one_line_of_the_right_command(main, arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    first, where = printed.err.splitlines()
    assert first.startswith("error: ")
    assert any(part in first for part in said.split("|"))
    assert where.startswith("all options: ") and where.endswith(" --help")
    assert not printed.out
    if len(arguments) > 2 and main is cli.main:
        assert f"keras-resnet {arguments[0]} --help" in where


def test_good_lines_leave_no_trace_of_the_parser():
    parser = Parser(prog="p")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("a").add_argument("--x", type=int)
    assert vars(parser.parse_args(["a", "--x", "3"])) == {"command": "a", "x": 3}
