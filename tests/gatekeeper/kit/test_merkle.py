"""The tree of RFC 6962: published vectors, and laws over generated trees."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.kit import merkle

# Inputs, roots and proofs of Certificate Transparency's reference implementation (its merkle tree tests).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Tree:
    """A grown tree with everything it stored."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes: dict[merkle.Node, bytes] = {}
        self.frontier = merkle.Frontier()
        self.roots = [self.frontier.root]
        for leaf in leaves:
            self.nodes |= dict(self.frontier.append(merkle.leaf_hash(leaf)))
            self.roots.append(self.frontier.root)

    def lookup(self, node: merkle.Node) -> bytes:
        return self.nodes[node]


def reference_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return hashlib.sha256(b"\1" + reference_root(leaves[:middle]) + reference_root(leaves[middle:])).digest()


def test_the_empty_tree_and_the_published_roots() -> None:
    tree = Tree(LEAVES)
    assert tree.roots[0].hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root.hex() for root in tree.roots[1:]] == ROOTS


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs(index: int, size: int) -> None:
    tree = Tree(LEAVES)
    proof = merkle.proof_of(merkle.inclusion_parts(index, size), tree.lookup)
    assert [step.hex() for step in proof] == INCLUSION[index, size]
    assert merkle.verify_inclusion(merkle.leaf_hash(LEAVES[index]), index, size, proof, tree.roots[size])


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs(old: int, new: int) -> None:
    tree = Tree(LEAVES)
    proof = merkle.proof_of(merkle.consistency_parts(old, new), tree.lookup)
    assert [step.hex() for step in proof] == CONSISTENCY[old, new]
    assert merkle.verify_consistency(old, new, proof, tree.roots[old], tree.roots[new])


@given(st.integers(0, 70))
def test_a_grown_tree_has_the_root_of_the_definition(size: int) -> None:
    leaves = [bytes([number]) for number in range(size)]
    tree = Tree(leaves)
    assert tree.frontier.root == reference_root(leaves)
    assert merkle.Frontier.load(size, tree.lookup) == tree.frontier
    assert len(tree.nodes) == 2 * size - size.bit_count()


@given(st.data())
def test_every_leaf_is_proved_and_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    tree = Tree([bytes([number]) for number in range(size)])
    leaf, root = merkle.leaf_hash(bytes([index])), tree.frontier.root
    proof = merkle.proof_of(merkle.inclusion_parts(index, size), tree.lookup)
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root) or not proof
    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    assert not merkle.verify_inclusion(leaf, other, size, proof, root)


@given(st.data())
def test_growth_is_proved_and_rewriting_is_not(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(0, new))
    tree = Tree([bytes([number]) for number in range(new)])
    proof = merkle.proof_of(merkle.consistency_parts(old, new), tree.lookup)
    assert merkle.verify_consistency(old, new, proof, tree.roots[old], tree.roots[new])
    assert not merkle.verify_consistency(old, new, proof, b"x" * 32, tree.roots[new])
    if old:
        assert not merkle.verify_consistency(old, new, proof, tree.roots[old], b"x" * 32)
    assert not merkle.verify_consistency(old, new, [*proof, b"x" * 32], tree.roots[old], tree.roots[new])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 5)])
def test_no_proof_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        merkle.inclusion_parts(index, size)


def test_a_tree_does_not_shrink() -> None:
    with pytest.raises(ValueError):
        merkle.consistency_parts(3, 2)
    assert not merkle.verify_consistency(3, 2, [], b"", b"")
