r"""The small LaTeX that language models write, as text with the signs of mathematics: `\frac{3}{4}` becomes `3/4`.

In:  the inside of a formula, or text with stray commands.   Out: the same with Unicode signs and a few spoken joints,
for the numbers and symbols to be said by the rules of all text. Nested to sixteen levels, in linear time.
"""

import re

from processors.text.language_pack import Pack

_MAX_DEPTH = 16
_TOKEN = re.compile(r"\\([A-Za-z]+)\*?|\\(.)|([{}^_])|([^\\{}^_]+)", re.DOTALL)
_SIGNS = {
    "times": "×", "cdot": "×", "ast": "×", "div": "÷", "pm": "±", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥",
    "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "sim": "≈", "simeq": "≈", "cong": "≈",
    "equiv": "=", "infty": "∞", "to": "→", "rightarrow": "→", "Rightarrow": "→", "implies": "→", "mapsto": "→",
    "circ": "°", "degree": "°", "lt": "<", "gt": ">", "partial": "∂", "in": "∈", "forall": "∀", "exists": "∃",
    "cup": "∪", "cap": "∩", "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "int": "∫", "sum": "∑", "prod": "∏",
    "ldots": "…", "dots": "…", "cdots": "…", "percent": "%", "euro": "€", "pounds": "£",
}  # fmt: skip
_SILENT = frozenset(
    "text textbf textit texttt textrm mathrm mathbf mathit mathbb mathcal mathsf operatorname left right big Big bigg "
    "Bigg bigl bigr quad qquad begin end displaystyle textstyle boxed limits nolimits vec hat bar overline underline "
    "tilde dot mbox hbox rm bf it cdotp nonumber label tag not middle phantom hspace vspace color".split()
)
_OPENERS = {"sum": "sum", "prod": "product", "int": "integral", "lim": "limit"}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+−()ni", strict=True))
_SUPERSCRIPT = re.compile(r"(?<=[\w)\]])[⁰¹²³⁴-⁹⁺⁻⁽⁾ⁿⁱ]+")
_FOOTNOTE = re.compile(r"(?<=[^\W\d_]{4})[¹²³⁴-⁹]{1,2}(?!\w)")
_CARET = re.compile(r"(?<=[\w)\]])\^(?:\{([^{}]{1,40})\}|\(([^()]{1,40})\)|([-−+]?[0-9]{1,6}(?:\.[0-9]+)?|[A-Za-z]))")
_MINUS = re.compile(r"(?<=[\w)}\]]) ?[-–] ?(?=[\w(\\])")
_ABSOLUTE = re.compile(r"(?:\\left)?\|([^|$]{1,40}?)(?:\\right)?\|")
_FACTORIAL = re.compile(r"(?<=[\w)}])!(?!=)")
_COEFFICIENT = re.compile(r"(?<=[0-9])(?=[a-zA-Z](?![a-zA-Z]))")
_FORMULA_LOOK = re.compile(r"[\\^_=<>+*/{}|≤≥≈×÷±√∞-]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_TEXT_GROUP = re.compile(r"\\(?:text|mathrm|operatorname|textbf|mathbf|mbox)\s?\{[^{}]{0,100}\}|\\[A-Za-z]+")
_FUNCTIONS = {"sin": "sine", "cos": "cosine", "tan": "tangent", "ln": "natural log", "exp": "exp", "log": "log"}


def is_formula(text: str) -> bool:
    """Whether the text between two dollar signs is mathematics, and not the words between two prices."""
    if not text or text[0].isspace() or text[-1].isspace():
        return False
    if _WORD.search(_TEXT_GROUP.sub("", text)):
        return False
    return bool(_FORMULA_LOOK.search(text)) or len(text) <= 12


def say_formula(text: str, pack: Pack) -> str:
    """Write a formula so that the rules of all text can say it; a hyphen in it is a minus."""
    if "abs" in pack.words:
        text = _ABSOLUTE.sub(lambda match: f" {pack.words['abs']} {match[1]} ", text)
        text = _FACTORIAL.sub(f" {pack.words['factorial']} ", text)
    text = latex_to_text(text, pack)
    return " " + _COEFFICIENT.sub(" ", _MINUS.sub(" − ", text).replace("-", "−")).rstrip() + " "


def latex_to_text(text: str, pack: Pack) -> str:
    """Replace LaTeX commands, exponents and indices by signs and joints."""
    if not any(char in text for char in "\\{}^_"):
        return text
    tokens = _TOKEN.finditer(text)
    words, _ = _group(list(tokens), 0, pack, 0)
    return words


def _group(tokens: list[re.Match[str]], index: int, pack: Pack, depth: int) -> tuple[str, int]:
    """Read up to the closing brace of this group; the words, and the index behind it."""
    parts: list[str] = []
    while index < len(tokens):
        token = tokens[index]
        if token[3] == "}":
            return "".join(parts), index + 1
        words, index = _item(tokens, index, pack, depth)
        parts.append(words)
    return "".join(parts), index


def _item(tokens: list[re.Match[str]], index: int, pack: Pack, depth: int) -> tuple[str, int]:
    token = tokens[index]
    if token[4] is not None:
        return token[4], index + 1
    if token[2] is not None:
        return " " if token[2] in " ,;:!()[]\\" else token[2], index + 1
    if depth >= _MAX_DEPTH:
        return " ", index + 1
    if token[1] is not None:
        return _command(tokens, index, pack, depth + 1)
    if token[3] == "{":
        return _group(tokens, index + 1, pack, depth + 1)
    if token[3] == "}":
        return " ", index + 1
    argument, following = _argument(tokens, index + 1, pack, depth + 1)
    if token[3] == "^":
        return _power(argument, pack), following
    return _index_words(argument, pack), following


def _argument(tokens: list[re.Match[str]], index: int, pack: Pack, depth: int) -> tuple[str, int]:
    """A group, a command, or the first character of a text, whose rest goes back to be read."""
    if index >= len(tokens):
        return "", index
    token = tokens[index]
    if token[4] is None:
        if token[3] in ("}", "^", "_"):
            return "", index
        if depth >= _MAX_DEPTH:
            return " ", index + 1
        return _item(tokens, index, pack, depth + 1)
    text = token[4].lstrip()
    rest = _TOKEN.match(text, 1) if len(text) > 1 else None
    if rest is None:
        return text, index + 1
    tokens[index] = rest
    return text[:1], index


def _command(tokens: list[re.Match[str]], index: int, pack: Pack, depth: int) -> tuple[str, int]:
    name = tokens[index][1]
    if name in ("frac", "dfrac", "tfrac", "cfrac"):
        above, index = _argument(tokens, index + 1, pack, depth)
        below, index = _argument(tokens, index, pack, depth)
        return _fraction(above.strip(), below.strip(), pack), index
    if name in ("binom", "dbinom") and "choose" in pack.words:
        above, index = _argument(tokens, index + 1, pack, depth)
        below, index = _argument(tokens, index, pack, depth)
        return f" {above.strip()} {pack.words['choose']} {below.strip()} ", index
    if name == "sqrt":
        return _root(tokens, index + 1, pack, depth)
    if name in _OPENERS and _OPENERS[name] in pack.words:
        return _with_limits(tokens, index + 1, pack.words[_OPENERS[name]], name, pack, depth)
    if name in ("begin", "end", "label", "tag", "color", "hspace", "vspace"):
        return " ", _argument(tokens, index + 1, pack, depth)[1]
    if name in _SILENT:
        return " ", index + 1
    if name in _SIGNS:
        return (_SIGNS[name] if name in ("circ", "degree", "percent") else f" {_SIGNS[name]} "), index + 1
    if name in _FUNCTIONS and pack.is_english:
        return f" {_FUNCTIONS[name]} ", index + 1
    return f" {name} ", index + 1


def _root(tokens: list[re.Match[str]], index: int, pack: Pack, depth: int) -> tuple[str, int]:
    degree = ""
    if index < len(tokens) and tokens[index][4] is not None:
        match = re.match(r"\s*\[([^\[\]]{1,10})\]\s*", tokens[index][4])
        if match:
            degree = match[1]
            rest = _TOKEN.match(tokens[index][4], match.end()) if match.end() < len(tokens[index][4]) else None
            if rest is None:
                index += 1
            else:
                tokens[index] = rest
    argument, index = _argument(tokens, index, pack, depth)
    sign = {"": "√", "2": "√", "3": "∛"}.get(degree)
    if sign:
        return f" {sign} {argument.strip()} ", index
    return f" {degree}-√ {argument.strip()} ", index


def _with_limits(
    tokens: list[re.Match[str]], index: int, words: str, name: str, pack: Pack, depth: int
) -> tuple[str, int]:
    limits = {"_": "", "^": ""}
    while index < len(tokens):
        while index < len(tokens) and (tokens[index][4] or "x").isspace():
            index += 1
        if index < len(tokens) and tokens[index][1] == "limits":
            index += 1
            continue
        mark = tokens[index][3] if index < len(tokens) else None
        if mark not in limits or limits[mark or ""]:
            break
        limits[mark or ""], index = _argument(tokens, index + 1, pack, depth)
    lower, upper = limits["_"].strip(), limits["^"].strip()
    if lower:
        words += f" {lower}" if name == "lim" else f" {pack.words['from']} {lower}"
    if upper:
        words += f" {pack.words['to']} {upper}"
    return f" {words} {pack.words['of']} ", index


def _fraction(above: str, below: str, pack: Pack) -> str:
    if re.fullmatch(r"[0-9]{1,3}", above) and re.fullmatch(r"[0-9]{1,3}", below):
        return f" {above}/{below} "
    if "over" not in pack.words:
        return f" {above}/{below} "
    return f" {above} {pack.words['over']} {below} "


def _power(argument: str, pack: Pack) -> str:
    argument = argument.strip()
    if argument in ("2", "3"):
        return "²" if argument == "2" else "³"
    if argument in ("°", "∘"):
        return "°"
    if argument in ("'", "\\prime", "prime"):
        return "'"
    if not argument:
        return " "
    if "^" in pack.templates:
        return pack.templates["^"].format(argument.replace("-", "−"))
    return f" ^ {argument.replace('-', '−')} "


def _index_words(argument: str, pack: Pack) -> str:
    sub = pack.words.get("sub", "")
    return f" {sub} {argument.strip()} " if sub else f" {argument.strip()} "


def unify_powers(line: str, pack: Pack) -> str:
    """Write exponents in one way: `²`, `³`, and `^` with its exponent for all others; marks of footnotes vanish."""
    if "^" in line:
        line = _CARET.sub(lambda m: _power(next(group for group in m.groups() if group), pack), line)
    if any(char in line for char in _SUPERSCRIPTS):
        line = _FOOTNOTE.sub("", line)
        line = _SUPERSCRIPT.sub(lambda m: _power("".join(_SUPERSCRIPTS[char] for char in m[0]).strip("()"), pack), line)
    return line
