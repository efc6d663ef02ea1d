"""Fact limits: cut or leave out the facts that an event does not allow, so that the item is sent without them."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

Body = TypeVar("Body")
MOST_ROUNDS = 3
"""Most rounds of cutting: one problem may hide another."""


def validate_with_limits(
    build: Callable[[Mapping[str, object]], Body],
    facts: dict[str, object],
    columns: Mapping[str, str],
    left_out: list[str],
) -> Body:
    """The event that `build` makes of the facts, without the refused ones; appends a sentence for each of these.

    Raises ValidationError if something other than the facts is refused.
    """
    for _ in range(MOST_ROUNDS):
        try:
            return build(facts)
        except ValidationError as error:
            left_out.extend(_fit(facts, error, columns))
    return build(facts)


def _fit(facts: dict[str, object], error: ValidationError, columns: Mapping[str, str]) -> list[str]:
    """Change the refused facts; returns a sentence for each. Raises the error if it is about anything else."""
    notes: dict[str, None] = {}
    names = set(facts)
    for problem in error.errors(include_url=False, include_input=False):
        location = list(problem["loc"][1:] if problem["loc"][:1] == ("facts",) else problem["loc"])
        fact = str(location[0]) if location else ""
        if fact in names and fact not in facts:
            continue  # an earlier problem of the fact has removed it
        if fact not in facts:
            raise error
        limit = problem.get("ctx", {}).get("max_length")
        note = _fit_fact(facts, location, limit if isinstance(limit, int) else None)
        column = columns.get(fact) or columns.get(".".join(map(str, location[:2])), fact)
        notes[f"{column}: {note or 'it is left out: ' + problem['msg']}"] = None
    facts.update({name: tuple(filter(None, value)) for name, value in facts.items() if isinstance(value, tuple)})
    return list(notes)


def _fit_fact(facts: dict[str, object], location: list[int | str], limit: int | None) -> str | None:
    """Cut one fact to `limit` characters or parts; else remove it, and return None."""
    fact, value = str(location[0]), facts[str(location[0])]
    match value, location[1:]:
        case str(text), [] if limit is not None and fact != "url":  # a part of a URL is another page
            facts[fact] = text[:limit].rstrip()
            return f"{len(text)} characters are cut to {limit}"
        case tuple(parts), [] if limit is not None:
            facts[fact] = parts[:limit]
            return f"of {len(parts)} the first {limit} are used"
        case tuple(parts), [int(index), *_]:
            facts[fact] = (*parts[:index], None, *parts[index + 1 :])
            return "a part of it is left out: it is too long, or no valid text"
        case dict(entries), [] if limit is not None:
            facts[fact] = dict(list(entries.items())[:limit])
            return f"of {len(entries)} the first {limit} are used"
        case dict(entries), [str(name), *more]:
            text = entries.pop(name, None)
            if isinstance(text, str) and limit is not None and not more:
                entries[name] = text[:limit].rstrip()
                return f"{len(text)} characters are cut to {limit}"
            return f"the attribute {name[:40]!r} is left out: its name is too long, or it is no valid text"
        case _:
            for name in ("price", "currency") if fact in ("price", "currency") else (fact,):
                facts.pop(name, None)
            return None
