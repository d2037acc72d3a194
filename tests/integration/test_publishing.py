"""From an adapter to a version in service: whole, recorded, named by a link; twice is once."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.database import Database
from core.model_versions import Version, VersionState, VersionStore
from core.version_link import LINK
from tests.adapters import write_adapter
from training.publishing import Publisher


@pytest.fixture
def versions(database: Database) -> VersionStore:
    return VersionStore(database)


@pytest.fixture
def publisher(versions: VersionStore, tmp_path: Path) -> Publisher:
    (tmp_path / "models").mkdir()
    return Publisher(versions, tmp_path / "models")


def publish(publisher: Publisher, adapter: Path, *, run_id: int, parent: int | None = None) -> Version:
    return publisher.publish(
        adapter,
        run_id=run_id,
        parent=parent,
        base_hash="base",
        manifest_hash="manifest",
        scores={"candidate": {"losses": {"heldout": 1.0}}},
    )


def test_a_published_adapter_serves_under_a_number_and_a_link_names_it(
    publisher: Publisher, versions: VersionStore, tmp_path: Path
) -> None:
    version = publish(publisher, write_adapter(tmp_path / "adapter"), run_id=7)
    assert (version.name, version.state) == ("v1", VersionState.SERVING)
    link = tmp_path / "models" / LINK
    assert link.resolve() == version.directory
    assert sorted(file.name for file in link.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "version.json",
    ]


def test_publishing_again_after_an_interruption_changes_nothing(
    publisher: Publisher, versions: VersionStore, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "adapter")
    first, second = publish(publisher, adapter, run_id=7), publish(publisher, adapter, run_id=7)
    assert (first.number, first.directory) == (second.number, second.directory)
    assert len(versions.all()) == 1


def test_a_directory_that_an_interruption_left_torn_is_written_again(publisher: Publisher, tmp_path: Path) -> None:
    torn = tmp_path / "models" / "mamba_codestral" / "run-7"
    torn.mkdir(parents=True)
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    adapter = write_adapter(tmp_path / "adapter")
    version = publish(publisher, adapter, run_id=7)
    weights = "adapter_model.safetensors"
    assert (version.directory / weights).read_bytes() == (adapter / weights).read_bytes()


def test_the_link_follows_a_rollback_and_is_gone_where_the_base_model_serves(
    publisher: Publisher, versions: VersionStore, tmp_path: Path
) -> None:
    first = publish(publisher, write_adapter(tmp_path / "a", seed=1), run_id=1)
    publish(publisher, write_adapter(tmp_path / "b", seed=2), run_id=2, parent=first.number)
    link = tmp_path / "models" / LINK
    versions.rollback()
    publisher.settle_link()
    assert link.resolve() == first.directory
    versions.rollback()
    publisher.settle_link()
    assert not link.is_symlink()


def test_old_versions_lose_their_files_but_never_the_one_in_service_or_its_parent(
    publisher: Publisher, versions: VersionStore, tmp_path: Path
) -> None:
    parent: int | None = None
    for run_id in range(1, 6):
        adapter = write_adapter(tmp_path / f"adapter-{run_id}", seed=run_id)
        parent = publish(publisher, adapter, run_id=run_id, parent=parent).number
    gone = publisher.prune(keep=1)
    assert [version.number for version in gone] == [1, 2, 3]
    kept = [version for version in versions.all() if version.state is not VersionState.PRUNED]
    assert [version.number for version in kept] == [5, 4]
    assert all(version.directory.is_dir() for version in kept)
    assert not any(version.directory.exists() for version in gone)
