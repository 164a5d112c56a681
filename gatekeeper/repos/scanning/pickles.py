"""Which names a pickle would import, found by following its opcodes without ever executing one.

A pickle is a program for a stack machine. This follows the stack and the memo as far as texts go, because
STACK_GLOBAL takes module and name from there; everything else on the stack is only counted. A program that breaks off
has run up to there when it is loaded, so what was found before counts.
Source: CPython Lib/pickletools.py (opcode table with what each takes from and leaves on the stack).
"""

import io
import pickletools
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from gatekeeper.repos.scanning.source import Budget, ExhaustedError, Reader
from gatekeeper.repos.scanning.verdict import Import, Kind, Status, Verdict

_LONGEST_TEXT = 1_000
_LONGEST_LINE = 2**20
_MOST_OPERATIONS = 20_000_000
_MOST_STACK = 2_000_000
_MOST_PICKLES = 64
_EVERY = 4_096
_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_UNKNOWN = "?"
_OPCODES = {code.encode("latin-1"): info for code, info in ((each.code, each) for each in pickletools.opcodes)}
_LENGTHS = {
    "string1": 1, "bytes1": 1, "unicodestring1": 1, "long1": 1, "string4": 4, "bytes4": 4, "unicodestring4": 4,
    "long4": 4, "bytes8": 8, "unicodestring8": 8, "bytearray8": 8,
}  # fmt: skip
_SIZES = {"uint1": 1, "uint2": 2, "int4": 4, "uint4": 4, "uint8": 8, "float8": 8}
_TEXTS = frozenset(
    {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_PUTS, _GETS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_MARK = object()

# Beside what the maintained list of picklescan says: names that only rebuild plain values, and more that lead anywhere.
_INNOCUOUS = re.compile(
    r"torch\.(?:\w+Storage|Size|device|dtype|Tensor|float\w*|bfloat16|u?int\d+|bool|strided)"
    r"|torch\._utils\._rebuild_(?:tensor|tensor_v2|tensor_v3|parameter|qtensor|meta_tensor_no_storage)"
    r"|torch\.storage\.(?:TypedStorage|UntypedStorage)|torch\.nn\.parameter\.Parameter"
    r"|torch\.serialization\._get_layout|torch\._tensor\._rebuild_from_type_v2"
    r"|numpy(?:\._?core)?\.(?:multiarray|numeric)\.(?:_reconstruct|scalar|_frombuffer)"
    r"|numpy\.(?:dtype|ndarray|u?int\d+|float\d+|bool_)"
    r"|collections\.(?:OrderedDict|defaultdict|deque|Counter)|_codecs\.encode|datetime\.(?:date|time|datetime|timedelta)"
    r"|(?:builtins|__builtin__)\.(?:set|frozenset|dict|list|tuple|int|float|bool|str|bytes|bytearray|complex|slice"
    r"|range|object)|decimal\.Decimal|fractions\.Fraction|copyreg\._reconstructor|copy_reg\._reconstructor"
)
_DANGEROUS = re.compile(
    r"(?:builtins|__builtin__)\.(?:__import__|eval|exec|execfile|compile|open|input|getattr|setattr|delattr|globals"
    r"|locals|vars|apply|breakpoint|memoryview|type|classmethod|staticmethod|super)"
    r"|(?:importlib|imp|zipimport|runpy|code|codeop|ctypes|_ctypes|cffi|os|posix|nt|posixpath|ntpath|sys|subprocess"
    r"|_posixsubprocess|multiprocessing|shutil|socket|ssl|http|urllib|requests|httpx|httpx2|smtplib|ftplib|telnetlib"
    r"|xmlrpc|webbrowser|pty|pdb|bdb|pip|ensurepip|venv|setuptools|distutils|pickle|_pickle|dill|cloudpickle|joblib"
    r"|marshal|types|inspect|gc|threading|_thread|concurrent|asyncio|signal|platform|tempfile|pathlib|io|_io|glob"
    r"|linecache|fileinput|builtins\.__dict__|timeit|cProfile|profile|trace|doctest|unittest|pytest|numpy\.f2py"
    r"|numpy\.testing|torch\.hub|torch\.ops|torch\._dynamo|torch\._inductor|torch\.utils\.cpp_extension"
    r"|torch\.serialization|torch\.package|torch\.jit|torch\.load)(?:\..*)?"
    r"|(?:operator|_operator)\.(?:attrgetter|itemgetter|methodcaller)|functools\.(?:partial|partialmethod|reduce)"
    r"|logging\..*|.*\.(?:__getattribute__|__getattr__|__globals__|__builtins__|__subclasses__|__code__|__reduce__)"
)


class _BrokenError(Exception):
    """The opcodes end or make no sense from here on."""


@dataclass(slots=True)
class _Machine:
    """The stack machine: texts are kept as they are, everything else is None."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, str | None] = field(default_factory=dict)
    imports: list[tuple[str, str]] = field(default_factory=list)

    def take(self, what: list[Any]) -> list[Any]:
        """Pop what an opcode takes. Raises _BrokenError where there is not enough."""
        if pickletools.markobject in what:
            taken = []
            while True:
                if not self.stack:
                    raise _BrokenError
                if (top := self.stack.pop()) is _MARK:
                    break
                taken.append(top)
            before = what.index(pickletools.markobject)
            return [*self._pop(before), *reversed(taken)]
        return self._pop(len(what))

    def _pop(self, count: int) -> list[Any]:
        if count > len(self.stack) or (count and _MARK in self.stack[-count:]):
            raise _BrokenError
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken


def examine(stream: Reader, budget: Budget, verdict: Verdict, *, is_certain: bool, where: str = "") -> bool:
    """Follow the pickles at the front of `stream` and add what they import; returns whether it is a pickle at all.

    is_certain  it begins like a pickle: otherwise only a program that reaches its end, or a dangerous import, counts
    where       prefix of a finding's text, such as the entry of an archive
    """
    imports: list[tuple[str, str]] = []
    ended = 0
    try:
        for turn in range(_MOST_PICKLES):
            front = stream.peek(2)[:2]
            if not front:
                break
            begins = front[:1] == b"\x80" and len(front) > 1 and front[1] <= 5
            machine = _Machine()
            try:
                _follow(stream, budget, machine)
            except _BrokenError:
                imports += machine.imports if begins or (turn == 0 and is_certain) else _plausible(machine.imports)
                break
            except ExhaustedError:
                imports += machine.imports
                raise
            imports += machine.imports if begins or is_certain else _plausible(machine.imports)
            ended += 1
    finally:
        is_pickle = is_certain or bool(imports and (ended or any(_safety(*pair) == "dangerous" for pair in imports)))
        if is_pickle:
            _judge(imports, verdict, where)
    return is_pickle


def _plausible(imports: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of what may be chance bytes, the imports that can be names."""
    return [pair for pair in imports if all(_NAME.fullmatch(text) for text in pair)]


def _judge(imports: list[tuple[str, str]], verdict: Verdict, where: str) -> None:
    for module, name in dict.fromkeys(imports):
        safety = _safety(module, name)
        made = Import(module[:200], name[:200], safety)
        if made not in verdict.imports:
            verdict.imports.append(made)
        shown = f"{module}.{name}"[:120]
        if safety == "dangerous":
            verdict.find(Kind.PICKLE, Status.UNSAFE, f"{where}Loading it runs {shown!a}.")
        elif safety == "suspicious":
            verdict.find(Kind.PICKLE, Status.SUSPICIOUS, f"{where}Loading it imports the unknown {shown!a}.")


@lru_cache(maxsize=4_096)
def _safety(module: str, name: str) -> str:
    """Worst of our own lists and those of picklescan, which is asked about a pickle that holds this one import."""
    full = f"{module}.{name}"
    if not _NAME.fullmatch(module) or not _NAME.fullmatch(name) or _DANGEROUS.fullmatch(full):
        return "dangerous"
    told = scan_pickle_bytes(io.BytesIO(f"c{module}\n{name}\n.".encode()), "import").globals
    if any(each.safety is SafetyLevel.Dangerous for each in told):
        return "dangerous"
    if _INNOCUOUS.fullmatch(full) or all(each.safety is SafetyLevel.Innocuous for each in told):
        return "innocuous"
    return "suspicious"


def _follow(stream: Reader, budget: Budget, machine: _Machine) -> None:
    """Go through one pickle up to its STOP."""
    for count in range(_MOST_OPERATIONS):
        if count % _EVERY == 0:
            budget.spend()
        info = _OPCODES.get(stream.read(1))
        if info is None:
            raise _BrokenError
        argument = _argument(stream, info)
        if info.name == "STOP":
            machine.take(info.stack_before)
            return
        _step(machine, info, argument)
        if len(machine.stack) > _MOST_STACK or len(machine.memo) > _MOST_STACK:
            raise ExhaustedError("its pickle is too large to follow")
    raise ExhaustedError("its pickle is too long to follow")


def _step(machine: _Machine, info: Any, argument: Any) -> None:
    name = info.name
    if name == "MARK":
        machine.stack.append(_MARK)
    elif name == "POP":  # takes a mark as well as a value
        if not machine.stack:
            raise _BrokenError
        machine.stack.pop()
    elif name == "DUP":
        if not machine.stack:
            raise _BrokenError
        machine.stack.append(machine.stack[-1])
    elif name in _PUTS or name == "MEMOIZE":
        if not machine.stack:
            raise _BrokenError
        top = machine.stack[-1]
        machine.memo[len(machine.memo) if name == "MEMOIZE" else argument] = top if isinstance(top, str) else None
    elif name in _GETS:
        machine.stack.append(machine.memo.get(argument))
    elif name in ("GLOBAL", "INST"):
        module, _, rest = argument.partition(" ")
        machine.imports.append((module, rest))
        if name == "INST":
            machine.take(info.stack_before)
        machine.stack.append(None)
    elif name == "STACK_GLOBAL":
        module, rest = machine.take(info.stack_before)
        machine.imports.append((module or _UNKNOWN, rest or _UNKNOWN))
        machine.stack.append(None)
    elif name in _EXTENSIONS:
        machine.imports.append(("copyreg", f"extension {argument}"))
        machine.stack.append(None)
    else:
        machine.take(info.stack_before)
        machine.stack += [argument if name in _TEXTS else None] * len(info.stack_after)


def _argument(stream: Reader, info: Any) -> Any:
    """The opcode's argument where it matters; long ones are passed over, not read."""
    if info.arg is None:
        return None
    name = info.arg.name
    if name in _LENGTHS:
        return _counted(stream, _LENGTHS[name], is_text=info.name in _TEXTS)
    if name in _SIZES:
        raw = _exactly(stream, _SIZES[name])
        return int.from_bytes(raw, "little")
    lines = 2 if name == "stringnl_noescape_pair" else 1
    texts = [_line(stream) for _ in range(lines)]
    if name == "stringnl_noescape_pair":
        return " ".join(texts)
    text = texts[0]
    if info.name in _PUTS | _GETS:
        try:
            return int(text)
        except ValueError:
            raise _BrokenError from None
    if info.name == "STRING":
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    return text


def _counted(stream: Reader, width: int, *, is_text: bool) -> str | None:
    length = int.from_bytes(_exactly(stream, width), "little")
    if length >= 2**63:
        raise _BrokenError
    if is_text and length <= _LONGEST_TEXT:
        return _exactly(stream, length).decode("utf-8", "replace")
    stream.skip(length)
    return None


def _exactly(stream: Reader, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise _BrokenError
    return data


def _line(stream: Reader) -> str:
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise _BrokenError
    return line[:-1][:_LONGEST_TEXT].decode("utf-8", "replace")
