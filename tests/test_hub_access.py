"""What is asked of the Hub, and what is not; one that says nothing."""

import os
import socket

import pytest

from generatect import hub_access
from generatect.checkpoints.hub import RELEASED, fetch_released
from generatect.checkpoints.weights import find_weights
from generatect.errors import InputError
from generatect.evaluation.clip_model import load_clip
from generatect.hub_access import model_id, silence
from generatect.text.t5 import T5TextEncoder
from tests.checkpoints.hub_server import LocalHub


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """Function that makes an address the Hub of this process, whose cache is empty."""
    from huggingface_hub import constants

    def use(address: str) -> None:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        silence.cache_clear()

    yield use
    silence.cache_clear()


@pytest.fixture
def hub(endpoint):
    server = LocalHub()
    endpoint(server.address)
    yield server
    server.close()


@pytest.fixture
def quiet_hub(endpoint, monkeypatch):
    """A Hub that takes connections and never answers."""
    monkeypatch.setattr(hub_access, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield listener


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("lab/model-1.0_b", "lab/model-1.0_b"),
        ("google/t5-v1_1-base", "google/t5-v1_1-base"),
        ("hf://outputs/none", "outputs/none"),
        ("hf://meier/b", "meier/b"),
        ("meier/none", None),  # the folder is here
        ("maier/none", None),  # and this is how it is mistyped
        ("Meier/none", None),
        ("outputs/none", None),
        ("outpust/none", None),
        ("output/none", None),
        ("models/t5", None),
        ("a/b/c", None),
        ("./lab/a", None),
        ("../lab", None),
        ("/lab/a", None),
        ("~/a", None),
        ("lab/a.safetensors", None),
        ("lab/last.ckpt", None),
        ("lab", None),
        ("lab/a b", None),
        ("", None),
    ],
)
def test_a_path_is_never_asked_of_the_hub(tmp_path, monkeypatch, name, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meier").mkdir()
    assert model_id(name) == asked


def ask_for_weights(name: str) -> None:
    find_weights(name, "ctvit")


def ask_for_t5(name: str) -> None:
    T5TextEncoder(name_or_path=name)


@pytest.mark.parametrize("ask", [ask_for_weights, ask_for_t5, load_clip])
def test_of_a_mistyped_path_the_hub_hears_nothing(hub, tmp_path, monkeypatch, ask):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meier").mkdir()
    for name in ("outputs/none", "maier/run1", "meier/run2"):
        with pytest.raises(InputError, match=rf"{name}: no such (file|folder).* say hf://{name}$") as error:
            ask(name)
        assert "\n" not in str(error.value)
    assert hub.asked == []
    with pytest.raises(InputError):
        ask("hf://meier/run2")
    assert any("meier/run2" in path for path in hub.asked)


@pytest.mark.parametrize("ask", [ask_for_weights, ask_for_t5, load_clip])
def test_a_hub_that_never_answers_is_one_line_after_one_try(quiet_hub, caplog, capfd, ask):
    with pytest.raises(InputError, match=r"timed out|no answer within") as error:
        ask("released" if ask is ask_for_weights else "lab/model")
    assert "\n" not in str(error.value)
    assert "Retrying" not in caplog.text + "".join(capfd.readouterr())
    quiet_hub.setblocking(False)
    connections = []
    while True:
        try:
            connections.append(quiet_hub.accept())
        except BlockingIOError:
            break
    for connection, _ in connections:
        connection.close()
    assert len(connections) == 1


def test_what_is_in_the_cache_needs_no_answer(hub, quiet_hub, endpoint):
    name = "pretrained_models/ctvit_pretrained.pt"
    hub.repos[RELEASED] = {name: os.urandom(99)}
    endpoint(hub.address)
    path = fetch_released("ctvit")
    endpoint(f"http://127.0.0.1:{quiet_hub.getsockname()[1]}")
    assert fetch_released("ctvit") == path
