#!/usr/bin/python3
"""Adds up JUnit result files: names what failed, then prints "N passed, N failed". Exits 1 on a failure."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(files: list[str]) -> int:
    passed = skipped = 0
    failed: list[str] = []
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            name = f"{Path(file).stem}: {case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            elif case.find("skipped") is not None:
                skipped += 1
                print(f"not run  {name}")
            else:
                passed += 1
    for name in failed:
        print(f"FAILED   {name}")
    not_run = f", {skipped} not run" if skipped else ""
    print(f"{passed} passed, {len(failed)} failed{not_run}")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
