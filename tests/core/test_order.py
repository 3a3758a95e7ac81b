"""Rule 7: the endless order visits each index once an epoch, and processes share it out."""

from itertools import islice

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinxit.core.rng import Order
from toys._play import index_at

sizes = st.integers(1, 37)


def take(order: Order, batches: int) -> list[int]:
    return torch.cat(list(islice(order, batches))).tolist()


@settings(max_examples=100)
@given(n=sizes, seed=st.integers(0, 2**40), start=st.integers(0, 200), size=st.integers(1, 50))
def test_position_alone_decides(n, seed, start, size):
    batches = 1 + 2 * n // size
    got = take(Order(n, seed, start=start, batch_size=size), batches)
    assert got == [index_at(p, n, seed) for p in range(start, start + batches * size)]


@settings(max_examples=100)
@given(n=sizes, seed=st.integers(0, 10**6), size=st.integers(1, 50), epochs=st.integers(1, 3))
def test_each_index_once_an_epoch(n, seed, size, epochs):
    got = take(Order(n, seed, batch_size=size), 1 + epochs * n // size)
    for e in range(epochs):
        assert sorted(got[e * n : (e + 1) * n]) == list(range(n))


@settings(max_examples=100)
@given(n=sizes, start=st.integers(0, 100), world=st.integers(1, 4), share=st.integers(1, 12), batches=st.integers(1, 4))
def test_processes_partition_the_global_batch(n, start, world, share, batches):
    size = world * share
    whole = list(islice(Order(n, 3, start=start, batch_size=size), batches))
    ranks = [list(islice(Order(n, 3, start=start, batch_size=size, rank=r, world=world), batches)) for r in range(world)]
    for number, batch in enumerate(whole):
        assert all(len(ranks[r][number]) == share for r in range(world))
        dealt = torch.stack([ranks[r][number] for r in range(world)], 1).reshape(-1)
        assert torch.equal(dealt, batch)


@settings(max_examples=50)
@given(n=sizes, size=st.integers(1, 20), batches=st.integers(0, 6))
def test_any_start_goes_on_where_another_stopped(n, size, batches):
    whole = take(Order(n, 1, batch_size=size), batches + 3)
    rest = take(Order(n, 1, start=batches * size, batch_size=size), 3)
    assert whole[batches * size :] == rest


def test_epochs_and_seeds_are_shuffled_differently():
    first, second = take(Order(64, 0, batch_size=64), 1), take(Order(64, 0, start=64, batch_size=64), 1)
    other = take(Order(64, 1, batch_size=64), 1)
    assert first != second != other != first
    assert first != sorted(first)


def test_drawing_the_order_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    order = next(iter(Order(10, 0, batch_size=4)))
    assert order.dtype == torch.int64
    assert torch.equal(torch.get_rng_state(), state)
