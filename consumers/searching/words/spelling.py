"""Spelling: find the known word that differs from a word by one letter."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SHORTEST_WORD = 5
"""Shorter words have too many neighbours: cap, cup, cut."""
LONGEST_WORD = 30


@dataclass
class SpellingIndex:
    """Words by what is left of them without one letter (symmetric deletion, as in SymSpell by W. Garbe)."""

    words: set[str] = field(default_factory=set)
    by_deletion: dict[str, set[str]] = field(default_factory=dict)

    def add(self, word: str) -> None:
        """Add a word; words that are too short or too long are left out."""
        if word not in self.words and SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            self.words.add(word)
            for rest in (word, *_deletions(word)):
                self.by_deletion.setdefault(rest, set()).add(word)

    def correct(self, word: str) -> Iterator[str]:
        """Yield the known words at one inserted, deleted, replaced or transposed letter, in alphabetical order."""
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            return
        near = {found for rest in (word, *_deletions(word)) for found in self.by_deletion.get(rest, ())}
        yield from sorted(found for found in near if found != word and _is_one_edit(word, found))


def make_spelling(words: Iterable[str]) -> SpellingIndex:
    """Return an index of these words."""
    index = SpellingIndex()
    for word in words:
        index.add(word)
    return index


def _deletions(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at in range(len(word))]


def _is_one_edit(a: str, b: str) -> bool:
    """Whether two words that share a deletion differ by one edit: two deletions may be two replacements apart."""
    if abs(len(a) - len(b)) == 1:
        return True
    different = [at for at in range(len(a)) if a[at] != b[at]]
    swapped = len(different) == 2 and different[1] == different[0] + 1
    return len(different) == 1 or (
        swapped and a[different[0]] == b[different[1]] and a[different[1]] == b[different[0]]
    )
