"""Sixty mistakes on the command line: each is one line, before a network exists."""

import pytest
import torch

BAD = {
    # keys that do not exist
    "stpes=4": "did you mean 'steps'?",
    "valevery=4": "did you mean 'val_every'?",
    "lr=0.1": "did you mean 'stage.module.optimizer.lr'?",
    "optimizer.lr=0.1": "did you mean 'stage.module.optimizer.lr'?",
    "stage.module.warmup_step=4": "did you mean 'stage.module.warmup_steps'?",
    "stage.datamodul.batch_size=4": "no such setting",
    "batch_size=4": "did you mean 'stage.datamodule.batch_size'?",
    "model.ctvit.dims=4": "did you mean 'model.ctvit.dim'?",
    "trainer.max_stepz=4": "no such setting",
    "callbacks.emaa.decay=0.5": "no such setting",
    "logger.csv.savedir=x": "no such setting",
    "data.pairs.number=4": "did you mean 'data.pairs.num",
    "+stage.module.discriminator_evry=4": "did you mean 'discriminator_every'?",
    "+model.ctvit.head=4": "did you mean 'heads'?",
    "+trainer.precison=x": "did you mean 'precision'?",
    "+callbacks.latest.evry=3": "did you mean 'every'?",
    "+stage.module.optimizer.learning_rate=1": "no such setting",
    "+nothing=1": "no such setting",
    "model.ctvit.channels=1": "to set it write +model.ctvit.channels=",
    # choices that do not exist
    "stage=ctvti": "did you mean 'ctvit'?",
    "sage=ctvit": "did you mean 'stage'?",
    "model=phantm": "did you mean 'phantom'?",
    "data=fodler": "did you mean 'folder'?",
    "strategy=dpp": "did you mean 'ddp'?",
    "precision=fp8": "no such choice, known: bf16, fp16, fp32",
    "preset=fysical": "did you mean 'physical'?",
    "text_encoder=t6": "no such choice",
    "logger=wanbd": "did you mean 'wandb'?",
    "callbacks=defualt": "did you mean 'default'?",
    "debug=fsat": "did you mean 'fast'?",
    "experiments=phantom/ctvti": "did you mean 'phantom/ctvit'?",
    "hydra/launcher=jobli": "no such choice",
    "experiments=glob(*)": "name each",
    # values of the wrong type
    "steps=many": "'many' is not of the expected type int",
    "steps=1.5": "1.5 is not of the expected type int",
    "steps=null": "None is not of the expected type int",
    "seed=true": "True is not of the expected type int",
    "trainer=gpu": "use trainer.accelerator=gpu",
    "trainer=ddp": "use strategy=ddp trainer.devices=NUMBER",
    "trainer.max_epochs=5": "use steps=BATCHES",
    "+trainer.fast_dev_run=true": "use debug=fast",
    # names of the Lightning-Hydra template, settings of a choice that was not made, what no command heeds
    "experiment=phantom/ctvit": "use experiments=NAME",
    "ckpt_path=a.ckpt": "use resume=auto",
    "model.optimizer.lr=1": "use stage.module.optimizer.lr",
    "callbacks=none": "callbacks=[progress,latest] takes these alone",
    "logger=tensorboard": "whose metrics.csv any program reads",
    "hydra.run.dir=x": "use output=FOLDER",
    "data.root=/x": "data=phantom has no such setting; add data=folder",
    "logger.wandb.project=x": "logger=csv has no such setting; add logger=wandb",
    "callbacks.fid.num_volumes=3": "add callbacks=[default,fid]",
    "stage.module.text_drop_prob=0": "stage=ctvit has no such setting; add stage=",
    # words that are no settings
    "ctvit": "did you mean stage=ctvit?",
    "--steps=4": "did you mean steps=4?",
    "model.ctvit.dim=wide": "'wide' is not of the expected type int",
    "model.ctvit.init_from_data=1": "1 is not of the expected type bool",
    "+model.ctvit.compat=old": "'old' is not of the expected type",
    "model.unet.cross_attention=true": "is not of the expected type",
    "model.unet.dim_mults=[1,x]": "is not of the expected type",
    "stage.module.optimizer.lr=fast": "fast",
    "stage.datamodule.batch_size=2.5": "2.5 is not of the expected type int",
    "trainer.max_epochs=one": "'one' is not of the expected type",
    "trainer.precision=17": "is not of the expected type",
    "callbacks.ema.decay=slow": "'slow' is not of the expected type float",
    # numbers and words out of range
    "steps=0": "steps=0: expected at least 1",
    "val_every=-5": "val_every=-5: expected at least 1",
    "seed=-1": "seed=-1: expected at least 0",
    "seed=5000000000": "at most 4294967295",
    "stage.module.optimizer.lr=-0.1": "lr=-0.1: expected at least 0 and at most 10",
    "stage.module.optimizer.lr=inf": "expected at least 0",
    "stage.module.optimizer.betas=[0.9,1.0]": "betas=[0.9, 1.0]: expected at least 0 and below 1",
    "stage.module.warmup_steps=-1": "expected at least 0",
    "stage.datamodule.batch_size=0": "expected at least 1",
    "stage.datamodule.num_workers=-1": "expected at least 0",
    "stage.datamodule.val_fraction=1.0": "expected at least 0 and below 1",
    "text_encoder.encoder.word_dropout_prob=1.5": "word_dropout_prob=1.5: expected at least 0 and at most 1",
    "model.ctvit.decay=1": "decay=1: expected at least 0 and below 1",
    "model.ctvit.heads=0": "heads=0: expected at least 1",
    "model.ctvit.spatial_depth=100000": "at most 1000",
    "model.ctvit.patch_size=0": "patch_size=0: expected at least 1",
    "callbacks.ema.decay=1.1": "decay=1.1: expected at least 0 and below 1",
    "trainer.accelerator=abacus": "accelerator=abacus: expected one of auto, cpu",
    "trainer.devices=0": "devices=0: expected",
    "data.on_bad=shrug": "on_bad=shrug: expected one of raise, skip",
    "trainer.log_every_n_steps=0": "log_every_n_steps=0: expected at least 1",
    # what does not fit together, or is missing
    "stage=transformer": "add tokenizer=FILE",
    "data=folder": "data.root: a value is needed",
    "output=${nowhere}": "nowhere",
    "steps=[1": "cannot be read as key=value",
    "trainer._target_=os.system": "'os.system' is not allowed",
}


def test_there_are_enough():
    assert len(BAD) >= 60


@pytest.mark.parametrize("override", BAD)
def test_a_mistake_is_one_line_before_a_network_exists(command, tmp_path, monkeypatch, override):
    monkeypatch.setattr(torch.nn.Module, "__init__", lambda *_, **__: pytest.fail("a network was built"))
    written = [] if override.startswith("output=") else [f"output={tmp_path / 'out'}"]
    ended = command("train", f"cache_dir={tmp_path / 'cache'}", "model=tiny", *written, override)
    assert ended.code == 2, ended
    assert ended.err.startswith("generatect.train: ")
    assert BAD[override] in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
