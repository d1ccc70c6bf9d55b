"""The three stages as one: what the files say is what samples."""

import torch

from generatect.checkpoints.stage_file import read_stage_file, write_stage_file
from generatect.pipeline import TextToCT, TokenOptions


def test_a_trained_token_critic_decides_what_is_sampled_again(tiny_weights, tmp_path):
    file = read_stage_file(tiny_weights / "transformer.safetensors", "transformer")
    maskgit = file.description["networks"]["maskgit"]
    path = tmp_path / "transformer.safetensors"
    write_stage_file(path, {**file.description, "networks": {"maskgit": maskgit}}, file.state)
    files = {stage: str(tiny_weights / f"{stage}.safetensors") for stage in ("ctvit", "transformer", "superres")}

    critical, trusting = TextToCT.load(files, "cpu"), TextToCT.load({**files, "transformer": str(path)}, "cpu")
    assert trusting.token_critic is None
    trained = file.state_of("token_critic")
    assert trained.keys() == critical.token_critic.state_dict().keys()
    assert all(torch.equal(critical.token_critic.state_dict()[key], value) for key, value in trained.items())
    volumes = [model.sample_lowres(["Clear."], 0, TokenOptions(steps=6)) for model in (critical, trusting, critical)]
    assert not torch.equal(volumes[0], volumes[1])
    assert torch.equal(volumes[0], volumes[2])
