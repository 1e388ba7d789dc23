"""Loops over points and groups, written to be compiled: `bayescale.model.fused` binds their names.

Points stand side by side in lanes, `n` of them; what a formula reads and finds for each stands in a flat
array `s`, as `bayescale.model.lanes.Pieces` lays it out. The last lanes of a short block repeat its last
point.

Names bound to a form of study: `letters` and `pooled`, how many parameters there are and where those that
vary; `near`, `back`, `to_x` and `of_runs`, pieces of formulas, with their `before` and number of places;
`heavy`, whether tails are those of Student-t noise.
"""

# ruff: noqa: F821
# pyright: reportUndefinedVariable=false

import math

import numpy as np

__all__ = [
    "back_loop",
    "bend_loop",
    "fit_loop",
    "groups_loop",
    "look_loop",
    "points_loop",
    "tails_loop",
    "told_loop",
]

_FLUSH = 8  # runs after which the product of their tails becomes a sum of logs


def points_loop(numbers, given, found):
    """A formula at each point: inputs (point, input), results (point, result)."""
    points, inputs, results = len(given), given.shape[1], found.shape[1]
    s = np.zeros(size * n)
    for low in range(0, points, n):
        high = min(low + n, points)
        for w in range(n):
            i = min(low + w, high - 1)
            for a in range(inputs):
                s[a * n + w] = given[i, a]
        before(s)
        piece(numbers, s)
        for w in range(high - low):
            for a in range(results):
                found[low + w, a] = s[(inputs + a) * n + w]


def near_inputs(s, low, high, g, base, effect, spread, population, share):
    """What the piece `near` reads for a group: x with its effects, population values, spreads, shares."""
    k = len(pooled)
    for w in range(n):
        i = min(low + w, high - 1)
        for a in range(letters):
            s[a * n + w] = base[i, g, a]
            s[(letters + a) * n + w] = population[i, a]
        for j in range(k):
            s[pooled[j] * n + w] += spread[i, j] * effect[i, g, j]
            s[(2 * letters + j) * n + w] = spread[i, j]
        for j in range(share.shape[2]):
            s[(2 * letters + k + j) * n + w] = share[i, g, j]


def theta_inputs(s, low, high, g, theta):
    """A group's parameters, which come first in what a piece reads."""
    for w in range(n):
        i = min(low + w, high - 1)
        for a in range(letters):
            s[a * n + w] = theta[i, g, a]


def groups_loop(numbers, base, effect, spread, population, share, upper, q, theta, found):
    """Parameters of the groups at their coordinates `q`, and the log density of their part but for runs."""
    points, groups, whole = base.shape
    k, at = len(pooled), near_results
    s = np.zeros(near_size * n)
    for low in range(0, points, n):
        high = min(low + n, points)
        for g in range(groups):
            lay_out(s, low, high, g, base, effect, spread, population, share)
            for w in range(n):
                i = min(low + w, high - 1)
                for j in range(k):
                    moved = 0.0
                    for m in range(j, k):
                        moved += upper[i, g, j, m] * q[i, g, m]
                    s[pooled[j] * n + w] += spread[i, j] * moved
            near_before(s)
            near(numbers[g], s)
            for w in range(high - low):
                for a in range(letters):
                    theta[low + w, g, a] = s[(at + a) * n + w]
                for a in range(letters, whole):
                    theta[low + w, g, a] = base[low + w, g, a]
                found[low + w, g] = s[(at + letters) * n + w]


def bend_loop(numbers, numbers_x, base, effect, spread, population, share, upper, reach, half, bent, moved):
    """What `Grouped._bent` works out: base and effects that allow for the bends between coordinates."""
    points, groups, whole = base.shape
    k, at = len(pooled), near_results
    s, there = np.zeros(near_size * n), np.zeros(to_x_size * n)
    told, right = np.empty((groups, letters, n)), np.empty(k)
    for low in range(0, points, n):
        high = min(low + n, points)
        for g in range(groups):
            lay_out(s, low, high, g, base, effect, spread, population, share)
            near_before(s)
            near(numbers[g], s)
            for a in range(letters):
                for w in range(n):
                    there[a * n + w] = s[(at + a) * n + w]
            to_x_before(there)
            to_x(numbers_x[g], there)
            for a in range(letters):
                for w in range(n):
                    told[g, a, w] = there[(letters + a) * n + w] - s[a * n + w]
            for w in range(high - low):
                i = low + w
                for a in range(whole):
                    bent[i, g, a] = base[i, g, a]
                for j in range(k):
                    away = spread[i, j] * (effect[i, g, j] - s[(at + letters + 1 + j) * n + w])
                    told[g, pooled[j], w] += away
                    bent[i, g, pooled[j]] += away
        for w in range(high - low):
            i, total = low + w, 0.0
            for g in range(groups):
                for a in range(letters):
                    total += told[g, a, w]
            known = -np.inf < total < np.inf
            for g in range(groups):
                for j in range(k):
                    right[j] = half[i, g, j]
                    if known:
                        for a in range(letters):
                            right[j] -= reach[i, g * k + j, a] * told[g, a, w]
                    else:
                        bent[i, g, pooled[j]] = base[i, g, pooled[j]]
                for j in range(k):
                    total = 0.0
                    for m in range(j, k):
                        total += upper[i, g, j, m] * right[m]
                    moved[i, g, j] = total


def back_loop(numbers, base, effect, spread, population, share, upper, theta, q):
    """Where groups stand in their coordinates whose parameters are `theta`: what undoes `groups_loop`."""
    points, groups, k = q.shape
    s, right = np.zeros(back_size * n), np.empty(k)
    at = 2 * letters + share.shape[2]
    for low in range(0, points, n):
        high = min(low + n, points)
        for g in range(groups):
            lay_theta(s, low, high, g, theta)
            for w in range(n):
                i = min(low + w, high - 1)
                for a in range(letters):
                    s[(letters + a) * n + w] = base[i, g, a]
                for j in range(share.shape[2]):
                    s[(2 * letters + j) * n + w] = share[i, g, j]
            back_before(s)
            back(numbers[g], s)
            for w in range(high - low):
                i = low + w
                for j in range(k):
                    x = s[(at + pooled[j]) * n + w]
                    right[j] = (x - base[i, g, pooled[j]]) / spread[i, j] - effect[i, g, j]
                for j in range(k - 1, -1, -1):
                    rest = right[j]
                    for m in range(j + 1, k):
                        rest -= upper[i, g, j, m] * q[i, g, m]
                    q[i, g, j] = rest / upper[i, g, j, j]


def told_loop(numbers, theta, mode, pull, information, found):
    """Log density of the groups' runs where what they say is taken to be normal."""
    points, groups, whole = theta.shape
    s, away = np.zeros(to_x_size * n), np.empty(whole)
    for low in range(0, points, n):
        high = min(low + n, points)
        for g in range(groups):
            lay_theta(s, low, high, g, theta)
            to_x_before(s)
            to_x(numbers[g], s)
            for w in range(high - low):
                i, total = low + w, 0.0
                for a in range(letters):
                    away[a] = s[(letters + a) * n + w] - mode[g, a]
                for a in range(letters, whole):
                    away[a] = theta[i, g, a] - mode[g, a]
                for a in range(whole):
                    half = 0.0
                    for b in range(whole):
                        half += information[g, a, b] * away[b]
                    total += away[a] * (pull[g, a] - 0.5 * half)
                found[i, g] = total


def fit_loop(inputs, value, error2, bends, edges, constant, theta, sigma, nu, away, found):
    """Log density of the runs of each group, and how far each lies from the law, where `away` has room."""
    points, groups, whole = theta.shape
    known, kept = error2.size > 0, away.size > 0
    # Places of a lane: those of the formula, then these.
    law, product, total, over, spread2, width = (
        letters,
        of_runs_size,
        of_runs_size + 1,
        of_runs_size + 2,
        of_runs_size + 3,
        of_runs_size + 4,
    )
    s = np.zeros((of_runs_size + 5) * n)
    for low in range(0, points, n):
        high = min(low + n, points)
        for w in range(n):
            i = min(low + w, high - 1)
            s[spread2 * n + w] = sigma[i] * sigma[i]
            s[over * n + w] = 1.0 / nu[i] if heavy else 1.0
            if not known:
                s[over * n + w] /= sigma[i] * sigma[i]
        for g in range(groups):
            lay_theta(s, low, high, g, theta)
            for w in range(n):
                s[product * n + w] = 1.0
                s[total * n + w] = 0.0
                s[width * n + w] = 0.0
            of_runs_before(s)
            for r in range(edges[g], edges[g + 1]):
                of_runs(inputs[r], s)
                y = value[r]
                if whole > letters:
                    for w in range(n):
                        i = min(low + w, high - 1)
                        for a in range(letters, whole):
                            s[law * n + w] += theta[i, g, a] * bends[r, a - letters]
                for w in range(n):
                    s[law * n + w] = y - s[law * n + w]
                if kept:
                    for w in range(high - low):
                        away[r, low + w] = s[law * n + w]
                if known:
                    e2 = error2[r]
                    for w in range(n):
                        wide = s[spread2 * n + w] + e2
                        s[width * n + w] += log(wide)
                        s[law * n + w] /= math.sqrt(wide)
                if heavy:
                    for w in range(n):
                        s[product * n + w] *= 1.0 + s[law * n + w] * s[law * n + w] * s[over * n + w]
                    if (r - edges[g]) % _FLUSH == _FLUSH - 1:
                        for w in range(n):
                            s[total * n + w] += log(s[product * n + w])
                            s[product * n + w] = 1.0
                else:
                    for w in range(n):
                        s[total * n + w] += s[law * n + w] * s[law * n + w] * s[over * n + w]
            for w in range(high - low):
                i = low + w
                power = nu[i] + 1.0 if heavy else 1.0
                fit = -0.5 * power * (s[total * n + w] + log(s[product * n + w])) - 0.5 * s[width * n + w]
                found[i, g] = fit + constant[g] + (edges[g + 1] - edges[g]) * each(sigma[i], nu[i], known)


def tails_loop(error2, edges, constant, sigma, nu, away, found):
    """Log density of the runs of each group, at how far they lie from the law."""
    points, groups = found.shape
    known = error2.size > 0
    product, total, over, spread2 = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for low in range(0, points, n):
        count = min(n, points - low)
        for w in range(count):
            spread2[w] = sigma[low + w] * sigma[low + w]
            over[w] = 1.0 / nu[low + w] if heavy else 1.0
            if not known:
                over[w] /= spread2[w]
        for g in range(groups):
            product[:] = 1.0
            total[:] = 0.0
            for r in range(edges[g], edges[g + 1]):
                if known:
                    for w in range(count):
                        wide = spread2[w] + error2[r]
                        z2 = away[r, low + w] * away[r, low + w] / wide * over[w]
                        if heavy:
                            product[w] *= 1.0 + z2
                            total[w] += log(wide) / (nu[low + w] + 1.0)
                        else:
                            total[w] += z2 + log(wide)
                elif heavy:
                    for w in range(count):
                        product[w] *= 1.0 + away[r, low + w] * away[r, low + w] * over[w]
                else:
                    for w in range(count):
                        total[w] += away[r, low + w] * away[r, low + w] * over[w]
                if heavy and (r - edges[g]) % _FLUSH == _FLUSH - 1:
                    for w in range(count):
                        total[w] += log(product[w])
                        product[w] = 1.0
            for w in range(count):
                i = low + w
                power = nu[i] + 1.0 if heavy else 1.0
                fit = -0.5 * power * (total[w] + log(product[w]))
                found[i, g] = fit + constant[g] + (edges[g + 1] - edges[g]) * each(sigma[i], nu[i], known)


def look_loop(inputs, value, here, error2, bends, group, theta, step, sigma, nu, away, information, pull):
    """What runs say at their group's parameters: see `bayescale.model.by_group.looked`.

    Lanes are the parameters and the same with each moved by `step` in turn. Runs are in chunks, shape
    (chunk, place); `inputs` and `bends` are (chunk, place, number).
    """
    chunks, places = value.shape
    known, drifts = error2.size > 0, bends.shape[2]
    whole = letters + drifts
    s, along = np.zeros(of_runs_size * n), np.empty(whole)
    for c in range(chunks):
        g = group[c]
        for a in range(letters):
            for w in range(n):
                s[a * n + w] = theta[g, a]
            s[a * n + a + 1] += step
        of_runs_before(s)
        for r in range(places):
            of_runs(inputs[c, r], s)
            mean = s[letters * n]
            real = value[c, r] - mean
            away[c, r] = real
            if here[c, r] == 0.0 or not -np.inf < real < np.inf:
                continue
            spread2 = sigma * sigma + (error2[c, r] if known else 0.0)
            weight = (nu + 1.0) / (nu * spread2 + real * real) if nu > 0.0 else 1.0 / spread2
            for a in range(letters):
                slope = (s[letters * n + a + 1] - mean) / step
                along[a] = slope if -np.inf < slope < np.inf else 0.0
            for a in range(drifts):
                along[letters + a] = bends[c, r, a]
            for a in range(whole):
                weighed = weight * along[a]
                pull[g, a] += weighed * real
                for b in range(a + 1):
                    information[g, a, b] += weighed * along[b]


def each_run(sigma, nu, known):
    """Of the log density of a run, what does not hang on how far it lies from the law."""
    found = -0.5 * math.log(2 * math.pi)
    if heavy:
        found = math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    return found if known else found - math.log(sigma)
