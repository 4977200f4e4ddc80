"""Random behaviour trees as py_trees 2.x answers them: the reference for `flowhost-flow`.

Writes one JSON document to the file named on the command line: for each tree its nodes as a plan file
has them, what its leaves answer, and after every tick the status of the root and the actions that run.
The Rust test compares tick by tick; `cargo xtask py-trees` runs this in an environment of its own and
says whether the document in the repository is still what py_trees answers.
"""

import json
import random
import sys

import py_trees
from py_trees.common import ParallelPolicy, Status

TREES = 300
TICKS = 14


class Leaf(py_trees.behaviour.Behaviour):
    """An action: each start takes the next entry of its script, [ticks that it runs, how it ends]."""

    def __init__(self, place, script):
        super().__init__(place)
        self.script, self.starts, self.left, self.end = script, 0, 0, True

    def initialise(self):
        self.left, self.end = self.script[self.starts % len(self.script)]
        self.starts += 1

    def update(self):
        if self.left == 0:
            return Status.SUCCESS if self.end else Status.FAILURE
        self.left -= 1
        return Status.RUNNING


class Condition(py_trees.behaviour.Behaviour):
    """A condition: each look takes the next entry of its script."""

    def __init__(self, place, script):
        super().__init__(place)
        self.script, self.looks = script, 0

    def update(self):
        holds = self.script[self.looks % len(self.script)]
        self.looks += 1
        return Status.SUCCESS if holds else Status.FAILURE


def make(dice, depth, place, scripts):
    """A node as a plan file has it."""
    if depth == 0 or dice.random() < 0.25:
        if dice.random() < 0.3:
            scripts[place] = [dice.random() < 0.6 for _ in range(dice.randint(1, 4))]
            return {"type": "condition", "check": "true"}
        scripts[place] = [
            [dice.randint(0, 3), dice.random() < 0.6] for _ in range(dice.randint(1, 4))
        ]
        return {"type": "action", "uses": "t"}
    if dice.random() < 0.3:
        child = make(dice, depth - 1, place + ".0", scripts)
        kind = dice.choice(["invert", "force_success", "force_failure", "retry", "repeat"])
        node = {"type": kind, "child": child}
        if kind == "retry":
            node["max_attempts"] = dice.randint(1, 3)
        if kind == "repeat":
            node["times"] = dice.randint(1, 3)
        return node
    count = dice.randint(1, 4)
    children = [make(dice, depth - 1, f"{place}.{index}", scripts) for index in range(count)]
    kind = dice.choice(["sequence", "selector", "parallel"])
    node = {"type": kind, "memory": dice.random() < 0.5, "children": children}
    if kind == "parallel":
        # py_trees knows two thresholds; the second has no memory.
        if dice.random() < 0.3:
            node.update(success_count=1, failure_count=1, memory=False)
        else:
            node.update(success_count=count, failure_count=1)
    return node


def build(node, place, scripts):
    """The same node in py_trees."""
    kind = node["type"]
    if kind == "condition":
        return Condition(place, scripts[place])
    if kind == "action":
        return Leaf(place, scripts[place])
    if "child" in node:
        child = build(node["child"], place + ".0", scripts)
        decorators = py_trees.decorators
        return {
            "invert": lambda: decorators.Inverter(place, child),
            "force_success": lambda: decorators.FailureIsSuccess(place, child),
            "force_failure": lambda: decorators.SuccessIsFailure(place, child),
            "retry": lambda: decorators.Retry(place, child, node["max_attempts"]),
            "repeat": lambda: decorators.Repeat(place, child, node["times"]),
        }[kind]()
    children = [
        build(child, f"{place}.{index}", scripts) for index, child in enumerate(node["children"])
    ]
    if kind == "sequence":
        return py_trees.composites.Sequence(place, memory=node["memory"], children=children)
    if kind == "selector":
        return py_trees.composites.Selector(place, memory=node["memory"], children=children)
    if node["success_count"] == 1 and len(children) > 1:
        policy = ParallelPolicy.SuccessOnOne()
    else:
        policy = ParallelPolicy.SuccessOnAll(synchronise=node["memory"])
    return py_trees.composites.Parallel(place, policy=policy, children=children)


def run(seed):
    dice = random.Random(seed)
    scripts = {}
    root = make(dice, dice.randint(1, 4), "root", scripts)
    tree = build(root, "root", scripts)
    ticks = []
    for _ in range(TICKS):
        tree.tick_once()
        running = [
            node.name
            for node in tree.iterate()
            if isinstance(node, Leaf) and node.status == Status.RUNNING
        ]
        ticks.append(" ".join([tree.status.value.lower(), *sorted(running)]))
    return {"root": root, "scripts": scripts, "ticks": ticks}


if __name__ == "__main__":
    py_trees.logging.level = py_trees.logging.Level.ERROR
    document = {"trees": [run(seed) for seed in range(TREES)]}
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(document, out, sort_keys=True, separators=(",", ":"))
        out.write("\n")
