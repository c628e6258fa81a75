"""The errors of stepcredit, a tree typed by the boundary that was crossed.

StepCreditError(ValueError)
  DataError          a file or record is not what it claims: names file, row, rollout, step
  LayoutError        arrays that do not fit together: axes, order, groups
  MissingColumn      a method or rule needs a column that is not there: names what makes it
  UnknownName        no such method, format, rule, option: names the nearest
MissingExtra(ImportError)   an optional package: names the extra
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Self


def _again(kind: type[Exception], args: tuple[Any, ...], facts: dict[str, Any]) -> Exception:
    """An error as it was, in another process."""
    error: Exception = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class StepCreditError(ValueError):
    """Base of every error that stepcredit raises about its input. The text ends with a `hint:` line where one helps."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message, self.hint = message, hint
        super().__init__(message if hint is None else f"{message}\n  hint: {hint}")


class DataError(StepCreditError):
    """A file or record is not what it claims to be. `where` reads like `runs.jsonl, row 12, rollout 'p3/1', step 4`."""

    def __init__(
        self,
        what: str,
        *,
        file: object = None,
        row: int | None = None,
        rollout: object = None,
        step: int | None = None,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.file, self.row, self.rollout, self.step = what, file, row, rollout, step
        self.got, self.expected = got, expected
        super().__init__(self._text(), hint=hint)

    @property
    def where(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(str(self.file))
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.rollout is not None:
            parts.append(f"rollout {self.rollout!r}")
        if self.step is not None:
            parts.append(f"step {self.step}")
        return ", ".join(parts)

    def _text(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.got is not None:
            text += f"; got {_short(self.got)}"
        if self.expected is not None:
            text += f", expected {self.expected}"
        return text

    def at(self, *, file: object = None, row: int | None = None) -> Self:
        """The same error, placed: a reader adds the file and row that the validator could not know."""
        return type(self)(
            self.what,
            file=file if self.file is None else self.file,
            row=row if self.row is None else self.row,
            rollout=self.rollout,
            step=self.step,
            got=self.got,
            expected=self.expected,
            hint=self.hint,
        )


class LayoutError(StepCreditError):
    """Arrays that do not fit together."""


class MissingColumn(StepCreditError):
    """A method or rule needs a column that the batch does not hold."""


class UnknownName(StepCreditError):
    """No member of an open set has this name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        lower = {k.lower(): k for k in known}
        near = [lower[k] for k in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are: {', '.join(known) or 'none'}"
        super().__init__(f"no {kind} named {name!r}", hint=hint)


class MissingExtra(ImportError):
    """An optional package is not installed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)

    def __init__(self, package: str, extra: str, need: str) -> None:
        super().__init__(f"{need} needs {package}, which is not installed\n  hint: pip install 'stepcredit[{extra}]'")


def _short(value: object, width: int = 80) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= width else text[: width - 1] + "…"
