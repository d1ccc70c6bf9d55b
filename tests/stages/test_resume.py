"""A run that is broken off and resumed is the run that nothing happened to, bit for bit."""

import pytest

from tests.stages.warm import batches, run_scenario, saves

STAGES = ("ctvit", "transformer", "superres")


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Folder and ends of runs of twenty steps, and of others that a signal ended in or after the tenth."""
    folder = tmp_path_factory.mktemp("halves")
    return folder, {line["run"]: line for line in run_scenario("halves", folder, 2)}


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stage", STAGES)
def test_twenty_steps_are_ten_and_ten(halves, stage, num_workers):
    folder, ends = halves
    assert ends[f"whole-{stage}"]["ended"] == [0]
    end = ends[f"halves-{stage}-{num_workers}"]
    assert end["ended"] == [128 + 15, 0], end
    assert "SIGTERM after step 10" in end["err"]
    whole, both = (batches(folder, name) for name in (f"whole-{stage}", end["run"]))
    assert len(whole) == 20
    assert both == whole  # numbers, samples and the states of Python's, NumPy's and torch's generators
    (expected,) = {str(save) for save in saves(folder, f"whole-{stage}") if save["saved"] == 20}
    assert {str(save) for save in saves(folder, end["run"]) if save["saved"] == 20} == {expected}


@pytest.mark.parametrize("stage", STAGES)
def test_a_validation_that_was_broken_off_is_made_up_for(halves, stage):
    folder, _ = halves
    whole, halved = (
        {path.name for path in (folder / name / "checkpoints").iterdir()}
        for name in (f"whole-{stage}", f"halves-{stage}-2")
    )
    assert whole == halved
    assert len(whole) == 3


def test_a_finished_run_is_written_out_again(train_tiny):
    output = train_tiny("ctvit", "~callbacks.previews")
    exported = output / "ctvit.safetensors"
    before = exported.read_bytes()
    exported.unlink()  # as if the run had been killed after its last checkpoint
    train_tiny("ctvit", "resume=auto", output=output)
    assert exported.read_bytes() == before
