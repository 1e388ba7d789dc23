"""Examples of the laws of mixtures, experts, precision, scores and the like, for the contract tests."""

import math

from law_example import C, D, Example, N, U

TEXT, IMAGE, INTERLEAVED = (0.2, 0.5, 0.0, 1.0), (0.5, 0.5, 0.3, 0.0), (0.3, 0.0, 0.7, 0.0)
STEP = (1e3, 8e3, 3.2e4, 1.43e5)
LOSS = (5.1, 3.4, 2.7, 2.2)


def share_power(share, exponent):
    return share**exponent if share else 0.0


def mixture(h, p):
    return 1 / sum(p[f"C{i}"] * share_power(x, p[f"gamma{i}"]) for i, x in enumerate(h, 1))


def joint_in_words(n, d, h1, h2, h3, **p):
    """With the paper's own coefficients, whose power the amplitude of the first domain is."""
    c_a, c_b = p["A"] ** (1 / p["gamma_A"]), p["B"] ** (1 / p["gamma_B"])
    a = (c_a * h1 + c_a * p["a2"] * h2 + c_a * p["a3"] * h3) ** p["gamma_A"]
    b = (c_b * h1 + c_b * p["b2"] * h2 + c_b * p["b3"] * h3) ** p["gamma_B"]
    return p["E"] + mixture((h1, h2, h3), p) + a / n ** p["alpha"] + b / d ** p["beta"]


def mixed_modal_in_words(n, d, s, **p):
    def one(m, tokens):
        return p[f"E_{m}"] + p[f"A_{m}"] / n ** p[f"alpha_{m}"] + p[f"B_{m}"] / tokens ** p[f"beta_{m}"]

    if s in (0, 1):
        return one("j" if s else "i", d)
    d_i, d_j = (1 - s) * d, s * d
    competition = p["A_ij"] / n ** p["alpha_ij"] + p["B_ij"] / (d_i + d_j) ** p["beta_ij"]
    return (one("i", d_i) + one("j", d_j)) / 2 - p["C_ij"] + competition


def passes_in_words(n, u, d, a, b, tau):
    """Pass after pass, each from where the one before it ended."""
    seen = min(n, u)
    value, k = a * seen**-b, 1
    while seen < n:
        upto = min(seen + u, n)
        value *= (upto / seen) ** -(b * 0.5 ** (k / tau))
        seen, k = upto, k + 1
    return value + d


def clark_in_words(n, e, A, a, c, P, E_start, span):
    """As printed, in logarithms of base 10, with the paper's four coefficients."""
    e_max = E_start * (1 + span)
    e_hat = 1 / (1 / (e - 1 + 1 / (1 / E_start - 1 / e_max)) + 1 / e_max)
    c10 = c * math.log(10)
    b10 = -c10 * math.log10(P)
    x, y = math.log10(n), math.log10(e_hat)
    return 10 ** (-a * x + b10 * y + c10 * x * y + math.log10(A))


def distilled_in_words(n, d, t, s, c0, c1, d1, f1, A, alpha, B, beta, gamma):
    gap = (1 + (t / (s * d1)) ** (1 / f1)) ** (-c1 * f1)
    return t + 1 / t**c0 * gap * (A / n**alpha + B / d**beta) ** gamma


S_BASE = {  # a, b, c, d, E_start, E_max printed as -.082, -.108, .009, 1.104, 1.847, 314.478
    "A": 10**1.104,
    "a": 0.082,
    "c": 0.009 / math.log(10),
    "P": 10 ** (0.108 / 0.009),
    "E_start": 1.847,
    "span": 314.478 / 1.847 - 1,
}
ABNAR = {
    "a": 16612.50,
    "alpha": 0.5962,
    "b": 5455.67,
    "beta": 0.3954,
    "c": 0.4598,
    "lam": -0.1666,
    "d": 17.26,
    "delta": 0.1603,
    "gamma": 0.1595,
    "e": 0.94,
}
MIXED = {
    "E": 1.9,
    "A": 270.0,
    "alpha": 0.3,
    "B": 1900.0,
    "beta": 0.335,
    "C1": 3.0,
    "gamma1": 0.4,
    "C2": 1.5,
    "gamma2": 0.2,
    "C3": 2.0,
    "gamma3": 0.7,
}

FURTHER = {
    "data_mixing": Example(
        (IMAGE, INTERLEAVED),
        {"c": 1.4, "k": 0.9, "t2": -0.8, "t3": 0.6},
        lambda r2, r3, c, k, t2, t3: c + k * math.exp(0.0 * (1 - r2 - r3) + t2 * r2 + t3 * r3),
        limit=lambda p: p["c"] + p["k"] * math.exp(p["t2"] * IMAGE[0] + p["t3"] * INTERLEAVED[0]),
    ),
    "mixture_additive": Example(
        (N, D, TEXT, IMAGE, INTERLEAVED),
        MIXED,
        lambda n, d, h1, h2, h3, **p: (
            p["E"] + mixture((h1, h2, h3), p) + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]
        ),
        limit=lambda p: p["E"] + mixture((TEXT[0], IMAGE[0], INTERLEAVED[0]), p),
    ),
    "mixture_joint": Example(
        (N, D, TEXT, IMAGE, INTERLEAVED),
        MIXED | {"a2": 0.6, "a3": 1.7, "gamma_A": 0.5, "b2": 1.2, "b3": 0.4, "gamma_B": 1.5},
        joint_in_words,
        limit=lambda p: p["E"] + mixture((TEXT[0], IMAGE[0], INTERLEAVED[0]), p),
    ),
    "domain_mixing": Example(
        (N, D, (0.0, 0.2, 0.5, 1.0)),
        {
            "E": 1.2,
            "A": 300.0,
            "alpha": 0.33,
            "B": 900.0,
            "beta": 0.3,
            "eta": 0.4,
            "C": 0.3,
            "gamma": 0.5,
            "epsilon": 0.08,
        },
        lambda n, d, r, **p: (
            p["E"]
            + p["A"] / n ** p["alpha"]
            + p["B"] * share_power(r, p["eta"]) / d ** p["beta"]
            + p["C"] / (r + p["epsilon"]) ** p["gamma"]
        ),
        limit=lambda p: p["E"] + p["C"] / p["epsilon"] ** p["gamma"],
    ),
    "mixed_modal": Example(  # exponents of text and image as printed; the rest invented
        (N, D, (0.3, 0.0, 0.5, 1.0)),
        {
            "E_i": 2.0,
            "A_i": 40.0,
            "alpha_i": 0.18,
            "B_i": 100.0,
            "beta_i": 0.22,
            "E_j": 3.1,
            "A_j": 14.0,
            "alpha_j": 0.13,
            "B_j": 20.0,
            "beta_j": 0.13,
            "C_ij": 0.3,
            "A_ij": 30.0,
            "alpha_ij": 0.25,
            "B_ij": 80.0,
            "beta_ij": 0.2,
        },
        mixed_modal_in_words,
        limit=lambda p: (p["E_i"] + p["E_j"]) / 2 - p["C_ij"],
    ),
    "quality_decay": Example(
        (D, U),
        {"d": 0.12, "a": 60.0, "b": 0.21, "tau": 2.2},
        passes_in_words,
        limit=lambda p: p["d"],
    ),
    "transfer": Example(
        ((1e5, 1e6, 3e7, 1e9), N),
        {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
        lambda f, n, k, alpha, beta: k * f**alpha * n**beta,
    ),
    "routed": Example((N, (1.0, 8.0, 64.0, 512.0)), S_BASE, clark_in_words),
    "fine_grained": Example(
        (N, D, (1.0, 2.0, 8.0, 16.0)),
        {"a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147, "g": 2.1, "gamma": 0.58, "c": 0.47},
        lambda n, d, grain, a, alpha, b, beta, g, gamma, c: (
            c + (g / grain**gamma + a) / n**alpha + b / d**beta
        ),
        limit=lambda p: p["c"],
    ),
    "expert_sparsity": Example(
        (N, D, (0.0, 0.5, 0.9, 0.98)),
        ABNAR,
        lambda n, t, s, a, alpha, b, beta, c, lam, d, delta, gamma, e: (
            a / n**alpha + b / t**beta + c / (1 - s) ** lam + d / ((1 - s) ** delta * n**gamma) + e
        ),
        limit=lambda p: p["e"] + p["c"],
    ),
    "precision": Example(
        (N, D, (3.0, 8.0, 16.0, 6.0), (16.0, 4.0, 8.0, 6.0), (16.0, 16.0, 4.0, 6.0)),
        {
            "E": 2.76,
            "A": 4300.0,
            "alpha": 0.5,
            "B": 18000.0,
            "beta": 0.5,
            "gamma_w": 2.7,
            "gamma_a": 2.2,
            "gamma_kv": 0.96,
        },
        lambda n, d, w, a, kv, E, A, alpha, B, beta, gamma_w, gamma_a, gamma_kv: (
            E
            + A
            / (
                n
                * (1 - math.exp(-w / gamma_w))
                * (1 - math.exp(-a / gamma_a))
                * (1 - math.exp(-kv / gamma_kv))
            )
            ** alpha
            + B / d**beta
        ),
        limit=lambda p: p["E"],
    ),
    "quantised": Example(
        (N, D, (3.0, 4.0, 8.0, 16.0)),
        {
            "E": 2.76,
            "A": 4300.0,
            "alpha": 0.5,
            "B": 18000.0,
            "beta": 0.5,
            "C_T": 0.06,
            "gamma_D": 0.5,
            "gamma_N": 0.5,
            "gamma_post": 1.4,
        },
        lambda n, d, p, E, A, alpha, B, beta, C_T, gamma_D, gamma_N, gamma_post: (
            E + A / n**alpha + B / d**beta + C_T * d**gamma_D / n**gamma_N * math.exp(-p / gamma_post)
        ),
        limit=lambda p: p["E"] + p["C_T"] * math.exp(-3.0 / p["gamma_post"]),
    ),
    "sparse_weights": Example(  # a_D = B^(1 / b_D)
        (N, D, (0.0, 0.5, 0.75, 0.875)),
        {"a_S": 16.0, "b_S": 0.7, "c_S": 45.0, "b_N": 0.25, "B": 6.9e8**0.2, "b_D": 0.2, "c": 0.65},
        lambda n, t, s, a_S, b_S, c_S, b_N, B, b_D, c: (
            (a_S * (1 - s) ** b_S + c_S) / n**b_N + (B ** (1 / b_D) / t) ** b_D + c
        ),
        limit=lambda p: p["c"],
    ),
    "distillation": Example(
        (N, D, (2.9, 2.4, 2.1, 1.9), LOSS[::-1]),
        {
            "c0": 2.5,
            "c1": 1.2,
            "d1": 1.3,
            "f1": 0.2,
            "A": 2000.0,
            "alpha": 0.32,
            "B": 9000.0,
            "beta": 0.3,
            "gamma": 0.7,
        },
        distilled_in_words,
        limit=lambda p: 2.9,
    ),
    "contrastive": Example(
        (C,),
        {"beta": 26.0, "alpha": 0.111},
        lambda c, beta, alpha: beta * c**-alpha,
        limit=lambda p: 0.0,
    ),
    "double_saturation": Example(
        (C,),
        {"a": 4e6, "d": 2e18, "b": 0.37, "c": 0.09},
        lambda x, a, d, b, c: a * (x + d) ** -b + c,
        limit=lambda p: p["c"],
    ),
    "vocabulary": Example(  # sizes in millions, characters in billions, as the constants were fitted
        (N, (4e6, 1.6e7, 6e7, 1e8), D),
        {
            "E": 5.533,
            "A1": 1.831 * 1e6**0.447,
            "alpha1": 0.447,
            "A2": 0.196 * 1e6**0.671,
            "alpha2": 0.671,
            "B": 2.124 * 1e9**0.447,
            "beta": 0.447,
        },
        lambda n, v, h, **_: (
            -5.533 + 1.831 / (n / 1e6) ** 0.447 + 0.196 / (v / 1e6) ** 0.671 + 2.124 / (h / 1e9) ** 0.447
        ),
        limit=lambda p: -p["E"],
    ),
    "learning_curve": Example(
        (N, STEP),
        {"A": 8.8e13**0.076, "alpha": 0.076, "B": 2.1e3**0.76, "beta": 0.76},
        lambda n, s, A, alpha, B, beta: (8.8e13 / n) ** 0.076 + (2.1e3 / s) ** 0.76,
        limit=lambda p: 0.0,
    ),
    "compression_ratio": Example(
        (N, STEP),
        {"a": 0.10, "b": 60.0, "x": 0.38, "c": 10.0, "y": 0.75},
        lambda n, s, a, b, x, c, y: a + b * n**-x + c * s**-y,
        limit=lambda p: p["a"],
    ),
    "error_from_loss": Example(
        (LOSS,),
        {"epsilon": 0.850, "k": 2.079, "gamma": 0.756},
        lambda loss, epsilon, k, gamma: epsilon - k * math.exp(-gamma * loss),
        limit=lambda p: p["epsilon"],
    ),
    "accuracy_from_loss": Example(
        (LOSS,),
        {"a": 0.6, "b": 0.25, "k": 3.0, "L0": 2.6},
        lambda loss, a, b, k, L0: a / (1 + math.exp(k * (loss - L0))) + b,
        limit=lambda p: p["b"],
    ),
    "observational": Example(
        (C,),
        {"a": -14.0, "b": 0.3},
        lambda c, a, b: 1 / (1 + math.exp(-(a + b * math.log(c)))),
        limit=lambda p: 1.0,
    ),
    "skills": Example(
        (N, D),
        {"gamma": 0.25, "b": -0.6, "b_s": 0.5, "b_t": 0.35, "b_st": 0.04},
        lambda n, d, gamma, b, b_s, b_t, b_st: (
            gamma
            + (1 - gamma)
            / (
                1
                + math.exp(
                    -b
                    - b_s * math.log(n / 1e9)
                    - b_t * math.log(d / 1e11)
                    - b_st * math.log(n / 1e9) * math.log(d / 1e11)
                )
            )
        ),
        fixed_units=True,
    ),
    "optimal_size": Example((C,), {"k": 0.29, "a": 0.53}, lambda c, k, a: k * c**a),
    "algorithmic_progress": Example(
        (N, D, (2019.0, 2021.5, 2020.0, 2023.0)),
        {
            "E": 1.7,
            "A": 480.0,
            "alpha": 0.35,
            "B": 2085.0,
            "beta": 0.37,
            "g_N": 0.3,
            "g_D": 0.6,
        },
        lambda n, d, y, E, A, alpha, B, beta, g_N, g_D: (
            E + A / (n * math.exp(g_N * (y - 2020))) ** alpha + B / (d * math.exp(g_D * (y - 2020))) ** beta
        ),
        limit=lambda p: p["E"],
    ),
}
