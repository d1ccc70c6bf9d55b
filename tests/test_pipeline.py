"""The three stages as one: what the files say is what samples."""

import pytest
import torch

from generatect.checkpoints.stage_file import read_stage_file, write_stage_file
from generatect.errors import InputError
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions


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


def test_where_and_how_it_is_computed_hardly_shows(tiny_weights):
    model = TextToCT.load(str(tiny_weights), "cpu")
    lowres = model.sample_lowres(["Clear."], 0, TokenOptions(steps=3))
    by_slices = model.sample_lowres(["Clear."], 0, TokenOptions(steps=3, dense_bias=False, offload=True))
    torch.testing.assert_close(by_slices, lowres)
    half = model.sample_lowres(["Clear."], 0, TokenOptions(steps=3, precision="bf16"))
    assert half.dtype == torch.float32
    assert half.isfinite().all()

    full = model.upscale(lowres[0], "Clear.", 0, UpscaleOptions(steps=2))
    rounded = model.upscale(lowres[0], "Clear.", 0, UpscaleOptions(steps=2, precision="bf16", sampler="dpmpp"))
    assert (rounded - full).abs().max() < 0.1
    torch.testing.assert_close(model.upscale(lowres[0], "Clear.", 0, UpscaleOptions(steps=2, offload=True)), full)


def test_ids_can_be_watched_and_sampling_ended(tiny_weights):
    class Enough(Exception):
        pass

    def watch(step, ids):
        seen.append((step, int((ids == model.maskgit.mask_id).sum())))
        if step == 2:
            raise Enough

    model, seen = TextToCT.load(str(tiny_weights), "cpu"), []
    with pytest.raises(Enough):
        model.sample_lowres(["Clear."], 0, TokenOptions(steps=6), on_ids=watch)
    assert [step for step, _ in seen] == [0, 1, 2]
    assert seen[0][1] == 12 >= seen[1][1] > seen[2][1]


@pytest.mark.parametrize("options", [{"precision": "fp8"}, {"precision": ""}])
def test_no_such_precision(tiny_weights, options):
    model = TextToCT.load(str(tiny_weights), "cpu")
    with pytest.raises(InputError, match="choose one of"):
        model.sample_lowres(["Clear."], 0, TokenOptions(steps=1, **options))


def test_a_single_prompt_is_not_a_list_of_letters(tiny_weights):
    model = TextToCT.load(str(tiny_weights), "cpu")
    with pytest.raises(InputError, match="prompts: is one text of 14 characters; expected a list of texts"):
        model.sample_lowres("Large effusion", 0, TokenOptions(steps=1))
    lowres = torch.zeros(1, *model.preset.grid.shape_zyx)
    with pytest.raises(InputError, match=r"prompt: character 8 is U\+D83D"):
        model.upscale(lowres, "nodule \ud83d", 0, UpscaleOptions(steps=1))


def test_what_each_stage_reads_of_a_prompt(tiny_weights):
    model = TextToCT.load(str(tiny_weights), "cpu")
    assert model.unet.text.max_tokens == model.slices_text.max_tokens == 128  # the second follows from the first
    reads = model.reads(["word " * 200, "Clear."])
    assert {stage: [(read.tokens, read.read) for read in of_stage] for stage, of_stage in reads.items()} == {
        stage: [(200, 128), (2, 2)] for stage in ("transformer", "superres")
    }
