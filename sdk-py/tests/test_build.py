"""The build: what it says of a project that is wrong, and what it writes. The slow part, which makes the
component, is in the repository's own tests of built plugins."""

import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

from flowhost.build import BuildFailure, agree, manifest_of, packages, with_tools, world

TOML = 'version = 1\nname = "under-test"\nkind = "tool"\nrelease = "0.1.0"\ndescription = "d"\n'
TOOL = 'from flowhost import define_tool\n{top}\nplugin = define_tool(name="t", description="d", run=lambda given: {run})\n'


def said(source: str, needs: str = "", toml: str = TOML) -> str:
    """What the command says of a project that it refuses."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "src").mkdir()
        (folder / "plugin.toml").write_text(f"{toml}\n[needs]\n{needs}")
        (folder / "src/plugin.py").write_text(source)
        ran = subprocess.run([sys.executable, "-m", "flowhost.build"], cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 1, ran
        assert ran.stdout == "", ran.stdout
        assert not (folder / "dist").exists()
        return ran.stderr


class BuildTest(unittest.TestCase):
    def test_a_right_that_is_used_and_not_asked_for_is_refused_with_the_line_to_add(self) -> None:
        text = said(TOOL.format(top="from flowhost import http", run="http.get('http://127.0.0.1/').status"))
        self.assertEqual(text, "error: the plugin uses http, which plugin.toml does not ask for\n\nhint: add below [needs] in plugin.toml: http = \"granted\"\n")

    def test_a_right_that_is_asked_for_and_never_used_is_refused(self) -> None:
        self.assertIn("asks for log and the plugin never uses it", said(TOOL.format(top="", run="1"), "log = true\n"))

    def test_what_the_process_of_an_adapter_sees_is_granted_to_the_adapter(self) -> None:
        needs = '[needs]\nprocess = "granted"\nfiles = "granted"\nhttp = "granted"\n'
        agree(manifest_of(TOML.replace('"tool"', '"mcp-adapter"') + needs), ["mcp-transport"])
        with self.assertRaisesRegex(BuildFailure, "asks for files"):
            agree(manifest_of(TOML + '[needs]\nfiles = "granted"\n'), [])

    def test_faults_of_the_module_have_file_and_line(self) -> None:
        self.assertRegex(said("x = ("), r"error: src/plugin\.py:1:\d+: SyntaxError")
        self.assertIn("error: src/plugin.py:2: ZeroDivisionError", said("\n1 / 0\n"))
        self.assertIn("has nothing named `plugin`", said("x = 1\n"))

    def test_a_manifest_that_is_wrong_is_told(self) -> None:
        for text, wanted in ((TOML + 'name = "x', "^plugin.toml: "), ('name = "x"\n', "`kind` is not one of"), (TOML + "[[tools]]\n", "made from the code")):
            with self.assertRaisesRegex(BuildFailure, wanted):
                manifest_of(text)

    def test_another_kind_than_the_manifest_says_is_refused(self) -> None:
        self.assertIn("hint: write: plugin = define_agent(…)", said(TOOL.format(top="", run="1"), "", TOML.replace('"tool"', '"agent"')))

    def test_an_agent_hears_messages_without_calling_anything(self) -> None:
        manifest = manifest_of(TOML.replace('"tool"', '"agent"') + '[needs]\nmessages = "granted"\n')
        agree(manifest, [])

    def test_the_world_has_what_is_imported_and_the_role_and_nothing_else(self) -> None:
        self.assertEqual(
            world("tool", ["clock", "log"]),
            "package flowhost:plugin@0.1.0;\n\nworld plugin {\n  import flowhost:clock/clock@0.1.0;\n"
            "  import flowhost:log/log@0.1.0;\n  export flowhost:roles/tool@0.1.0;\n}\n",
        )

    def test_tools_in_the_manifest_are_toml_that_says_the_same(self) -> None:
        table = {"name": "t", "description": 'a "quoted"\n\x7fline', "input": {"properties": {"a b": {"enum": [1, 2.5, "x", True]}}}}
        text = with_tools(manifest_of(TOML), [table])
        self.assertEqual(tomllib.loads(text)["tools"], [table])
        self.assertTrue(text.startswith(TOML.rstrip()))

    def test_what_stands_inside_is_listed_and_what_is_only_installed_is_not(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            vendored = Path(place) / "tidy_lib-2.1.dist-info"
            vendored.mkdir()
            (vendored / "METADATA").write_text("Metadata-Version: 2.1\nName: tidy_lib\nVersion: 2.1\n")
            listed = packages(Path(place))
        names = [it["name"] for it in listed]
        self.assertEqual(names, ["componentize-py", "flowhost", "mashumaro", "tidy_lib", "typing_extensions"])
        self.assertTrue(all(it["version"] for it in listed))
        self.assertIn({"name": "tidy_lib", "version": "2.1"}, listed)


if __name__ == "__main__":
    unittest.main()
