"""Known answers: Random123's kat_vectors for philox4x32 with ten rounds, and our own stream names."""

import numpy as np
import pytest

from flopcore import _core
from flopcore.reference.philox import draw_word, philox4x32, stream_hash

# github.com/DEShawResearch/random123, tests/kat_vectors, lines "philox4x32 10".
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_core_and_reference_give_the_published_words(every_isa, counter, key, words):
    assert philox4x32(counter, key) == words
    stream = counter[3] << 32 | counter[2]
    first, attempt = (counter[1] & 0xFFFF) << 32 | counter[0], counter[1] >> 16
    assert _core.philox_words(key, stream, first, 1, attempt)[0].tolist() == list(words)


def test_words_of_many_blocks_across_the_carry_of_the_index(every_isa):
    first = 2**32 - 20
    words = _core.philox_words([7, 8], 2**63 + 5, first, 37, 3)
    for b in range(37):
        index = first + b
        expected = philox4x32((index & 0xFFFFFFFF, index >> 32 | 3 << 16, 5, 2**31), (7, 8))
        assert tuple(words[b].tolist()) == expected


def test_address_out_of_range_is_refused():
    with pytest.raises(ValueError, match="out of range"):
        _core.philox_words([0, 0], 0, 2**48, 1)
    with pytest.raises(ValueError, match="out of range"):
        _core.philox_words([0, 0], 0, 0, 1, 2**16)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (("", "", ""), 0x6D688654E9834407),
        (("factor", "D", "Llama 3.1-405B"), 0xFF950777D68C042A),
        (("factor", "größe", "模型"), 0x536D421D7D097FAE),
    ],
)
def test_stream_names_never_change(fields, value):
    assert _core.stream_hash(*fields) == stream_hash(*fields) == value


def test_fields_are_delimited():
    assert len({stream_hash(*f) for f in [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("", "ab", "c")]}) == 4


def test_a_draw_takes_its_own_words():
    words = np.asarray(_core.philox_words([1, 2], 99, 0, 2)).ravel().tolist()
    assert [draw_word((1, 2), 99, d, "single") for d in range(8)] == words
    assert draw_word((1, 2), 99, 3, "double") == words[6] << 21 | words[7] >> 11
