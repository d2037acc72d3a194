"""`/v1/files` through the real OpenAI client, and what it refuses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import psutil
import pytest
import requests
from openai import OpenAI

from core.batch_errors import FileInUse, StoredFileNotFound
from core.batches import BatchStore, NewBatch
from core.database import Database
from core.files import PIECE_BYTES, FileStore
from tests.harness import Installation

LIMIT = 40_000_000


@pytest.fixture(scope="module")
def api(new_urls: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API alone: files need nobody else."""
    urls = new_urls()
    made = Installation(urls.database_url, urls.redis_url, tmp_path_factory.mktemp("files"))
    made.settings["MATHCODE_MAX_FILE_BYTES"] = str(LIMIT)
    try:
        made.start("api")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def client(api: Installation) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{api.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
def store(database: Database) -> FileStore:
    return FileStore(database)


def post(api: Installation, **options: Any) -> requests.Response:
    return requests.post(f"{api.url}/v1/files", timeout=60, **options)


def test_a_file_comes_back_as_it_was_sent(client: OpenAI) -> None:
    content = bytes(range(256)) * 10_000
    kept: Any = {"anchor": "created_at", "seconds": 3600}
    made = client.files.create(file=("ünsere fragen.jsonl", content), purpose="batch", expires_after=kept)
    assert (made.object, made.status, made.purpose) == ("file", "processed", "batch")
    assert (made.bytes, made.filename) == (len(content), "ünsere fragen.jsonl")
    assert made.expires_at == made.created_at + 3600
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == content
    deleted = client.files.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)


def test_pages_list_every_file_once_in_both_orders(client: OpenAI, api: Installation) -> None:
    made = [client.files.create(file=(f"{n}.jsonl", b"{}"), purpose="batch").id for n in range(5)]
    newest = [file.id for file in client.files.list(limit=2)]
    oldest = [file.id for file in client.files.list(limit=2, order="asc", purpose="batch")]
    assert newest == oldest[::-1]
    assert oldest[-5:] == made
    assert list(client.files.list(purpose="batch_output")) == []
    assert api.get("/v1/files", params={"limit": 2}).json()["has_more"] is True
    for bad in ({"limit": 0}, {"purpose": "a\0"}, {"order": "random"}, {"after": "x"}, {"colour": "red"}):
        assert api.get("/v1/files", params=bad).status_code in (400, 404)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"files": {"file": ("a.jsonl", b"{}")}}, "purpose"),
        ({"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": "fine-tune"}}, "purpose"),
        ({"files": {"file": ("a.jsonl", b"")}, "data": {"purpose": "batch"}}, "file"),
        ({"files": {"other": ("a.jsonl", b"{}")}, "data": {"purpose": "batch"}}, "file"),
        ({"files": [("file", ("a", b"{}")), ("file", ("b", b"{}"))], "data": {"purpose": "batch"}}, "file"),
        ({"files": {"file": ("x" * 300, b"{}")}, "data": {"purpose": "batch"}}, "file"),
        ({"data": {"purpose": "batch"}}, "file"),
        ({"json": {"purpose": "batch"}}, "file"),
        ({"data": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "file"),
        ({"data": b"", "headers": {"Content-Type": "multipart/form-data"}}, "file"),
        (
            {"files": {"file": ("a", b"{}")}, "data": {"purpose": "batch", "expires_after[seconds]": "7200"}},
            "expires_after",
        ),
        (
            {
                "files": {"file": ("a", b"{}")},
                "data": {"purpose": "batch", "expires_after[seconds]": "1", "expires_after[anchor]": "created_at"},
            },
            "expires_after[seconds]",
        ),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(api: Installation, form: dict[str, Any], param: str) -> None:
    response = post(api, **form)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    with closing(Database(api.database_url)) as ledger:
        assert ledger.fetch("SELECT 1 FROM file WHERE size_bytes IS NULL") == []


def test_a_file_keeps_the_last_part_of_its_name(api: Installation) -> None:
    response = post(api, files={"file": ("../../etc/passwd", b"{}")}, data={"purpose": "batch"})
    assert response.json()["filename"] == "passwd"


def test_a_large_file_is_never_held_whole(api: Installation) -> None:
    """Sent in the database's notation it would be twice as large."""
    process = psutil.Process(api.processes["api"].pid)
    post(api, files={"file": ("warm.jsonl", b"{}" * 3_000_000)}, data={"purpose": "batch"})
    before = process.memory_info().rss
    content = b"0123456789abcde\n" * 2_400_000
    file_id = post(api, files={"file": ("a.jsonl", content)}, data={"purpose": "batch"}).json()["id"]
    highest, received = process.memory_info().rss, io.BytesIO()
    with api.get(f"/v1/files/{file_id}/content", stream=True) as response:
        for piece in response.iter_content(PIECE_BYTES):
            received.write(piece)
            highest = max(highest, process.memory_info().rss)
    assert received.getvalue() == content
    assert highest - before < 30_000_000


def test_only_this_route_takes_large_bodies(api: Installation) -> None:
    large = {"file": ("a.jsonl", b"x" * (LIMIT + 1_000_000))}
    assert post(api, files=large, data={"purpose": "batch"}).status_code == 413
    assert post(api, files={"file": ("a", b"x" * (LIMIT + 1))}, data={"purpose": "batch"}).status_code == 413
    for path in ("/v1/jobs", "/v1/batches", "/v1/chat/completions"):
        assert requests.post(f"{api.url}{path}", data=b"x" * 2_000_000, timeout=30).status_code == 413
        try:
            far = requests.post(f"{api.url}{path}", data=b"x" * 20_000_000, timeout=30)
            assert far.status_code == 413
        except requests.ConnectionError:
            pass  # refused before all of it was sent
    with closing(Database(api.database_url)) as ledger:
        assert ledger.fetch("SELECT 1 FROM file WHERE size_bytes IS NULL") == []


def stored(store: FileStore, content: bytes = b"{}\n", key_id: str | None = None) -> str:
    writer = store.create(purpose="batch", key_id=key_id)
    writer.write(content)
    return writer.finish(filename="in.jsonl", lives_s=None).id


def test_reading_begins_at_any_byte(store: FileStore) -> None:
    content = bytes(range(250)) * 10_000
    file_id = stored(store, content)
    for position in (0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(content) - 1, len(content)):
        assert b"".join(store.read(file_id, position=position)) == content[position:]


def test_a_file_that_an_open_batch_reads_is_not_deleted(store: FileStore, database: Database) -> None:
    file_id, batches = stored(store), BatchStore(database)
    new = NewBatch(file_id=file_id, endpoint="/v1/chat/completions", window="24h", window_s=86_400)
    batch = batches.create(new)
    with pytest.raises(FileInUse):
        store.delete(file_id, key_id=None)
    database.execute("UPDATE file SET expires_at = now()")
    assert store.prune() == 0
    assert b"".join(store.read(file_id)) == b"{}\n"
    with pytest.raises(StoredFileNotFound):
        batches.create(new)
    assert batches.get(batch.id, key_id=None).input_file_id == file_id


def test_files_belong_to_their_key(store: FileStore) -> None:
    mine, others = stored(store, key_id="mine"), stored(store, key_id="others")
    with pytest.raises(StoredFileNotFound):
        store.get(others, key_id="mine")
    with pytest.raises(StoredFileNotFound):
        store.delete(others, key_id="mine")
    page = store.page(key_id="mine", after=None, limit=9, is_ascending=True, purpose=None)
    assert [file.id for file in page] == [mine]


def test_what_expired_or_was_never_finished_is_pruned(store: FileStore, database: Database) -> None:
    kept, expired = stored(store), stored(store)
    store.create(purpose="batch", key_id=None).write(b"x" * PIECE_BYTES)
    assert store.prune() == 0
    database.execute("UPDATE file SET expires_at = now() WHERE id = %(id)s", {"id": expired.removeprefix("file-")})
    with pytest.raises(StoredFileNotFound):
        store.get(expired, key_id=None)
    database.execute("UPDATE file SET created_at = now() - interval '2 days' WHERE size_bytes IS NULL")
    assert store.prune() == 2
    assert store.get(kept, key_id=None).size_bytes == 3
    assert database.fetch("SELECT count(*)::int AS n FROM file_piece")[0]["n"] == 1
