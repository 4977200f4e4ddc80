"""Builds the plugin of a project: `python -m flowhost.build [FOLDER]`. Sources in, component and manifest out.

The author's module is loaded twice: here, for what it says of itself, and inside the component, where
componentize-py runs its top level once and keeps the memory."""

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KINDS = ("agent", "guardrail", "mcp-adapter", "tool")
VERSION = "0.1.0"

#: WIT package to the key of its right and the line that asks for it.
RIGHTS = {
    "budget": ("budget", "budget = true"),
    "clock": ("clock", 'clock = "granted"'),
    "config": ("config", "config = true"),
    "files": ("files", 'files = "granted"'),
    "http": ("http", 'http = "granted"'),
    "log": ("log", "log = true"),
    "mcp-transport": ("process", 'process = "granted"'),
    "messaging": ("messages", 'messages = "granted"'),
    "model": ("model", 'model = "granted"'),
    "progress": ("log", "log = true"),
    "random": ("random", 'random = "granted"'),
    "secrets": ("secrets", 'secrets = "granted"'),
    "state": ("state", 'state = "granted"'),
    "tools": ("tools", 'tools = "granted"'),
}

#: Globals that follow a right, as an author's line mentions them.
MENTIONS = {
    "clock": re.compile(r"\b(time|datetime)\b"),
    "random": re.compile(r"\b(random|uuid|secrets|urandom)\b"),
    "log": re.compile(r"\bprint\(|\bsys\.std(out|err)\b|\blogging\b"),
}

#: Packages that are copied into every component beside this one.
TAKEN_ALONG = ("mashumaro", "typing_extensions")

#: What the component needs of this package; the rest is for the author's machine.
NOT_INSIDE = ("_bindings", "_wit", "build.py", "testing.py", "__pycache__")


class BuildFailure(Exception):
    """A fault of the project: what failed and why, and the cure."""

    def __init__(self, message: str, cure: str | None = None) -> None:
        super().__init__(message)
        self.cure = cure


@dataclass(frozen=True)
class Manifest:
    name: str
    kind: str
    asked: frozenset[str]
    text: str


def manifest_of(text: str) -> Manifest:
    """Reads the text of a `plugin.toml`, as far as the build needs it: the host reads it by its own rules."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BuildFailure(f"plugin.toml: {error}") from None
    name, kind, needs = document.get("name"), document.get("kind"), document.get("needs", {})
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise BuildFailure("plugin.toml: `name` is missing or not made of a-z, 0-9 and `-`", 'add a line such as: name = "word-count"')
    if kind not in KINDS:
        raise BuildFailure(f"plugin.toml: `kind` is not one of {', '.join(KINDS)}", 'add a line such as: kind = "tool"')
    if "tools" in document:
        raise BuildFailure("plugin.toml: `[[tools]]` is made from the code", "remove it: name, description and types stand in define_tool")
    if not isinstance(needs, dict):
        raise BuildFailure("plugin.toml: `needs` is not a table", "write [needs] on a line of its own")
    return Manifest(name, kind, frozenset(key for key, value in needs.items() if value is not False), text)


def with_tools(manifest: Manifest, tables: list[dict[str, Any]]) -> str:
    """The manifest that travels with the component: the author's text, and the tools of the code."""
    if not tables:
        return manifest.text
    lines = [manifest.text.rstrip(), "", "# From the code, by flowhost.build."]
    for table in tables:
        lines += ["[[tools]]", *(f"{key} = {_toml(value)}" for key, value in table.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _toml(value: Any) -> str:
    """A JSON value as TOML, which has no null: a schema says it with a type, and not with a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for what JSON may leave as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_toml(it) for it in value if it is not None) + "]"
    return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(it)}" for key, it in value.items() if it is not None) + " }"


def load(source: Path, module: str) -> tuple[Any, list[str]]:
    """The author's `plugin`, and the host modules that its files import."""
    sys.path.insert(0, str(source))
    try:
        loaded = importlib.import_module(module)
    except BaseException as error:
        where = _place(error, source)
        raise BuildFailure(
            f"{where}{type(error).__name__}: {error}",
            "the top level of the module runs while the plugin is built: move work into the plugin's function"
            if not isinstance(error, (SyntaxError, ModuleNotFoundError))
            else None,
        ) from None
    if not hasattr(loaded, "plugin"):
        raise BuildFailure(f"{module}.py has nothing named `plugin`", "write: plugin = define_tool(…), or decorate a function with that name")
    capabilities = {"messages": "messaging", "mcp_transport": "mcp-transport"} | {name: name for name in RIGHTS if name not in ("messaging", "mcp-transport")}
    used = sorted(name for module_name, name in capabilities.items() if f"flowhost.{module_name}" in sys.modules)
    return loaded.plugin, used


def _place(error: BaseException, source: Path) -> str:
    """`src/plugin.py:12: ` for the innermost line of the author's, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename)}:{error.lineno}:{error.offset}: "
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(source):
            place = f"{os.path.relpath(file)}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return place


def agree(manifest: Manifest, imports: list[str]) -> None:
    """Holds what a component imports against what its manifest asks for: both ways, as the host's build does."""
    used = set()
    for name in imports:
        if name not in RIGHTS:
            continue
        key, line = RIGHTS[name]
        used.add(key)
        if key not in manifest.asked:
            shown = "messages" if name == "messaging" else name
            raise BuildFailure(f"the plugin uses {shown}, which plugin.toml does not ask for", f"add below [needs] in plugin.toml: {line}")
    # An agent hears messages, and hands them back, without calling anything. What the process of an adapter sees of the
    # machine is granted as files of the adapter, which reads none itself; and its server may be at an address.
    lent = {"files", "http"} if "process" in used else set()
    silent = {"messages"} if manifest.kind == "agent" else lent
    unused = sorted((manifest.asked & {key for key, _ in RIGHTS.values()}) - used - silent)
    if unused:
        raise BuildFailure(f"plugin.toml asks for {', '.join(unused)} and the plugin never uses it", "remove it from [needs]: less is granted then")


def world(kind: str, imports: list[str]) -> str:
    """The small world of one plugin: what it imports, and its role."""
    lines = "".join(f"  import flowhost:{name}/{name}@{VERSION};\n" for name in imports)
    return f"package flowhost:plugin@{VERSION};\n\nworld plugin {{\n{lines}  export flowhost:roles/{kind}@{VERSION};\n}}\n"


def build(folder: Path, module: str = "plugin", out: Path | None = None, manifest_beside: bool = True) -> dict[str, Any]:
    """Builds. Raises a BuildFailure for a fault of the project; the last good result stays then."""
    folder = folder.resolve()
    try:
        manifest = manifest_of((folder / "plugin.toml").read_text())
    except OSError as error:
        raise BuildFailure(f"plugin.toml cannot be read: {error}", "start a project with: flowhost plugin new NAME --lang python") from None
    source = folder / "src"
    if not (source / f"{module}.py").is_file():
        raise BuildFailure(f"src/{module}.py: no such file in {folder}", "name the module with --module NAME")
    plugin, used = load(source, module)
    parts = plugin if isinstance(plugin, list) else [plugin]
    if not parts or any(getattr(it, "kind", None) != manifest.kind for it in parts) or (manifest.kind != "tool" and len(parts) > 1):
        raise BuildFailure(
            f"`plugin` of src/{module}.py is not of the kind \"{manifest.kind}\", which plugin.toml names",
            f"write: plugin = define_{manifest.kind.replace('-', '_')}(…)",
        )
    tables = [it.describe() for it in parts] if manifest.kind == "tool" else []
    files = sorted(source.rglob("*.py"))
    text = "\n".join(file.read_text() for file in files)
    routed = sorted(key for key, mention in MENTIONS.items() if key in manifest.asked and mention.search(text))
    imports = sorted({*used, *routed})
    agree(manifest, imports)
    target = out or folder / "dist"
    with tempfile.TemporaryDirectory(prefix="flowhost-build-") as place:
        component = _componentize(Path(place), folder, source, module, manifest, imports, routed, tables)
        target.mkdir(parents=True, exist_ok=True)
        paths = {ending: target / f"{manifest.name}{ending}" for ending in (".toml", ".wasm", ".packages.json")}
        if manifest_beside:
            _write(paths[".toml"], with_tools(manifest, tables).encode())
        _write(paths[".packages.json"], (json.dumps(packages(source), indent=2) + "\n").encode())
        _write(paths[".wasm"], component)
    return {
        "name": manifest.name,
        "kind": manifest.kind,
        "component": str(paths[".wasm"]),
        "manifest": str(paths[".toml"]) if manifest_beside else None,
        "packages": str(paths[".packages.json"]),
        "bytes": len(component),
        "imports": imports,
        "tools": [table["name"] for table in tables],
    }


def packages(source: Path) -> list[dict[str, str]]:
    """What stands in a component beside the author's own files: this package and those that it takes along,
    componentize-py, which brings the interpreter, and what was installed into `src` itself. Nothing else of the
    environment is inside."""
    beside = [(name, importlib.metadata.version(name)) for name in (*TAKEN_ALONG, "componentize-py")]
    brought = [(it.name, it.version) for it in importlib.metadata.distributions(path=[str(source)])]
    return [{"name": name, "version": version} for name, version in sorted({("flowhost", _own_version()), *beside, *brought})]


def _own_version() -> str:
    """This package's version; where it is used from its sources it has none but the contract's."""
    try:
        return importlib.metadata.version("flowhost")
    except importlib.metadata.PackageNotFoundError:
        return VERSION


def _componentize(
    place: Path,
    folder: Path,
    source: Path,
    module: str,
    manifest: Manifest,
    imports: list[str],
    routed: list[str],
    tables: list[dict[str, Any]],
) -> bytes:
    wit, inside = place / "wit", place / "inside"
    shutil.copytree(HERE / "_wit", wit / "deps")
    (wit / "world.wit").write_text(world(manifest.kind, imports))
    shutil.copytree(HERE, inside / "flowhost", ignore=shutil.ignore_patterns(*NOT_INSIDE))
    for name in TAKEN_ALONG:
        _take_along(name, inside)
    # Where each module of the author's stands, for errors that name a line.
    files = {_module_name(file, source): str(file.relative_to(folder)) for file in sorted(source.rglob("*.py"))}
    role = manifest.kind.replace("-", "_")
    camel = "".join(word.capitalize() for word in manifest.kind.split("-"))
    given = f"[plugin] if not isinstance(plugin, list) else plugin, {tables!r}" if manifest.kind == "tool" else "plugin"
    (inside / "component.py").write_text(
        f"""from flowhost import _globals, _serve
_globals.route({routed!r})
_serve.Sources.files = {files!r}
from {module} import plugin
{camel} = _serve.{role}({given})
"""
    )
    command = [_tool("componentize-py"), "--quiet", "-d", str(wit), "-w", "plugin", "componentize", "--stub-wasi"]
    command += ["-p", str(inside), "-p", str(source), "component", "-o", str(place / "out.wasm")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=place)
    if ran.returncode != 0:
        said = ran.stderr.replace(f"{place}/", "").strip()
        raise BuildFailure(f"componentize-py cannot make the component:\n{said}", "what the plugin imports must be Python alone: no compiled modules")
    return (place / "out.wasm").read_bytes()


def _module_name(file: Path, source: Path) -> str:
    return ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def _take_along(name: str, inside: Path) -> None:
    """Copies a package or module that this one needs. Not the whole site-packages: componentize-py would look at all of it."""
    found = importlib.import_module(name).__file__
    if found is None:
        raise BuildFailure(f"the package {name} is not installed as files", "pip install --force-reinstall flowhost")
    path = Path(found)
    if path.name == "__init__.py":
        shutil.copytree(path.parent, inside / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, inside)


def _tool(name: str) -> str:
    """A program of this Python's own environment, else of the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise BuildFailure(f"`{name}` is not installed", f"{sys.executable} -m pip install componentize-py=={importlib.metadata.version('componentize-py')}")
    return found


def _write(path: Path, contents: bytes) -> None:
    """Writes beside the target and renames, so that a reader never meets half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(contents)
    partial.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flowhost.build", description="Builds the plugin of a project into dist/.")
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="where plugin.toml is")
    parser.add_argument("--module", default="plugin", help="the module below src/ whose `plugin` is the plugin")
    parser.add_argument("--out", type=Path, help="where the result goes; dist unless said")
    parser.add_argument("--no-manifest", action="store_true", help="leave NAME.toml out: `flowhost plugin build` puts it into the component")
    parser.add_argument("--json", action="store_true", help="print one JSON document about the result")
    options = parser.parse_args()
    # What the author's module prints while it is loaded must not stand in the document.
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        built = build(options.folder, options.module, options.out, not options.no_manifest)
    except BuildFailure as failure:
        print(f"error: {failure}" + (f"\n\nhint: {failure.cure}" if failure.cure else ""), file=sys.stderr)
        return 1
    asks = ", ".join(built["imports"]) or "nothing"
    text = f"{built['kind']} {built['name']} ({built['bytes'] // 1024} KiB), asks for {asks}\n{built['component']}"
    print(json.dumps(built) if options.json else text, file=stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
