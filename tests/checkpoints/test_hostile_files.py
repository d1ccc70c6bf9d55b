"""Files that would run code if they were unpickled: none does, each is refused in one line."""

import builtins
import functools
import importlib
import io
import os
import pickle
import runpy
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from generatect.checkpoints.convert import convert_file
from generatect.checkpoints.stage_file import read_stage_file
from generatect.errors import InputError


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Callable, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class WithState:
    """Pickles as a harmless object whose state is set by a call."""

    def __init__(self, inner: Call):
        self.inner = inner

    def __reduce__(self):
        return (dict, (), None, None, iter([("weight", self.inner)]))


def opcodes(code: str, how: str) -> bytes:
    """Hand-written pickles of the oldest protocol, `INST` and `OBJ` included."""
    quoted = f"S{code!r}\n".encode()
    return {
        "inst": b"(" + quoted + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + quoted + b"o.",
        "global": b"cos\nsystem\n(" + quoted + b"tR.",
        "builtins": b"cbuiltins\nexec\n(" + f"S{f'import os; os.system({code!r})'!r}\n".encode() + b"tR.",
    }[how]


def zipped(data: bytes) -> bytes:
    """The container of `torch.save` around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def saved(content: object, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def hostile_files(shell: str, python: str) -> dict[str, bytes]:
    """Name → bytes of twenty files that run `shell` or `python` when unpickled."""
    system = Call(os.system, shell)
    weights = {"vq._codebook.embed": torch.zeros(1, 2, 2)}
    return {
        "reduce.pt": saved(system),
        "in-a-state-dict.pt": saved({**weights, "to_pixels.0.bias": system}),
        "nested.pt": saved({"model": {"unets.1.a": [({"b": system},)]}}),
        "as-a-key.pt": saved({"maskgit.a": torch.zeros(1), "metadata": (1, 2, WithState(system))}),
        "in-the-ema.ckpt": saved({"state_dict": weights, "generatect": {"stage": system}}),
        "legacy.pt": saved(system, legacy=True),
        "legacy-in-a-dict.bin": saved({**weights, "x": system}, legacy=True),
        "protocol-0.pt": pickle.dumps(system, protocol=0),
        "protocol-2.pt": pickle.dumps({"vq._codebook.embed": system}, protocol=2),
        "protocol-5.bin": pickle.dumps([system], protocol=5),
        "renamed.safetensors": saved(system),
        "renamed-pickle.safetensors": pickle.dumps(system, protocol=4),
        "inst.pt": opcodes(shell, "inst"),
        "obj.ckpt": opcodes(shell, "obj"),
        "global-in-a-zip.pt": zipped(opcodes(shell, "global")),
        "exec-in-a-zip.ckpt": zipped(opcodes(shell, "builtins")),
        "subprocess.pt": saved(Call(subprocess.getoutput, shell)),
        "eval.pt": saved({"model": Call(builtins.eval, python)}),
        "partial.pt": saved(Call(functools.reduce, builtins.exec, [python, {}])),
        "import.pt": saved([Call(importlib.import_module, "this"), Call(runpy.run_path, "script.py"), system]),
    }


NAMES = sorted(hostile_files("", ""))


@pytest.fixture
def trap(tmp_path) -> Callable[[str], tuple[Path, Path]]:
    """Function from a name to the hostile file and to what would appear if it ran."""

    def lay(name: str) -> tuple[Path, Path]:
        sprung = tmp_path / "sprung"
        (tmp_path / "script.py").write_text(f"open({str(sprung)!r}, 'w')")
        files = hostile_files(f"touch {sprung}", f"open({str(sprung)!r}, 'w')")
        (tmp_path / name).write_bytes(files[name])
        return tmp_path / name, sprung

    return lay


def test_there_are_twenty_and_the_trap_works(trap):
    assert len(NAMES) == 20
    path, sprung = trap("protocol-2.pt")
    pickle.loads(path.read_bytes())
    assert sprung.exists()


@pytest.mark.parametrize("read", [read_stage_file, lambda path: convert_file(path, path.parent / "a.safetensors")])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_executed_and_one_line_says_why(trap, name, read):
    path, sprung = trap(name)
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
        read(path)
    assert not sprung.exists()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    if not name.endswith("safetensors"):
        assert "is code and not weights" in str(caught.value) or "not a whole file" in str(caught.value)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([name, "script.py"])
