from gatekeeper.repos.owned import Owned


def test_only_the_first_of_many_repositories_are_named() -> None:
    many = Owned(12_345, ("ada/a", "ada/b"))

    assert (str(many), str(Owned(1, ("ada/a",))), bool(Owned())) == ("ada/a, ada/b and 12,343 more", "ada/a", False)
