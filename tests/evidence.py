"""Finds every rule that the source can tell of and every key of evidence, in its syntax trees."""

import ast
import re
from collections.abc import Iterator

from syntax import syntax
from texts import SOURCE

# what makes a finding, and which of its parameters are no evidence
MAKERS = {
    "Finding": {"rule", "starts_at_s", "ends_at_s", "channel_id", "series_id"},
    "FindingDraft": {
        "tenant_id",
        "rule",
        "subject_key",
        "starts_at",
        "ends_at",
        "usage_point_id",
        "meter_id",
    },
    "finding": {"rule", "chosen", "series", "first", "end"},
    "replace": set[str](),
    "_open": set[str](),
}
NAMED = re.compile(r"_?evidence|seen|told")
RULE = re.compile(r"(?:vee|readings|pipeline|worker|collection|billing|commands|operations)\.[a-z-]+")
SUBJECT = re.compile(r'f"([a-z-]+):\{|(?:SUBJECT(?:_KEY)?|subject) = "([a-z:-]+)"')
VERB = re.compile(r'(?:@audited\(\s*|\bverb=)"([a-z.-]+)"')
NO_SUBJECTS = {"account", "address"}  # whose log-ins are counted
PHASES = "123"


def keys_of_source() -> dict[str, str]:
    """Return {key of evidence: file that gives it}."""
    return {
        key: path.name for path in sorted(SOURCE.rglob("*.py")) for key in keys_in(path.read_text("utf-8"))
    }


def keys_in(source: str) -> Iterator[str]:
    """Yield the keys of evidence in one module: where findings are made, and where evidence gets its name."""
    tree = syntax(source)
    names = {"Finding", "FindingDraft", "finding"}
    if not any(_name(node) in names for node in ast.walk(tree) if isinstance(node, ast.Call)):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in MAKERS:
            yield from _keys_of_call(node, MAKERS[_name(node)])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and NAMED.fullmatch(target.id):
                yield from _keys_of(node.value)
            elif isinstance(target, ast.Subscript) and NAMED.fullmatch(ast.unparse(target.value)):
                yield from _texts(target.slice)


def _keys_of_call(call: ast.Call, others: set[str]) -> Iterator[str]:
    is_own = _name(call) == "finding"  # its further names are evidence
    for keyword in call.keywords:
        if keyword.arg == "evidence":
            yield from _keys_of(keyword.value)
        elif is_own and keyword.arg and keyword.arg not in others:
            yield keyword.arg
    for argument in call.args:
        if isinstance(argument, ast.Dict):
            yield from _keys_of(argument)


def _keys_of(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            for key in part.keys:
                yield from _texts(key) if key is not None else ()
        elif isinstance(part, ast.DictComp):
            yield from _texts(part.key)


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield a text, or what one with a phase in it can be; what another name stands for is no text."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        for phase in PHASES:
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else phase for part in node.values
            )


def rules_of_source() -> dict[str, str]:
    """Return {rule: file}: what is given to a finding, or is called a rule."""
    return {
        rule: path.name for path in sorted(SOURCE.rglob("*.py")) for rule in rules_in(path.read_text("utf-8"))
    }


def rules_in(source: str) -> Iterator[str]:
    """Yield the rules in one module."""
    for node in ast.walk(syntax(source)):
        if isinstance(node, ast.Call) and _name(node) in MAKERS:
            found = [part for argument in node.args for part in ast.walk(argument)]
        elif isinstance(node, ast.Assign | ast.For):
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            is_rule = re.search(r"\b_?(\w+_)?rules?\b", name, re.IGNORECASE)
            value = node.value if isinstance(node, ast.Assign) else node.iter
            found = list(ast.walk(value)) if is_rule else []
        else:
            continue
        for part in found:
            if isinstance(part, ast.Constant) and RULE.fullmatch(str(part.value)):
                yield part.value


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def verbs_of_source() -> dict[str, str]:
    """Return {verb that leaves an audit row: file}."""
    texts = {path.name: path.read_text("utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    return {verb: name for name, text in texts.items() for verb in VERB.findall(text)}


def subjects_of_source() -> dict[str, str]:
    """Return {kind of subject: file}: what stands before the colon of a key, or a whole key without one."""
    return {
        kind: path.name
        for path in sorted(SOURCE.rglob("*.py"))
        if re.search(
            r"FindingDraft\(|tell_held\(|entry.subject = |append_record\(", text := path.read_text("utf-8")
        )
        for kind in map("".join, SUBJECT.findall(text))
        if kind not in NO_SUBJECTS
    }
