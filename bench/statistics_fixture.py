#!/usr/bin/env python3
"""Write runtime/report/testdata/statistics.json: what SciPy and statsmodels make of the statistics in runtime/report.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    python bench/statistics_fixture.py

The difference matrices are whole numbers of a seeded generator, so that the file is small and the same everywhere.
"""

import json
import pathlib

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

rng = np.random.default_rng(20261125)
out = {}

out["mcnemar"] = [
    {"up": up, "down": down, "p": float(mcnemar([[7, up], [down, 9]], exact=True).pvalue)}
    for up, down in [(0, 0), (1, 0), (5, 0), (6, 0), (12, 4), (4, 12), (10, 2), (3, 3), (17, 4), (120, 80), (250, 200), (1300, 1150)]
]

out["student"] = [
    {"t": t, "df": df, "tail": float(2 * stats.t.sf(t, df)), "limit": float(stats.t.isf(0.025, df))}
    for t in (0.1, 1.0, 2.5, 7.0)
    for df in (1, 1.5, 2, 4, 7.3, 18, 100, 4000)
]

power = TTestPower()  # one sample: nobs - 1 degrees of freedom, effect sqrt(nobs) standard errors
out["power"] = [
    {
        "df": n - 1,
        "effect": effect,
        "power": float(power.power(effect / np.sqrt(n), n, 0.05)),
        "detectable": float(power.solve_power(nobs=n, alpha=0.05, power=0.8) * np.sqrt(n)),
    }
    for n in (3, 4, 6, 11, 50, 400)
    for effect in (0.5, 2.0, 4.0)
]

out["holm"] = []
for p in ([0.04], [0.01, 0.04, 0.03, 0.005], [0.5, 0.9, 0.02, 0.02], [0.2, 0.001, 0.3, 1.0, 0.04, 0.012]):
    out["holm"].append({"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()})

out["iqm"] = []
for n in (1, 2, 3, 4, 5, 8, 15):
    x = np.round(rng.normal(size=n), 3)
    out["iqm"].append({"values": x.tolist(), "mean": float(stats.trim_mean(x, 0.25))})

out["two_level"] = []
for seeds, items, seed_sd, item_sd in [(2, 4, 0, 0), (3, 7, 2, 0), (3, 12, 1, 3), (5, 9, 0, 4), (10, 6, 3, 1)]:
    d = np.round(
        rng.normal(scale=1.5, size=(seeds, items)) + seed_sd * rng.normal(size=(seeds, 1)) + item_sd * rng.normal(size=(1, items))
    ).astype(int)
    frame = pd.DataFrame({
        "d": d.ravel(),
        "seed": np.repeat(np.arange(seeds), items),
        "item": np.tile(np.arange(items), seeds),
    })
    table = anova_lm(ols("d ~ C(seed) + C(item)", frame).fit())["mean_sq"]
    T = table["C(seed)"] / (seeds * items)
    I = max(0.0, (table["C(item)"] - table["Residual"]) / (seeds * items))
    variance = T + I
    df = min(variance**2 / (T**2 / (seeds - 1) + I**2 / (items - 1)), 2 * (seeds - 1))
    mean, se = d.mean(), np.sqrt(variance)
    low, high = stats.t.interval(0.95, df, loc=mean, scale=se)
    out["two_level"].append({
        "d": d.tolist(), "se": float(se), "df": float(df), "p": float(2 * stats.t.sf(abs(mean) / se, df)),
        "low": float(low), "high": float(high),
    })

path = pathlib.Path(__file__).parent.parent / "runtime/report/testdata/statistics.json"
path.write_text(json.dumps(out, indent=1) + "\n")
print(path, path.stat().st_size, "bytes")
