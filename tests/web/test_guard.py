"""Who may ask, and for what: everything else is refused in one sentence."""

import contextlib
import socket
from urllib.parse import quote

import pytest

from generatect.web.security import POLICY

GOOD = {"X-Generatect-Token": "a-token-for-tests"}
ADDRESSES = ["/", "/api/about", "/api/jobs", "/api/volume?volume=phantom/1", "/static/js/main.js", "/nowhere"]


def refused(answer, part, status=403):
    assert answer.status == status, answer
    sentence = answer.json["error"] if answer.headers["content-type"] == "application/json" else answer.body.decode()
    assert part in sentence
    assert sentence.strip().count("\n") == 0


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Generatect-Token": "wrong"}, {"X-Generatect-Token": ""}, {"Cookie": "generatect-1=a-token-for-tests"}],
)
def test_a_wrong_token(served, path, headers):
    refused(served.ask(path, headers=headers), "token")


def test_a_wrong_token_in_the_address(served):
    refused(served.ask("/?token=a-token-for-test", headers={}), "token")
    refused(served.ask("/api/about?token=a-token-for-tests", headers={}), "token")  # only the page's own address


def test_the_first_visit_leaves_a_cookie_that_opens_the_rest(served):
    first = served.ask(f"/?token={served.token}", headers={})
    assert first.status == 200
    assert b"<!doctype html>" in first.body
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    pair = cookie.partition(";")[0]
    assert served.ask("/api/about", headers={"Cookie": pair}).status == 200
    assert served.ask("/static/js/main.js", headers={"Cookie": pair}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_another_host(served, host):
    refused(served.ask("/api/about", headers={**GOOD, "Host": host.format(port=served.port)}), "answers only at")


def test_two_hosts(served):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        host = f"Host: 127.0.0.1:{served.port}\r\n"
        asked = f"GET /api/about HTTP/1.1\r\n{host}{host}X-Generatect-Token: {served.token}\r\n\r\n"
        connection.sendall(asked.encode())
        status = int(connection.recv(4096).split()[1])
    assert status in (400, 403)


def test_localhost_is_this_host_too(served):
    assert served.ask("/api/about", headers={**GOOD, "Host": f"localhost:{served.port}"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    ],
)
def test_another_page(served, headers):
    refused(served.ask("/api/jobs", headers={**GOOD, **headers}), "another page")
    refused(served.ask("/api/jobs", method="POST", headers={**GOOD, **headers}, body={"prompt": "x"}), "another page")


def test_every_answer_is_locked_down(served):
    for path in [*ADDRESSES, "/api/volume?volume=nothing"]:
        for headers in (GOOD, {}):
            answer = served.ask(path, headers=headers)
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]
    assert "unsafe" not in POLICY
    assert "script-src 'self';" in POLICY


PLACES = [
    "..",
    "0/..",
    "0/../outside",
    "0/scans/../../outside",
    "0/scans/..",
    "0/%2e%2e",
    "0/..%2f..%2fetc",
    "0//etc",
    "0/./scans",
    "0/scans/",
    "/etc",
    "0/C:\\Windows",
    "0\\..\\..",
    "0/..\\..",
    "0/scans%00",
    "0/.hidden",
    "0/linked",
    "0/linked/secret.nii.gz",
    "0/link.nii.gz",
    "1",
    "-1",
    "²",
    "0/" + "a" * 5000,
    "0/" + "../" * 40 + "etc",
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[:24])
def test_no_path_leads_out_of_the_opened_folders(served, place):
    for written in {place, quote(place, safe=""), quote(quote(place, safe=""), safe="")}:
        if not written.isascii() or set(written) & set("\\ "):
            continue
        refused(served.ask(f"/api/folder?place={written}"), "no such place", 400)
        for address in ("volume", "nifti", "thumbnail"):
            refused(served.ask(f"/api/{address}?volume=files/{written}"), "no such place", 400)
        refused(served.ask(f"/api/file?format=nifti&volume=files/{written}"), "no such place", 400)


@pytest.mark.parametrize(
    "name", ["..", "../x", "..%2f..%2fx", "a/b", "%2fetc%2fpasswd", ".hidden", "a%00b", "", "nothing", "x" * 4000]
)
def test_no_name_leads_out_of_the_output_folder(served, name):
    (served.output.parent / "x.nii.gz").write_bytes(b"")
    for address in ("volume", "nifti", "thumbnail"):
        refused(served.ask(f"/api/{address}?volume=made/{name}"), "no such volume", 400)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
    ],
)
def test_static_files_are_those_of_the_page(served, path):
    assert served.ask(path).status == 404


def test_links_out_and_files_that_are_no_volumes_are_neither_listed_nor_read(served):
    listed = served.ask("/api/folder?place=0").json
    assert [folder["name"] for folder in listed["folders"]] == ["scans"]
    assert listed["volumes"] == []
    refused(served.ask("/api/volume?volume=files/0/notes.txt"), "is no volume", 400)


def test_200_megabytes_are_refused_without_being_read(served):
    """Declared or not, the server stops listening long before the end."""
    for declared in (True, False):
        length = "Content-Length: 200000000" if declared else "Transfer-Encoding: chunked"
        head = (
            f"POST /api/uploads?name=a.nii HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
            f"X-Generatect-Token: {served.token}\r\n{length}\r\n\r\n"
        )
        block = bytes(100_000)
        sent = 0
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(head.encode())
            connection.settimeout(0.3)
            answer = b""
            try:
                while sent < 200_000_000 and not answer:
                    connection.sendall(block if declared else b"186a0\r\n" + block + b"\r\n")
                    sent += len(block)
                    connection.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        answer = connection.recv(65536)
                    connection.settimeout(0.3)
            except (OSError, TimeoutError):
                connection.settimeout(5)
                answer = answer or connection.recv(65536)
        assert b" 413 " in answer.split(b"\r\n")[0], (declared, answer[:200])
        assert sent < 40_000_000, "buffers of the network are far smaller than what was to be sent"
    assert served.ask("/api/about").status == 200
