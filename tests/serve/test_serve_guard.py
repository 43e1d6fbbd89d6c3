"""Who may ask for what: tokens, names of hosts, files, ranges."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import zarr
from serving import PATIENT, TOKEN, Serve, Served

from wsi_pipeline.errors import ConfigError
from wsi_pipeline.serve import listen
from wsi_pipeline.serve.files import find_artefact, kind_of
from wsi_pipeline.serve.guard import is_loopback, is_own_name

ZARR = "results/slides/s1/segmentation.ome.zarr"


def ask(
    served: Served, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a path exactly as it is written: no client tidies it up."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="host" in {k.lower() for k in headers or {}})
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def within(path: str) -> str:
    return f"/{TOKEN}/{path}"


PAGES = [
    "",
    "static/view.js",
    "static/view.css",
    "static/openseadragon.js",
    "view/s1/",
    "view/s1/slide/0/0_0.jpg",
    "view/s1/classes/0/0_0.png",
    "view/s1/at.json?down_um=1&right_um=1",
    f"{ZARR}/zarr.json",
    "results/cohort.html",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_address_needs_the_token(served: Served, path: str) -> None:
    assert ask(served, within(path))[0] == 200
    for wrong in ("/" + path, f"/wrong/{path}", f"/{TOKEN}x/{path}", f"/{TOKEN[:-1]}/{path}"):
        status, headers, body = ask(served, wrong)
        assert status == 403
        assert TOKEN.encode() not in body
        assert TOKEN not in str(headers)


@pytest.mark.parametrize("path", [*PAGES, "nothing", "view/none/", "results/slides/s1/slide.json"])
def test_every_answer_is_closed(served: Served, path: str) -> None:
    _, headers, body = ask(served, within(path))
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers
    assert PATIENT.encode() not in body


def test_the_token_alone_leads_to_the_first_page(served: Served) -> None:
    status, headers, _ = ask(served, f"/{TOKEN}")
    assert (status, headers["location"]) == (307, f"/{TOKEN}/")


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:1", True),
        ("localhost:8000", True),
        ("[::1]:8000", True),
        ("LOCALHOST", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:80", False),
        ("10.0.0.7", False),
        ("[::1", True),
        ("", False),
        ("[evil]", False),
    ],
)
def test_a_name_that_was_bound_anew_is_refused(served: Served, host: str, is_served: bool) -> None:
    status, _, body = ask(served, within(""), headers={"Host": host})
    assert (status == 200) is is_served
    assert is_served or b"s1" not in body


def test_addresses_are_own_names_of_a_server_for_all() -> None:
    assert is_own_name("10.0.0.7:80", host="0.0.0.0")  # noqa: S104
    assert is_own_name("node7:80", host="node7")
    assert not is_own_name("evil.example", host="0.0.0.0")  # noqa: S104
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("node7")


SECRETS = ["slides/s1/slide.json", "run.yaml", "logs/inspect/s1.log", "slides/s1/tiles.json"]
UPWARDS = "../../../../../../../../etc/passwd"
TRIED = [
    # what the pipeline keeps to itself, by its plain name
    *(f"results/{name}" for name in SECRETS),
    "results/slides/s1/failure.json",
    "results/slides/s1/label.png",
    "results/slides/s1/",
    "results/slides/s1",
    "results/",
    "results/cases/c1/report.json",
    "results/slides/s1/segmentation.ome.zarr",
    "results/slides/s1/segmentation.ome.zarr/",
    "results/slides/s1/segmentation.ome.zarr.partial/zarr.json",
    # upwards
    f"results/{UPWARDS}",
    f"{ZARR}/{UPWARDS}",
    f"{ZARR}/../slide.json",
    f"{ZARR}/labels/../../slide.json",
    f"{ZARR}/./../slide.json",
    f"{ZARR}/c/../../slide.json",
    f"{ZARR}/..;/slide.json",
    f"view/{UPWARDS}",
    "view/../results/slides/s1/slide.json",
    "view/../",
    "view/.../",
    "static/../app.py",
    "static/../../pages.py",
    # upwards, encoded once, twice, in part, overlong
    f"results/{UPWARDS.replace('.', '%2e')}",
    f"results/{UPWARDS.replace('/', '%2f')}",
    f"results/{UPWARDS.replace('../', '%2e%2e%2f')}",
    f"results/{UPWARDS.replace('../', '%252e%252e%252f')}",
    f"results/{UPWARDS.replace('../', '%25252e%25252e%25252f')}",
    f"{ZARR}/%2e%2e/slide.json",
    f"{ZARR}/.%2e/slide.json",
    f"{ZARR}%2f..%2fslide.json",
    f"{ZARR}/%252e%252e/slide.json",
    f"{ZARR}/%c0%ae%c0%ae/slide.json",
    f"{ZARR}/%ef%bc%8e%ef%bc%8e/slide.json",
    f"{ZARR}/%uff0e%uff0e/slide.json",
    "view/%2e%2e/",
    "view/%2e%2e%2f%2e%2e/",
    "view/s1%2f..%2fs1/",
    "static/%2e%2e%2fapp.py",
    "static/..%5capp.py",
    # backslashes
    f"results/{UPWARDS.replace('/', chr(92))}",
    f"{ZARR}/..%5cslide.json",
    f"{ZARR}/..%255cslide.json",
    "results/slides%5cs1%5cslide.json",
    "view/..%5c..%5cs1/",
    # absolute
    "results//etc/passwd",
    "results/%2fetc/passwd",
    "results///etc/passwd",
    "results/file:///etc/passwd",
    "results/C:/Windows/win.ini",
    "results/slides//s1/slide.json",
    "view//etc/passwd/",
    "view/%2fetc%2fpasswd/",
    # NUL, ends of lines, and names that never end
    f"{ZARR}/zarr.json%00",
    f"{ZARR}/zarr.json%00.png",
    "results/slides/s1/slide.json%00.parquet",
    "results/slides/s1/slide.json%0a.parquet",
    "results/slides/s1%00/segmentation.ome.zarr/zarr.json",
    "view/s1%00/",
    "view/s1%0d%0aX-Own:%201/",
    f"results/slides/{'a' * 5000}/measurements.json",
    f"view/{'a' * 5000}/",
    # case and trailing characters that some file systems forgive
    "results/slides/s1/slide.json.",
    "results/slides/s1/slide.json%20",
    "results/slides/s1/SLIDE.JSON",
    "results/slides/s1/slide.json::$DATA",
    # tiles that are not there
    "view/s1/slide/99/0_0.jpg",
    "view/s1/slide/0/99999999999999999999_0.jpg",
    "view/s1/slide/-1/0_0.jpg",
    "view/s1/classes/0/0_9.png",
    "view/s1/relative/0/0_0.png",
    "view/s1/secret/0/0_0.png",
]


@pytest.mark.parametrize("path", TRIED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_else_can_be_read(served: Served, path: str, method: str) -> None:
    status, headers, body = ask(served, within(path), method=method)
    assert status in (403, 404), (status, body[:200])
    assert PATIENT.encode() not in body
    assert b"root:" not in body
    assert "x-own" not in headers


@pytest.mark.parametrize("path", [f"/{UPWARDS}", "/../results/run.yaml", f"http://x/{TOKEN}/"])
def test_nothing_can_be_read_before_the_token(served: Served, path: str) -> None:
    assert ask(served, path)[0] in (400, 403, 421)


@pytest.mark.parametrize("name", ["slide.json", "outside.parquet", "loop.parquet"])
def test_links_out_of_the_folder_lead_nowhere(own_results: Path, name: str) -> None:
    folder = own_results / "slides" / "s1"
    secret = own_results.parent / "secret"
    secret.write_text(PATIENT)
    (folder / "outside.parquet").symlink_to(secret)
    (folder / "loop.parquet").symlink_to(folder / "loop.parquet")
    (folder / "segmentation.ome.zarr" / "0").rename(own_results.parent / "moved")
    (folder / "segmentation.ome.zarr" / "0").symlink_to(own_results.parent / "moved")
    assert find_artefact(own_results, f"slides/s1/{name}") is None
    assert find_artefact(own_results, "slides/s1/segmentation.ome.zarr/0/zarr.json") is None
    assert find_artefact(own_results, "slides/s1/nuclei.parquet") is not None


def test_a_slide_that_is_a_link_out_of_the_folder_is_no_slide(
    own_results: Path, serve: Serve
) -> None:
    away = own_results.parent / "away"
    (own_results / "slides" / "s1").rename(away)
    (own_results / "slides" / "s1").symlink_to(away)
    served = serve(own_results)
    assert b"s1" not in ask(served, within(""))[2].split(b"Case reports")[0]
    assert ask(served, within("view/s1/"))[0] == 404
    assert ask(served, within(f"{ZARR}/zarr.json"))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
def test_nothing_can_be_changed(served: Served, method: str) -> None:
    for path in ("", "view/s1/", f"{ZARR}/zarr.json"):
        assert ask(served, within(path), method=method)[0] in (403, 405)


def test_files_are_served_in_ranges(served: Served, results: Path) -> None:
    whole = (results / "slides" / "s1" / "nuclei.parquet").read_bytes()
    path = within("results/slides/s1/nuclei.parquet")
    status, headers, body = ask(served, path)
    assert (status, body, headers["accept-ranges"]) == (200, whole, "bytes")
    status, headers, body = ask(served, path, method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(whole)))
    for asked, part in {
        "bytes=0-3": whole[:4],
        "bytes=100-": whole[100:],
        "bytes=-20": whole[-20:],
        "bytes=250-9999": whole[250:],
    }.items():
        status, headers, body = ask(served, path, headers={"Range": asked})
        assert (status, body) == (206, part)
        assert headers["content-range"].endswith(f"/{len(whole)}")
    assert ask(served, path, headers={"Range": "bytes=9999-"})[0] == 416


def test_other_programs_read_the_same_arrays(served: Served, results: Path) -> None:
    """Through zarr's own reader by HTTP, shards and their indices in ranges."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    address = f"{served.url}{ZARR}"
    for name in ("labels/tissue/0", "labels/tissue/1", "probabilities/0"):
        theirs = zarr.open_array(f"{address}/{name}", mode="r")
        ours = zarr.open_array(results.joinpath(*ZARR.split("/")[1:], name), mode="r")
        assert (np.asarray(theirs[:]) == np.asarray(ours[:])).all()


def test_a_chunk_that_was_never_written_is_not_found(served: Served) -> None:
    assert ask(served, within(f"{ZARR}/0/c/0/99/99"))[0] == 404


def test_only_named_pages_elsewhere_read_stores_and_nothing_but_stores(served: Served) -> None:
    theirs = {"Origin": "https://viewer.example"}
    status, headers, _ = ask(served, within(f"{ZARR}/zarr.json"), headers=theirs)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://viewer.example")
    assert "access-control-allow-credentials" not in headers
    asked = {**theirs, "Access-Control-Request-Method": "GET"}
    private = {**asked, "Access-Control-Request-Private-Network": "true"}
    status, headers, _ = ask(served, within(f"{ZARR}/zarr.json"), method="OPTIONS", headers=private)
    assert (status, headers["access-control-allow-headers"]) == (204, "Range, If-Range")
    assert headers["access-control-allow-private-network"] == "true"
    absent = ask(served, within(f"{ZARR}/0/c/0/99/99"), headers=theirs)
    assert (absent[0], absent[1]["access-control-allow-origin"]) == (404, theirs["Origin"])
    for path in ("", "view/s1/", "results/cohort.html", "results/slides/s1/measurements.json"):
        headers = ask(served, within(path), headers=theirs)[1]
        assert "access-control-allow-origin" not in headers
    other = {"Origin": "https://evil.example"}
    assert (
        "access-control-allow-origin"
        not in ask(served, within(f"{ZARR}/zarr.json"), headers=other)[1]
    )
    assert ask(served, within(f"{ZARR}/zarr.json"), method="OPTIONS", headers=other)[0] == 403


def test_stored_pages_have_no_origin(served: Served) -> None:
    policy = ask(served, within("results/cases/c1/report.html"))[1]["content-security-policy"]
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy


def test_what_may_be_read_is_what_others_read() -> None:
    assert kind_of("slides/a b/annotations.geojson.gz") == "table"
    assert kind_of("slides/a/segmentation.ome.zarr/labels/tissue/0/c/1/2") == "store"
    assert kind_of("slides/a/segmentation-04.ome.zarr/0/0.1.2") == "store"
    assert kind_of("slides/a/segmentation.ome.zarr/.zattrs") == "store"
    assert kind_of("slides/a/segmentation.ome.zarr/macro.jpg") is None
    assert kind_of("slides/a/segmentation.ome.zarr/.zattrs\n") is None


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    with pytest.raises(ConfigError, match=f"port {served.port} .*choose another --port"):
        listen("127.0.0.1", served.port)


@pytest.mark.parametrize("hostile", ["<script>alert(1)<script>", "a'\"b&c", "\u202etxt"])
def test_hostile_ids_are_shown_and_do_nothing(
    own_results: Path, serve: Serve, hostile: str
) -> None:
    slides = own_results / "slides"
    (slides / "s1").rename(slides / hostile)
    (own_results / "cases" / "c1").rename(own_results / "cases" / hostile)
    served = serve(own_results)
    for path in ("", f"view/{quote(hostile)}/", f"view/{quote(hostile)}x/"):
        status, _, body = ask(served, within(path))
        assert status == (404 if path.endswith("x/") else 200)
        text = body.decode()
        assert "<script>alert" not in text
        assert text.count("<script") == (0 if status == 404 else 3 if path else 1)
        assert "a'\"b" not in text
    assert ask(served, within(f"results/cases/{quote(hostile)}/report.html"))[0] == 200


def test_a_place_must_be_a_number(served: Served) -> None:
    for query in ("", "?down_um=1", "?down_um=nan&right_um=1", "?down_um=1&right_um=x"):
        assert ask(served, within(f"view/s1/at.json{query}"))[0] == 400
    answer = json.loads(ask(served, within("view/s1/at.json?down_um=-1e308&right_um=1"))[2])
    assert [line["value"] for line in answer["values"]] == [None] * 4
