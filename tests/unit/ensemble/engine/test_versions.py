"""Laws of which weights a request is answered with."""

from __future__ import annotations

from ensemble.engine.versions import PLACES, Versions


def test_at_first_the_model_answers_alone() -> None:
    current = Versions("base").current
    assert (current.name, current.place) == ("base", None)


def test_a_version_in_service_keeps_its_place_even_without_users() -> None:
    versions = Versions("base")
    versions.serve("one", 0)
    assert versions.free_place() != 0


def test_a_version_out_of_service_keeps_its_place_until_its_last_request_is_done() -> None:
    versions = Versions("base")
    for number in range(PLACES):
        versions.serve(f"v{number}", number)
        versions.current.users += 1
    first = versions.current
    versions.serve_base()
    assert versions.free_place() is None
    first.users -= 1
    assert versions.free_place() == first.place


def test_needed_are_the_current_version_and_those_in_use() -> None:
    versions = Versions("base")
    versions.serve("one", 0)
    versions.current.users += 1
    one = versions.current
    versions.serve("two", 1)
    assert versions.needed() == {0, 1}
    one.users -= 1
    assert versions.needed() == {1}
    versions.serve_base()
    assert versions.needed() == set()


def test_after_the_base_is_back_every_unused_place_is_free() -> None:
    versions = Versions("base")
    versions.serve("one", 0)
    versions.serve_base()
    assert (versions.current.name, versions.free_place()) == ("base", 0)
