r"""Expressions, as typed at a debugger's prompt: C's, over registers, symbols and memory.

        12  0x8020_0000  0b101  5u  'A'  '\n'      numbers and characters
        $a0  $x10  $pc  $priv  $satp               registers and CSRs
        boot_main  &boot_main                      the address of a symbol
        *EXPR                                      the 8 bytes at an address
        {u8}EXPR  {int}EXPR                        u8 … u64, i8 … i64, char (u8), short, int, long: one of those
        -  +  ~  !                                 prefix operators, as * & {TYPE}
        * / %   + -   << >>   < <= > >=   == !=   &   ^   |   &&   ||          from tightest to loosest, as in C

Every value has 64 bits and is signed or unsigned. Unsigned are: symbols, numbers of 2**63 and more or with a
suffix u, u64 from memory (hence *), and all registers but x5 … x31 and priv; what is narrower than 64 bits is
signed, as C promotes it. An operation with an unsigned operand is unsigned (a shift: if its left one is), its
result wraps around at 64 bits; comparisons, !, && and || give a signed 0 or 1. / and % round towards 0; shifting
by 64 and more gives 0, or -1 for a negative number shifted right. && and || look at their right side only if
that decides, so that `$a0 && *$a0` never fails.

Work grows with the length of the text, nesting costs no depth of Python's stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from emulator.errors import BusError, RegisterError
from emulator.hart import X_NAMES

MASK: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63
_SHOWN = 60
"""Characters of an expression that an error quotes."""


class ExpressionError(Exception):
    """An expression that has no value; the one line of text says what is wrong, and `column` (from 1) where."""

    def __init__(self, what: str, text: str, column: int) -> None:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        super().__init__(f"{what} at column {column} of {shown or 'an empty expression'}")
        self.column = column


class Scope(Protocol):
    """What names mean."""

    def register(self, name: str) -> int:
        """The register `name` (without $), unsigned; RegisterError if there is none."""

    def memory(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`; BusError if they cannot be read."""

    def symbol(self, name: str) -> int | None:
        """The address of symbol `name`, None if there is none."""


class _Value(NamedTuple):
    """64 bits, as a number from 0 on, and whether they are meant as signed."""

    bits: int
    signed: bool

    @property
    def number(self) -> int:
        return self.bits - (1 << 64) if self.signed and self.bits & _SIGN else self.bits


class _Type(NamedTuple):
    size: int
    signed: bool


class _Operator(NamedTuple):
    """An operator on the parser's stack; `binding` is how tightly it binds."""

    name: str
    binding: int
    column: int
    jump: int = -1


TYPES: Final = {
    **{f"u{8 * size}": _Type(size, False) for size in (1, 2, 4, 8)},
    **{f"i{8 * size}": _Type(size, True) for size in (1, 2, 4, 8)},
    "char": _Type(1, False),  # of the RISC-V calling convention
    "short": _Type(2, True), "int": _Type(4, True), "long": _Type(8, True)}
"""Types that {TYPE} reads from memory."""
_BINDING = {name: 10 - level for level, names in enumerate(
    ("* / %", "+ -", "<< >>", "< <= > >=", "== !=", "&", "^", "|", "&&", "||")) for name in names.split()}
_PREFIX_BINDING = 20
_PREFIX = "- + ~ ! * &".split()
_SIGNED_REGISTERS = {"priv", *X_NAMES[5:], *(f"x{number}" for number in range(5, 32))}
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "\\": 92, "'": 39, '"': 34, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27}
_TOKEN = re.compile(r"""
    (?P<number>[0-9]\w*)
  | (?P<character>'(?:\\.|[^'\\])')
  | (?P<register>\$\w+)
  | (?P<name>[A-Za-z_.][\w.$]*)
  | (?P<type>\{[^{}]*\})
  | (?P<operator><<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>&^|~!()])
""", re.VERBOSE | re.ASCII)
_NUMBER = re.compile(r"(?:0[xX](?P<hex>[0-9a-fA-F_]+)|0[bB](?P<binary>[01_]+)|(?P<decimal>[0-9][0-9_]*))"
                     r"(?P<suffix>[uUlL]{0,3})")


class Expression:
    """An expression, parsed once: for the conditions of breakpoints. ExpressionError if it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._code: list[Callable[[_Machine], None]] = []
        _Parser(text, self._code).parse()

    def evaluate(self, scope: Scope) -> int:
        """Its value, from -2**63 to 2**64 - 1; ExpressionError if it has none now."""
        machine = _Machine(self.text, scope)
        while machine.at < len(self._code):
            machine.at += 1
            self._code[machine.at - 1](machine)
        return machine.stack[-1].number


def evaluate(text: str, scope: Scope) -> int:
    """The value of expression `text`, from -2**63 to 2**64 - 1 (`& MASK` makes an address of it); ExpressionError."""
    return Expression(text).evaluate(scope)


class _Machine:
    """What runs an expression's code: a stack of values and a place in the code."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.text, self.scope = text, scope
        self.stack: list[_Value] = []
        self.at = 0

    def error(self, what: str, column: int) -> ExpressionError:
        return ExpressionError(what, self.text, column)


class _Parser:
    """Turns text into code for a `_Machine`, operators by their precedence, on a stack of its own."""

    def __init__(self, text: str, code: list[Callable[[_Machine], None]]) -> None:
        self._text, self._code = text, code
        self._operators: list[_Operator] = []

    def parse(self) -> None:
        """Emit the whole expression's code."""
        operand_next, at = True, 0
        while True:
            while at < len(self._text) and self._text[at].isspace():
                at += 1
            if at == len(self._text):
                break
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self._error(f"{self._text[at]!r} is no part of an expression", at)
            kind, token = found.lastgroup or "", found[0]
            at, column = found.end(), at
            if not operand_next:
                operand_next = self._after_operand(kind, token, column)
            elif kind == "operator" and token == "(" or kind == "type" or token in _PREFIX:
                if kind == "type" and token[1:-1].strip() not in TYPES:
                    raise self._error(f"{token} is no type: expected one of {', '.join(TYPES)}", column)
                if token == "&":
                    at = self._address_of(column, at)
                    operand_next = False
                else:
                    self._operators.append(_Operator(token, 0 if token == "(" else _PREFIX_BINDING, column))
            else:
                self._operand(kind, token, column)
                operand_next = False
        if operand_next:
            raise self._error("a value is missing", at)
        self._reduce(0)
        if self._operators:
            raise self._error("( is never closed", self._operators[-1].column)

    def _error(self, what: str, at: int) -> ExpressionError:
        return ExpressionError(what, self._text, at + 1)

    def _after_operand(self, kind: str, token: str, column: int) -> bool:
        """Take what may follow a value; whether a value follows it."""
        if token == ")" and kind == "operator":
            self._reduce(0)
            if not self._operators:
                raise self._error(") without (", column)
            self._operators.pop()
            return False
        if kind != "operator" or token not in _BINDING:
            raise self._error(f"an operator is missing before {token}", column)
        binding = _BINDING[token]
        self._reduce(binding)
        jump = -1
        if token in ("&&", "||"):
            jump = len(self._code)
            self._code.append(lambda _: None)  # until it is known where to
        self._operators.append(_Operator(token, binding, column, jump))
        return True

    def _reduce(self, binding: int) -> None:
        """Emit the operators on the stack that bind at least as tightly, and at all."""
        while self._operators and self._operators[-1].binding >= max(binding, 1):
            operator = self._operators.pop()
            if operator.jump >= 0:
                self._code.append(_truth)
                self._code[operator.jump] = _short_cut(operator.name == "||", len(self._code))
            elif operator.binding < _PREFIX_BINDING:
                self._code.append(_binary(operator.name, operator.column + 1))
            elif operator.name[0] == "{" or operator.name == "*":
                kind = TYPES[operator.name[1:-1].strip() if operator.name != "*" else "u64"]
                self._code.append(_load(kind, operator.column + 1))
            else:
                self._code.append(_PREFIX_CODE[operator.name])

    def _operand(self, kind: str, token: str, column: int) -> None:
        if kind == "number":
            value = self._number(token, column)
        elif kind == "character":
            value = self._character(token, column)
        elif kind == "register":
            self._code.append(_register(token[1:], column + 1))
            return
        elif kind == "name":
            self._code.append(_symbol(token, column + 1))
            return
        else:
            raise self._error(f"a value is missing before {token}", column)
        self._code.append(lambda machine: machine.stack.append(value))

    def _number(self, token: str, column: int) -> _Value:
        found = _NUMBER.fullmatch(token)
        if found is None:
            raise self._error(f"{_quoted(token)} is no number: expected decimal, 0x… or 0b…", column)
        digits, base = next((found[name].replace("_", ""), base)
                            for name, base in (("hex", 16), ("binary", 2), ("decimal", 10)) if found[name] is not None)
        if base == 10 and len(digits) > 1 and digits[0] == "0":
            raise self._error(f"{_quoted(token)} would be octal in C: write it without the leading 0", column)
        digits = digits.lstrip("0") or "0" if digits else ""
        if not digits or len(digits) > 64 or int(digits, base) > MASK:
            raise self._error(f"{_quoted(token)} is no number of at most 64 bits", column)
        number = int(digits, base)
        return _Value(number, number < _SIGN and "u" not in found["suffix"].lower())

    def _character(self, token: str, column: int) -> _Value:
        inner = token[1:-1]
        code = _ESCAPES.get(inner[1]) if inner[0] == "\\" else ord(inner)
        if code is None or code > 0x7F:
            raise self._error(f"{token} is no ASCII character", column)
        return _Value(code, True)

    def _address_of(self, column: int, at: int) -> int:
        while at < len(self._text) and self._text[at].isspace():
            at += 1
        found = _TOKEN.match(self._text, at)
        if found is None or found.lastgroup != "name":
            raise self._error("& is of symbols only, and none follows", column)
        self._code.append(_symbol(found[0], at + 1))
        return found.end()


def _quoted(token: str) -> str:
    return token if len(token) <= _SHOWN else token[:_SHOWN] + "…"


def _register(name: str, column: int) -> Callable[[_Machine], None]:
    signed = name in _SIGNED_REGISTERS

    def code(machine: _Machine) -> None:
        try:
            value = machine.scope.register(name)
        except RegisterError as error:
            raise machine.error(str(error), column) from None
        machine.stack.append(_Value(value & MASK, signed))
    return code


def _symbol(name: str, column: int) -> Callable[[_Machine], None]:
    def code(machine: _Machine) -> None:
        address = machine.scope.symbol(name)
        if address is None:
            raise machine.error(f"no symbol is called {_quoted(name)} (registers begin with $)", column)
        machine.stack.append(_Value(address & MASK, False))
    return code


def _load(kind: _Type, column: int) -> Callable[[_Machine], None]:
    def code(machine: _Machine) -> None:
        address = machine.stack[-1].bits
        if address > MASK + 1 - kind.size:
            raise machine.error(f"{kind.size} bytes at {address:#x} reach beyond the end of memory", column)
        try:
            data = machine.scope.memory(address, kind.size)
        except BusError as error:
            raise machine.error(str(error), column) from None
        value = int.from_bytes(data, "little", signed=kind.signed)
        machine.stack[-1] = _Value(value & MASK, kind.signed or kind.size < 8)
    return code


def _truth(machine: _Machine) -> None:
    machine.stack[-1] = _Value(int(machine.stack[-1].bits != 0), True)


def _short_cut(decided_by: bool, end: int) -> Callable[[_Machine], None]:
    """Drop the left value and go on, unless it decides: then it is the result, and the right side is passed."""
    def code(machine: _Machine) -> None:
        if (machine.stack[-1].bits != 0) == decided_by:
            _truth(machine)
            machine.at = end
        else:
            machine.stack.pop()
    return code


def _binary(name: str, column: int) -> Callable[[_Machine], None]:
    operation, compares, shifts = _BINARY[name], name in _COMPARISONS, name in ("<<", ">>")

    def code(machine: _Machine) -> None:
        right, left = machine.stack.pop(), machine.stack.pop()
        signed = left.signed if shifts else left.signed and right.signed
        a = _Value(left.bits, signed).number
        b = right.number if shifts else _Value(right.bits, signed).number
        if shifts and b < 0:
            raise machine.error(f"a shift by {b}", column)
        if b == 0 and name in ("/", "%"):
            raise machine.error("a division by zero", column)
        machine.stack.append(_Value(operation(a, b) & MASK, signed or compares))
    return code


def _divide(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _negate(machine: _Machine) -> None:
    value = machine.stack[-1]
    machine.stack[-1] = _Value(-value.bits & MASK, value.signed)


def _complement(machine: _Machine) -> None:
    value = machine.stack[-1]
    machine.stack[-1] = _Value(value.bits ^ MASK, value.signed)


def _not(machine: _Machine) -> None:
    machine.stack[-1] = _Value(int(machine.stack[-1].bits == 0), True)


_PREFIX_CODE: dict[str, Callable[[_Machine], None]] = {
    "-": _negate, "+": lambda _machine: None, "~": _complement, "!": _not}
_COMPARISONS: dict[str, Callable[[int, int], int]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b}
_BINARY: dict[str, Callable[[int, int], int]] = {
    **_COMPARISONS,
    "*": lambda a, b: a * b, "/": _divide, "%": lambda a, b: a - b * _divide(a, b),
    "+": lambda a, b: a + b, "-": lambda a, b: a - b,
    "<<": lambda a, b: a << min(b, 64), ">>": lambda a, b: a >> min(b, 64),
    "&": lambda a, b: a & b, "^": lambda a, b: a ^ b, "|": lambda a, b: a | b}
