"""Words learnt from a few drawings: against plain loops, and as a teacher would see them."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import MemoryFileError
from tagger.fewshot import Lesson, Memory, MemorySpec, log_odds, mix, similarity, tune

SPEC = MemorySpec(scale=30.0, bias=-18.0, shots=2.0, sharpness=5.0, familiar=0.3)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


# --- the rule


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-3, 1.0, 8.0, 500.0]))
def test_the_mixture_is_that_of_plain_loops(seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    spec = SPEC.model_copy(update={"sharpness": sharpness})
    owners = np.sort(np.concatenate([np.arange(3), rng.integers(0, 3, 4)]))
    bank, asked = unit(rng.normal(size=(7, 6))), unit(rng.normal(size=(2, 6)))
    shares = rng.dirichlet(np.ones(5), 2).astype(np.float32)
    known = np.array([-1, 2, -1])
    near = similarity(asked, bank, owners, sharpness)
    mixed = mix(shares, log_odds(near, np.bincount(owners), shares, spec), known)
    for n in range(2):
        mass = [float(p) for p in shares[n]] + [0.0, 0.0]
        for v in range(3):
            cosines = [
                sum(float(a) * float(b) for a, b in zip(asked[n], row, strict=True))
                for row, owner in zip(bank, owners, strict=True)
                if owner == v
            ]
            if sharpness:
                most = max(cosines)
                mean = sum(math.exp(sharpness * (c - most)) for c in cosines) / len(cosines)
                nearness = most + math.log(mean) / sharpness
            else:
                nearness = sum(cosines) / len(cosines)
            assert near[n, v] == pytest.approx(nearness, abs=1e-4)
            nearness = float(near[n, v])
            odds = spec.scale * nearness + spec.bias - spec.shots / len(cosines)
            odds -= spec.familiar * math.log(max(float(p) for p in shares[n]))
            mass[{0: 5, 1: 2, 2: 6}[v]] += math.exp(min(odds, 50))
        wanted = [m / sum(mass) for m in mass]
        np.testing.assert_allclose(mixed[n], wanted, atol=1e-4)
        assert mixed[n].sum() == pytest.approx(1, abs=1e-5)


def test_odds_beyond_all_numbers_do_no_harm() -> None:
    shares = np.array([[1.0, 0.0]], np.float32)
    mixed = mix(shares, np.array([[1e30, -1e30]], np.float32), np.array([-1, -1]))
    assert np.isfinite(mixed).all() and mixed[0, 2] == pytest.approx(1)


def world(rng: np.random.Generator, words: int, spread: float = 0.5) -> np.ndarray:
    """Embeddings of 30 drawings of each word, in 32 dimensions, around a direction each."""
    centres = rng.normal(size=(words, 1, 32))
    centres /= np.linalg.norm(centres, axis=2, keepdims=True)
    return unit(centres + spread * rng.normal(size=(words, 30, 32)) / math.sqrt(32))


def network(embeddings: np.ndarray, centres: np.ndarray) -> np.ndarray:
    logits = 20 * embeddings @ centres.T
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_tuned_five_drawings_teach_a_word_and_disturb_no_other() -> None:
    rng = np.random.default_rng(0)
    base = world(rng, 12)
    centres = unit(base.mean(axis=1))
    known, labels = base[:, 10:].reshape(-1, 32), np.repeat(np.arange(12), 20)
    novel = world(rng, 20)
    start = MemorySpec()
    spec, cost = tune(
        start,
        list(novel[:12]),
        [network(e, centres) for e in novel[:12]],
        known,
        network(known, centres),
        labels,
        episodes=20,
        rounds=3,
    )
    again, same = tune(
        spec,
        list(novel[:12]),
        [network(e, centres) for e in novel[:12]],
        known,
        network(known, centres),
        labels,
        episodes=20,
        rounds=1,
    )
    assert same <= cost + 1e-6 and again.scale > 0
    right, kept, before = [], [], []
    for word in novel[12:]:  # words that the tuning has not seen
        owners, shots = np.zeros(5, np.int64), np.array([5])
        for asked, wanted, into in ((word[5:], 12, right), (known, labels, kept)):
            shares = network(asked, centres)
            odds = log_odds(
                similarity(asked, word[:5], owners, spec.sharpness), shots, shares, spec
            )
            into.extend(mix(shares, odds, np.array([-1])).argmax(axis=1) == wanted)
        before.extend(network(known, centres).argmax(axis=1) == labels)
    assert np.mean(right) > 0.9
    assert np.mean(kept) > np.mean(before) - 0.01


# --- the memory


def lesson(id: str, word: str, who: str = "a", shared: bool = False, seed: int = 0) -> Lesson:
    rng = np.random.default_rng(seed)
    return Lesson(id, word, who, shared, unit(rng.normal(size=4)))


def test_what_one_teaches_is_for_them_alone() -> None:
    memory = Memory("h", 4)
    memory.teach([lesson("1", "cat"), lesson("2", "tanuki"), lesson("3", "cat", "b")])
    bank = memory.bank("a")
    assert bank is not None and set(bank.words) == {"cat", "tanuki"}
    assert bank.shots.tolist() == [1, 1]
    assert memory.bank("c") is None and memory.bank(None) is None
    assert memory.counts("a") == {"cat": 1, "tanuki": 1}
    assert memory.counts(None) == {"cat": 2, "tanuki": 1}


def test_an_accepted_word_is_for_all_by_the_shared_drawings() -> None:
    memory = Memory("h", 4)
    memory.teach([lesson("1", "tanuki", shared=True), lesson("2", "tanuki"), lesson("3", "x", "b")])
    memory.accept(["tanuki"])
    for who in (None, "stranger"):
        bank = memory.bank(who)
        assert bank is not None and bank.words == ("tanuki",) and len(bank.embeddings) == 1
    own, other = memory.bank("a"), memory.bank("b")
    assert own is not None and len(own.embeddings) == 2  # none of them twice
    assert other is not None and set(other.words) == {"x", "tanuki"}
    memory.teach([lesson("4", "tanuki", "b", shared=True)])
    assert memory.bank(None).shots.tolist() == [2]  # type: ignore[union-attr]
    memory.accept([])
    assert memory.bank("stranger") is None


def test_what_is_deleted_is_forgotten() -> None:
    memory = Memory("h", 4)
    memory.teach([lesson("1", "tanuki", shared=True), lesson("2", "cat")])
    memory.accept(["tanuki"])
    memory.forget(["1", "nothing"])
    assert memory.bank("a").words == ("cat",)  # type: ignore[union-attr]
    assert memory.bank(None) is None
    memory.forget_contributor("a")
    assert len(memory) == 0 and memory.bank("a") is None


def test_a_drawing_may_change_its_word() -> None:
    memory = Memory("h", 4)
    memory.teach([lesson("1", "cat"), lesson("2", "cat")])
    memory.relabel("1", "tanuki")
    memory.relabel("nothing", "x")
    bank = memory.bank("a")
    assert bank is not None and set(bank.words) == {"cat", "tanuki"}
    memory.teach([lesson("2", "tanuki")])  # the same drawing again
    assert memory.counts("a") == {"tanuki": 2} and len(memory) == 2


def test_the_newest_count_where_there_are_too_many() -> None:
    memory = Memory("h", 4, per_word=2, max_words=2)
    memory.teach(lesson(str(i), f"w{i % 3}", seed=i) for i in range(9))
    bank = memory.bank("a")
    assert bank is not None and set(bank.words) == {"w2", "w1"}
    newest = {i: lesson(str(i), "", seed=i).embedding for i in (8, 5, 7, 4)}
    for row in bank.embeddings:
        assert any(np.array_equal(row, embedding) for embedding in newest.values())
    assert bank.shots.tolist() == [2, 2]


def test_owners_are_in_order_as_similarity_needs_them() -> None:
    memory = Memory("h", 4)
    memory.teach(lesson(str(i), f"w{i % 3}", seed=i) for i in range(9))
    owners = memory.bank("a").owners  # type: ignore[union-attr]
    assert (np.diff(owners) >= 0).all() and owners.max() == 2


def test_another_embedding_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError):
        Memory("h", 5).teach([lesson("1", "cat")])


def test_what_was_learnt_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memory.npz"
    memory = Memory("h", 4)
    memory.save(path)
    assert len(Memory.load(path, "h", 4)) == 0
    memory.teach([lesson("1", "猫", shared=True, seed=3), lesson("2", "a\0b'", "b")])
    memory.save(path)
    again = Memory.load(path, "h", 4)
    for one, other in zip(memory.lessons(), again.lessons(), strict=True):
        assert (one.id, one.contributor, one.shared) == (other.id, other.contributor, other.shared)
        assert one.word == other.word
        assert np.array_equal(one.embedding, other.embedding)
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["memory.npz"]


def test_of_another_model_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.npz"
    Memory("h", 4).save(path)
    for hash, dimension in (("other", 4), ("h", 5)):
        with pytest.raises(MemoryFileError) as caught:
            Memory.load(path, hash, dimension)
        assert caught.value.code == "memory-foreign"
    with pytest.raises(FileNotFoundError):
        Memory.load(tmp_path / "none", "h", 4)


def test_a_torn_file_is_refused_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "memory.npz"
    memory = Memory("h", 4)
    memory.teach([lesson("1", "cat")])
    memory.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(MemoryFileError):
            Memory.load(path, "h", 4)


@pytest.mark.parametrize(
    "change",
    [
        {"text": np.array([["1", "cat", "a"]])},
        {"text": np.array([1])},
        {"text": np.array([[None] * 4], object)},
        {"embeddings": np.zeros((2, 4), np.float32)},
        {"embeddings": np.zeros((1, 4), np.float64)},
        {"embeddings": np.full((1, 4), np.nan, np.float32)},
        {"embeddings": np.zeros(4, np.float32)},
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    path = tmp_path / "memory.npz"
    arrays = {
        "hash": np.array("h"),
        "text": np.array([["1", "cat", "a", "1"]]),
        "embeddings": np.zeros((1, 4), np.float32),
    }
    np.savez(path, **arrays)
    assert len(Memory.load(path, "h", 4)) == 1
    np.savez(path, **{**arrays, **change})
    with pytest.raises(MemoryFileError) as caught:
        Memory.load(path, "h", 4)
    assert caught.value.code == "memory-damaged"


def test_many_may_teach_and_ask_at_once() -> None:
    memory = Memory("h", 4)
    memory.accept(["w0"])

    def work(who: int) -> None:
        for i in range(50):
            memory.teach([lesson(f"{who}-{i}", f"w{i % 3}", str(who), i % 2 == 0, i)])
            bank = memory.bank(str(who))
            assert bank is not None and len(bank.owners) == len(bank.embeddings)
            if i % 5 == 0:
                memory.forget([f"{who}-{i}"])

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory) == 6 * 40
