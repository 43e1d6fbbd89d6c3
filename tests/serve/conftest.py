"""A folder of results, and servers over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest
import uvicorn
from serving import TOKEN, Serve, Served, write_results

from wsi_pipeline.serve import Guard, listen, make_app, make_server
from wsi_pipeline.stages.inspect import SlideRecord, read_record
from wsi_pipeline.stages.view import open_library, read_openseadragon


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("view") / "results")


@pytest.fixture
def own_results(results: Path, tmp_path: Path) -> Path:
    """Results, and a slide, that a test may spoil."""
    copied = copytree(results.parent, tmp_path / "own") / "results"
    record = copied / "slides" / "s1" / "slide.json"
    record.write_text(record.read_text().replace(str(results.parent), str(copied.parent)))
    return copied


@pytest.fixture(scope="session")
def record(results: Path) -> SlideRecord:
    return read_record(results / "slides" / "s1" / "slide.json")


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Start a server over a folder of results, in a thread."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(root: Path, *, origins: tuple[str, ...] = ()) -> Served:
        told: list[str] = []
        app = make_app(
            open_library(root, tell=told.append), script=read_openseadragon(), origins=origins
        )
        guard = Guard(app, token=TOKEN, host="127.0.0.1")
        listening = listen("127.0.0.1", 0)
        server = make_server(guard)

        def run() -> None:
            with closing(listening):
                server.run(sockets=[listening])

        thread = threading.Thread(target=run)
        thread.start()
        running.append((server, thread))
        return Served(listening.getsockname()[1], told)

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def served(serve: Serve, results: Path) -> Served:
    return serve(results, origins=("https://viewer.example",))
