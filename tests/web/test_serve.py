"""The command: what it refuses, in one line, before anything is loaded."""

import socket

import pytest


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["port=70000"], "port=70000: expected a number from 0 to 65535"),
        (["browse=nowhere"], "browse=nowhere: not a folder"),
        (["browse=[nowhere]"], "browse=nowhere: not a folder"),
        (["tokens.steps=few"], "tokens.steps: 'few'"),
        (["max_waiting=-1"], "max_waiting=-1"),
        (["hu_policy=magic"], "magic"),
        (["weights=nowhere", "port=0"], "weights=nowhere"),
        (["prot=1"], "did you mean 'port'?"),
    ],
)
def test_settings(command, tmp_path, overrides, part):
    ended = command("serve", *overrides, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1, ended.err
    assert part in ended.err


def test_a_port_that_is_taken(command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command("serve", f"port={port}", f"output={tmp_path}")
    assert ended.code == 2
    assert f"port={port}: cannot be used" in ended.err
    assert "port=0 takes any that is free" in ended.err
