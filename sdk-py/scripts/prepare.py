"""Makes what the package carries beside its sources: the WIT of the repository, and bindings for authors' own
machines, whose functions a fake host replaces. Run before packing, testing or building plugins from here."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/flowhost"
VERSION = "0.1.0"
ROLES = ("agent", "guardrail", "mcp-adapter", "tool")
#: Types and roles are no capabilities: nothing imports them by themselves.
SHARED = ("types", "roles")
#: What the bindings bring for asynchronous worlds, which ours are not.
UNUSED = ("componentize_py_async_support", "poll_loop.py")


def main() -> None:
    wit, bindings = PACKAGE / "_wit", PACKAGE / "_bindings"
    for made in (wit, bindings):
        shutil.rmtree(made, ignore_errors=True)
    packages = sorted(path for path in (ROOT.parent / "wit").iterdir() if path.is_dir())
    for package in packages:
        shutil.copytree(package / VERSION, wit / package.name)
    capabilities = [package.name for package in packages if package.name not in SHARED]
    lines = [f"  import flowhost:{name}/{name}@{VERSION};" for name in capabilities]
    lines += [f"  export flowhost:roles/{role}@{VERSION};" for role in ROLES]
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(wit, Path(place) / "deps")
        world = f"package flowhost:everything@{VERSION};\n\nworld everything {{\n" + "\n".join(lines) + "\n}\n"
        (Path(place) / "world.wit").write_text(world)
        program = Path(sys.executable).with_name("componentize-py")
        subprocess.run([program, "--quiet", "-d", place, "-w", "everything", "bindings", bindings], check=True)
    for name in UNUSED:
        path = bindings / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
