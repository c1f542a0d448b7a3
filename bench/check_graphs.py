"""Runs onnx's checker, in full, on every graph of a run folder.

    python3 bench/check_graphs.py results/quickstart-0123abcd     needs: pip install onnx==1.23.0 (or later)

com.microsoft operations (FusedMatMul, RotaryEmbedding) are ONNX Runtime's own and unknown to the checker, which passes
over their inside; all others are checked against the standard, with shape inference.
"""

import pathlib
import sys

import onnx

graphs = sorted(pathlib.Path(sys.argv[1], "graphs").glob("*.onnx"))
if not graphs:
    sys.exit(f"{sys.argv[1]} has no graphs/*.onnx: is it a run folder?")
for path in graphs:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    print(f"{path.name}: {len(model.graph.node)} nodes, ok")
