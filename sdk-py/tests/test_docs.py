"""The Python of the documentation runs."""

import re
import unittest
from pathlib import Path

from flowhost.testing import FakeHost

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "sdk-py/README.md", ROOT / "docs/authors/python.md")


class DocsTest(unittest.TestCase):
    def test_every_example_runs(self) -> None:
        for page in PAGES:
            blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.S | re.M)
            self.assertNotEqual(blocks, [], page)
            for number, block in enumerate(blocks):
                with self.subTest(page=page.name, number=number), FakeHost().in_place():
                    exec(compile(block, f"{page.name}, example {number + 1}", "exec"), {"__name__": f"example_{number}"})

    def test_the_first_example_counts(self) -> None:
        block = re.search(r"^```python\n(.*?)^```$", PAGES[1].read_text(), re.S | re.M)
        assert block is not None
        names: dict[str, object] = {"__name__": "example"}
        exec(block.group(1), names)
        self.assertEqual(FakeHost().call(names["plugin"], {"text": "a bb", "least": 2}).value, {"words": 1})  # type: ignore[arg-type]


if __name__ == "__main__":
    unittest.main()
