"""The size bars of CONTRIBUTING.md: lines per module and per function."""

import ast
import statistics
import sys
from pathlib import Path

MODULE_MEDIAN, MODULE_MAX, FUNCTION_MAX = 150, 500, 60


def main() -> int:
    """Prints what is above a bar; exit code 1 when anything is."""
    faults, modules, functions = [], [], []
    for path in sorted(Path("src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        modules.append(len(text.splitlines()))
        if modules[-1] > MODULE_MAX:
            faults.append(f"{path}: {modules[-1]} lines, at most {MODULE_MAX}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                functions.append(length)
                if length > FUNCTION_MAX:
                    where = f"{path}:{node.lineno} {node.name}"
                    faults.append(f"{where}: {length} lines, at most {FUNCTION_MAX}")
    median = statistics.median(modules)
    if median > MODULE_MEDIAN:
        faults.append(f"median module has {median} lines, at most {MODULE_MEDIAN}")
    print(
        f"sizes: {len(modules)} modules, median {median:.0f}, largest {max(modules)} lines; "
        f"{len(functions)} functions, 90 % within {statistics.quantiles(functions, n=10)[-1]:.0f} lines"
    )
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
