"""Philox4x32-10 and the names of random streams, in plain integers; the definition the core is held against."""

from __future__ import annotations

__all__ = ["draw_word", "philox4x32", "stream_hash"]

_M32 = 2**32 - 1
_M64 = 2**64 - 1


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the four random words of a counter (Salmon, Moraes, Dror, Shaw, SC 2011; ten rounds)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (product1 >> 32) ^ c1 ^ k0, product1 & _M32, (product0 >> 32) ^ c3 ^ k1, product0 & _M32
        k0, k1 = (k0 + 0x9E3779B9) & _M32, (k1 + 0xBB67AE85) & _M32
    return c0, c1, c2, c3


def stream_hash(purpose: str, variable: str, entity: str) -> int:
    """Return hash64 of an address: FNV-1a over length-prefixed UTF-8 fields, then the finaliser of SplitMix64."""
    state = 0xCBF29CE484222325
    for text in (purpose, variable, entity):
        data = text.encode()
        for byte in len(data).to_bytes(8, "little") + data:
            state = ((state ^ byte) * 0x100000001B3) & _M64
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _M64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _M64
    return state ^ (state >> 31)


def draw_word(key: tuple[int, int], stream: int, draw: int, precision: str, attempt: int = 0) -> int:
    """Return the integer behind one draw of one variable: 32 bits in single precision, 53 in double."""
    per_block = 4 if precision == "single" else 2
    block, place = divmod(draw, per_block)
    counter = (block & _M32, (block >> 32) | (attempt << 16), stream & _M32, stream >> 32)
    words = philox4x32(counter, key)
    if precision == "single":
        return words[place]
    return (words[2 * place] << 21) | (words[2 * place + 1] >> 11)
