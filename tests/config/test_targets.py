"""What a `_target_` may name: nothing that does anything but make an object of a training."""

import json
import re

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset, rebuild_process, rebuild_text
from generatect.checkpoints.stage_file import CHECKSUM_KEY, DESCRIPTION_KEY, read_stage_file
from generatect.config.check import check_config
from generatect.config.targets import allowed_target, refuse_targets
from generatect.errors import InputError

EXECUTE = [
    "os.system",
    "os.popen",
    "os.execv",
    "posix.system",
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "runpy.run_path",
    "code.interact",
    "pty.spawn",
    "importlib.import_module",
    "functools.partial",
    "operator.methodcaller",
    "pip._internal.main",
    "webbrowser.open",
    "ctypes.CDLL",
    "multiprocessing.Process",
]
FILES = ["shutil.rmtree", "shutil.copyfile", "shutil.move", "os.remove", "os.rename", "pathlib.Path.unlink", "io.open"]
NETWORK = [
    "urllib.request.urlretrieve",
    "urllib.request.urlopen",
    "socket.create_connection",
    "http.client.HTTPConnection",
]
LOADERS = ["torch.load", "torch.hub.load", "torch.jit.load", "torch.serialization.load", "pickle.loads", "numpy.load"]
THROUGH = [
    "generatect.files.os.remove",
    "generatect.files.shutil.rmtree",
    "generatect.config.job.importlib.import_module",
    "generatect.config.command.sys.exit",
    "generatect.checkpoints.safe_load.torch.load",
    "torch.optim.torch.load",
    "torch.optim.optimizer.torch.hub.load",
    "lightning.pytorch.callbacks.model_checkpoint.shutil.rmtree",
    "lightning.pytorch.loggers.csv_logs.os.system",
    "lightning.pytorch.strategies.ddp.torch.load",
    "generatect.stages.ctvit.CTViTStage.load_from_checkpoint",
    "generatect.networks.ctvit.CTViT.__init__.__globals__",
    "generatect.networks.ctvit.CTViT.__subclasses__",
    "lightning.Trainer.fit",
    "lightning.Trainer.__init__.__globals__.os.system",
]
ACTIONS = [
    "generatect.train.train",
    "generatect.files.sha256_of_file",
    "generatect.files.writable_folder",
    "generatect.config.command.run_command",
    "generatect.checkpoints.hub.download",
    "generatect.phantom.__main__.write_phantoms",
]
HYDRA = [
    "hydra.utils.instantiate",
    "hydra._internal.utils._locate",
    "hydra.utils.get_object",
    "omegaconf.OmegaConf.load",
]
SPELLINGS = [
    " os.system",
    "os.system ",
    "torch.optim.AdamW ",
    " torch.optim.AdamW",
    "torch.optim.AdamW\n",
    "torch.optim..AdamW",
    "torch.optim.",
    "torch.optim.AdamW()",
    "generatect",
    "generatectevil.x",
    "lightning.Trainer2.x",
    "torch.optim.\u0410damW",  # a Cyrillic A
    "generatect.networks.ctvit:CTViT",
    "../generatect.networks",
    "",
    3,
    None,
    True,
    ["os.system"],
    {"_target_": "os.system"},
]
HOSTILE = [*EXECUTE, *FILES, *NETWORK, *LOADERS, *THROUGH, *ACTIONS, *HYDRA, *SPELLINGS]
SHAPES = {
    "itself": lambda target: {"_target_": target},
    "a list": lambda target: {"callbacks": [{"x": {"_target_": target}}]},
    "an argument": lambda target: {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": {"_target_": target}},
    "a partial": lambda target: {"logger": {"csv": {"_target_": target, "_partial_": True}}},
    "a plugin": lambda target: {"trainer": {"_target_": "lightning.Trainer", "plugins": [{"_target_": target}]}},
}


def test_there_are_enough():
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("target", HOSTILE, ids=repr)
def test_a_hostile_target_is_refused_wherever_it_stands(target, monkeypatch):
    monkeypatch.setattr("os.system", lambda _: pytest.fail("called"))
    for shape in SHAPES.values():
        with pytest.raises(InputError, match=r"is not allowed|cannot be imported") as caught:
            check_config(shape(target))
        assert "\n" not in str(caught.value)


def test_arguments_without_a_name_are_refused():
    with pytest.raises(InputError, match="_args_: arguments without a name"):
        check_config({"optimizer": {"_target_": "torch.optim.AdamW", "_args_": [[1]]}})


@pytest.mark.parametrize(
    "target",
    [
        "lightning.Trainer",
        "torch.optim.AdamW",
        "lightning.pytorch.callbacks.ModelCheckpoint",
        "generatect.networks.ctvit.CTViT",
        "generatect.networks.vgg.load_vgg16",
    ],
)
def test_parts_of_a_training_are_allowed(target):
    assert callable(allowed_target(target))


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.x={_target_:os.system,command:id}",
        "+logger.x={_target_:subprocess.run}",
        "+stage.module.x={_target_:builtins.eval}",
        "stage.module.optimizer._target_=pip._internal.main",
        "+trainer.plugins=[{_target_:shutil.rmtree,path:x}]",
        "++hydra.callbacks.x={_target_:os.system,command:id}",
        "hydra.launcher._target_=os.system",
        "++hydra.job_logging.handlers.x={class:subprocess.Popen}",
        "++hydra.hydra_logging.handlers.x={class:subprocess.Popen}",
    ],
)
def test_on_the_command_line_too(command, tmp_path, override):
    ended = command("train", "model=tiny", f"output={tmp_path / 'out'}", override)
    assert ended.code == 2, ended
    assert "not allowed" in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


PLACES = [
    ("networks", "ctvit", "dim"),
    ("networks", "ctvit"),
    ("preset", "fov_mm_zyx"),
    ("preset",),
    ("notice",),
    ("elsewhere", "deep", "down"),
]


@pytest.fixture
def described(tiny_weights, tmp_path):
    """Function that writes a stage's file anew with a value put into its description."""

    def write(stage: str, place: tuple[str, ...], value: object):
        source, path = tiny_weights / f"{stage}.safetensors", tmp_path / f"{stage}.safetensors"
        with safe_open(source, framework="pt") as file:
            description = json.loads(file.metadata()[DESCRIPTION_KEY])
        del description[CHECKSUM_KEY]  # whoever means harm writes one that fits, or none
        node = description
        for key in place[:-1]:
            node = node.setdefault(key, {})
        node[place[-1]] = value
        save_file(load_file(source), path, metadata={DESCRIPTION_KEY: json.dumps(description)})
        return read_stage_file(path, stage)

    return write


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_nothing_in_a_checkpoint_is_called(described, place, tmp_path):
    mark = tmp_path / "mark"
    file = described("ctvit", place, {"_target_": "os.system", "command": f"touch {mark}"})
    for build in (lambda: rebuild_network(file, "ctvit"), lambda: rebuild_preset(file)):
        with pytest.raises(InputError, match=re.escape("ctvit.safetensors: wants 'os.system' called")):
            build()
    assert not mark.exists()


@pytest.mark.parametrize("target", ["generatect.networks.ctvit.CTViT", "torch.optim.AdamW"])
def test_not_even_what_a_configuration_may_name(described, target):
    file = described("superres", ("process",), [{"_target_": target}])
    with pytest.raises(InputError, match="wants"):
        rebuild_process(file)


@pytest.mark.parametrize(
    ("stage", "place", "value", "message"),
    [
        (
            "ctvit",
            ("networks", "ctvit", "dim"),
            10**9,
            "networks.ctvit.dim=1000000000: expected at least 1 and at most",
        ),
        ("ctvit", ("networks", "ctvit", "dim"), "16", "networks.ctvit.dim: '16' is not of the expected type int"),
        ("ctvit", ("networks", "ctvit", "spatial_depth"), -1, "expected at least 1"),
        ("ctvit", ("networks", "ctvit", "evil"), 1, "networks.ctvit.evil: no such setting"),
        ("transformer", ("text", "encoder", "kind"), "os.system", "'os.system' is unknown"),
        ("transformer", ("text", "encoder", "num_buckets"), 10**12, "expected at least 1 and at most"),
        ("transformer", ("text", "encoder"), 3, "its description lacks text.encoder"),
        ("superres", ("process", "lowres_max_time"), "x", "process.lowres_max_time: 'x'"),
    ],
)
def test_a_description_is_checked_like_a_configuration(described, stage, place, value, message):
    file = described(stage, place, value)
    build = {"ctvit": lambda: rebuild_network(file, "ctvit"), "transformer": lambda: rebuild_text(file)}
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        build.get(stage, lambda: rebuild_process(file))()
    assert "\n" not in str(caught.value)


def test_plain_values_pass():
    refuse_targets({"a": [1, {"b": (2, None)}], "c": "_target_"}, "file")
