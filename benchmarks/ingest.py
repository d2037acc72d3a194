"""How many files a second an ingest takes: judging alone, and with everything, PostgreSQL included.

    python -m benchmarks.ingest [--files 4000] [--site DIRECTORY]

The files are those of the standard library of the Python that runs this, and of the packages installed beside it.
Each question is answered in CPU seconds of this process and of the linter it starts, so for one core:

- what each stage costs per file, on files that come so far;
- `scoring alone`: from bytes in memory to a score, that is parsing, linting and all signals;
- `assessment`: that, and language, origin, licence, secrets and redaction;
- `ingest`: reading, hashing, assessment, MinHash, comparison and storing, in seconds of the clock too, with an
  embedded PostgreSQL on the same machine, into an empty corpus and then again into the full one.
"""

from __future__ import annotations

import argparse
import os
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.report import Row, print_table
from core.code_files import CodeFileStore
from core.database import Database
from core.training_settings import PERMISSIVE
from stack.servers import EmbeddedServers, scratch_data_dir
from training.ingest.assessment import Assessor, Context, RawFile, read
from training.ingest.byte_classes import ByteClasses
from training.ingest.ingestion import BATCH_FILES, Ingestion
from training.ingest.licences import Licences
from training.ingest.lint import Lint, lint
from training.ingest.minhash import Hashes, Powers, bands, shingles, signature
from training.ingest.origins import foreign
from training.ingest.quality import Subject, score
from training.ingest.redaction import redact
from training.ingest.secret_scan import SecretScanner
from training.ingest.sources import Repository
from training.ingest.tree import walk

T = TypeVar("T")
STAGES = (("stage", "stage", "s"), ("us", "µs/file", ".0f"), ("rate", "files/s", ".0f"))
RUNS = (
    ("what", "", "s"),
    ("files", "files", "d"),
    ("cpu", "files/s of CPU", ".0f"),
    ("wall", "files/s of clock", ".0f"),
    ("kept", "kept", "d"),
)


def cpu_s() -> float:
    """Of this process and of all children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Stages:
    """Seconds by stage, over the same files."""

    def __init__(self, files: int) -> None:
        self._files = files
        self.rows: list[Row] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = cpu_s()
        yield
        seconds = cpu_s() - begun
        self.rows.append({"stage": name, "us": 1e6 * seconds / self._files, "rate": self._files / seconds})

    def each(self, name: str, action: Callable[[T], object], items: Sequence[T]) -> None:
        with self.stage(name):
            for item in items:
                action(item)


def repository(root: Path, most: int) -> Repository:
    paths = tuple(path for path in walk(root) if path.endswith(".py") and "site-packages" not in path)
    step = max(1, len(paths) // most)
    return Repository(root=root, name=str(root), commit=None, paths=paths[::step][:most])


def usable(repo: Repository) -> list[RawFile]:
    """What can be scored at all: text that is not empty."""
    found = []
    for path in repo.paths:
        file = read(repo.root, path)
        try:
            is_text = bool((file.data or b"").decode().strip()) and b"\0" not in (file.data or b"")
        except UnicodeDecodeError:
            continue
        if is_text:
            found.append(file)
    return found


def linted(datas: Sequence[bytes]) -> list[Lint]:
    verdicts: list[Lint] = []
    for begin in range(0, len(datas), BATCH_FILES):
        batch = dict(enumerate(datas[begin : begin + BATCH_FILES]))
        verdicts += lint(batch).values()
    return verdicts


def scored(files: Sequence[RawFile]) -> list[float]:
    """Scoring alone, as an ingest does it: a batch of bytes at a time."""
    datas = [file.data or b"" for file in files]
    values = []
    for file, data, verdict in zip(files, datas, linted(datas), strict=True):
        subject = Subject(
            path=file.path, language="python", text=data.decode(), classes=ByteClasses(data), lint=verdict
        )
        values.append(score(subject).value)
    return values


def measure_stages(files: Sequence[RawFile]) -> list[Row]:
    """Each stage by itself. What is derived of the bytes is computed anew by the stage that needs it."""
    stages, powers, scanner = Stages(len(files)), Powers(), SecretScanner()
    datas = [file.data or b"" for file in files]
    texts = [data.decode() for data in datas]
    with stages.stage("parse and lint (ruff)"):
        verdicts = linted(datas)
    subjects = [
        Subject(path=file.path, language="python", text=text, classes=ByteClasses(data), lint=verdict)
        for file, text, data, verdict in zip(files, texts, datas, verdicts, strict=True)
    ]
    stages.each("signals", score, subjects)
    stages.each("blob hash", lambda file: file.blob_hash, files)
    stages.each("origin", lambda s: foreign(s.path, s.text[:4000], ByteClasses(s.classes.data)), subjects)
    stages.each("secrets", lambda s: scanner.find(s.text, ByteClasses(s.classes.data)), subjects)
    stages.each("redaction", redact, texts)
    grams: list[Hashes] = []
    stages.each("5-grams", lambda data: grams.append(shingles(ByteClasses(data), powers)), datas)
    stages.each("256 permutations and bands", lambda each: bands(signature(each)), grams)
    return stages.rows


def measure_run(what: str, files: int, action: Callable[[], int]) -> Row:
    begun, clock = cpu_s(), time.perf_counter()
    kept = action()
    return {
        "what": what,
        "files": files,
        "cpu": files / (cpu_s() - begun),
        "wall": files / (time.perf_counter() - clock),
        "kept": kept,
    }


def assess(files: Sequence[RawFile], root: Path) -> int:
    assessor = Assessor(PERMISSIVE)
    context = Context(repo="benchmark", commit=None, licences=Licences(root, declared="PSF-2.0"), has_tests=True)
    batches = (files[begin : begin + BATCH_FILES] for begin in range(0, len(files), BATCH_FILES))
    return sum(row.is_kept for batch in batches for row in assessor.assess(batch, context))


def ingest(repo: Repository, database: Database) -> int:
    ingestion = Ingestion(CodeFileStore(database), Assessor(PERMISSIVE), declared="PSF-2.0")
    ingestion.ingest(repo, lambda _: None)
    return ingestion.tally.kept


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=4000, help="most files of each tree")
    parser.add_argument("--site", type=Path, default=Path(sysconfig.get_path("purelib")))
    options = parser.parse_args()
    trees = {"standard library": Path(sysconfig.get_path("stdlib")), "site-packages": options.site}
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        closing(Database(servers.urls.database_url)) as database,
    ):
        database.migrate()
        for name, root in trees.items():
            report(name, repository(root, options.files), database)


def report(name: str, repo: Repository, database: Database) -> None:
    files = usable(repo)
    size = sum(file.size_bytes for file in files) / len(files)
    print(f"\n{name}: {len(files)} files, mean {size / 1000:.1f} kB")
    print_table(STAGES, measure_stages(files))
    runs = [
        measure_run("scoring alone", len(files), lambda: len(scored(files))),
        measure_run("assessment", len(files), lambda: assess(files, repo.root)),
        measure_run("ingest", len(repo.paths), lambda: ingest(repo, database)),
        measure_run("the same again", len(repo.paths), lambda: ingest(repo, database)),
    ]
    print_table(RUNS, runs)


if __name__ == "__main__":
    main()
