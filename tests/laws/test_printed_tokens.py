"""The fits that the token-space papers printed, from the points that they show."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from bayescale.laws import find
from bayescale.runs.catalogue import load_runs

pytestmark = pytest.mark.published

FAMILIES = ("question_as_input", "no_question_finetuned")
# c and alpha of the curves in the paper's two figures, score in percent (points for MME and OCRBench).
PRINTED = {
    "AI2D_TEST": ((31.6512, -0.0359), (20.4428, -0.0902)),
    "BLEU-1@COCO_VAL": ((30.2709, -0.0463), (31.6868, -0.0826)),
    "BLEU-4@COCO_VAL": ((5.2622, -0.1161), (4.7702, -0.1968)),
    "CIDEr@COCO_VAL": ((4.0698, -0.1642), (4.3223, -0.3937)),
    "ChartQA_TEST": ((11.7502, -0.237), (11.4385, -0.2173)),
    "HallusionBench": ((19.9354, -0.0632), (19.4909, -0.0653)),
    "MME": ((1067.5959, -0.0516), (902.5096, -0.0725)),
    "MMStar": ((28.9959, -0.0272), (23.4835, -0.0235)),
    "OCRBench": ((60.2715, -0.3727), (50.3027, -0.4142)),
    "OCRVQA_TESTCORE": ((17.3329, -0.1326), (14.4727, -0.1734)),
    "POPE": ((65.1966, -0.0503), (68.6975, -0.0377)),
    "ROUGE-L@COCO_VAL": ((26.4412, -0.0413), (27.957, -0.0737)),
    "RealWorldQA": ((46.2316, -0.003), (46.893, 0.0335)),
    "SEEDBench2": ((30.3219, -0.0498), (23.5324, -0.0483)),
    "SEEDBench2_Plus": ((24.9441, -0.0762), (8.0294, -0.2512)),
    "SEEDBench_IMG": ((34.5618, -0.071), (28.9419, -0.0516)),
    "ScienceQA_TEST": ((46.1794, -0.0247), (31.4625, -0.0695)),
    "TextVQA_VAL": ((14.8125, -0.2297), (11.8423, -0.2538)),
}


def least_squares_power(frame):
    """c and alpha of the line in log n that is closest to the log scores."""
    slope, middle = np.polyfit(np.log(frame["n_vision_tokens"]), np.log(frame["value"]), 1)
    return np.exp(middle), -slope


def curves(**options):
    frame = load_runs("vlm-token-space", all_rows=True, **options).frame
    keys = frame[["eval_name", "family"]].drop_duplicates().to_numpy().tolist()
    return {(e, f): frame[(frame["eval_name"] == e) & (frame["family"] == f)] for e, f in keys}


def test_least_squares_gives_all_thirty_six_printed_power_laws():
    found = curves()
    assert set(found) == {(name, family) for name in PRINTED for family in FAMILIES}
    for name, printed in PRINTED.items():
        unit = 1.0 if name in ("MME", "OCRBench") else 100.0
        for family, (c, alpha) in zip(FAMILIES, printed, strict=True):
            own_c, own_alpha = least_squares_power(found[name, family])
            assert own_alpha == pytest.approx(alpha, abs=5.01e-5), (name, family)
            assert own_c * unit == pytest.approx(c, rel=2e-5), (name, family)


def test_the_printed_law_is_vision_tokens():
    c, alpha = PRINTED["TextVQA_VAL"][0]
    n = np.array([1.0, 64.0, 768.0])
    np.testing.assert_allclose(find("vision_tokens")(n, c=c, alpha=alpha), c / n**alpha)


def test_one_token_has_half_the_say_over_a_line_and_most_lines_flatten_without_it():
    frame = curves()["MME", FAMILIES[0]]
    x = np.log(np.asarray(frame["n_vision_tokens"]))
    leverage = 1 / x.size + (x - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    assert leverage[x == 0] == pytest.approx(0.533, abs=1e-3)
    assert np.sort(leverage)[-2] == pytest.approx(0.252, abs=1e-3)
    whole = {k: least_squares_power(v)[1] for k, v in curves().items()}
    without = {k: least_squares_power(v)[1] for k, v in curves(exclude_flags="one_follow_up_token").items()}
    assert sum(without[k] > whole[k] for k in whole) == 24
    for family in FAMILIES:
        assert without["OCRBench", family] / whole["OCRBench", family] < 0.5


def products(task, floor):
    """Exponents of size and of tokens with the least squared error under a given floor."""
    frame = load_runs("vlm-visual-tokens", all_rows=True).frame
    frame = frame[frame["eval_name"] == task]
    n, t, y = (np.asarray(frame[k]) for k in ("n_params", "n_vision_tokens", "value"))

    def residual(p):
        return np.exp(p[0]) * (n / 2e9) ** -p[1] * t ** -p[2] + floor - y

    found = least_squares(residual, [np.log(0.5), 0.1, 0.02], xtol=1e-12, ftol=1e-12)
    return found.x[1], found.x[2], 2 * found.cost


@pytest.mark.parametrize(
    ("floor", "alpha", "beta"),
    [
        (0.0, 0.071, 0.0151),
        (0.05, 0.078, 0.0166),
        (0.1, 0.087, 0.0185),
        (0.2, 0.112, 0.0239),
        (0.3, 0.159, 0.0336),
    ],
)
def test_exponents_follow_the_floor_and_their_ratio_does_not(floor, alpha, beta):
    found = products("visual_reasoning", floor)
    assert found[:2] == pytest.approx((alpha, beta), rel=0.01)
    assert found[0] / found[1] == pytest.approx(4.7, abs=0.05)


def test_a_floor_below_zero_fits_better_still_so_that_the_points_show_none():
    errors = [products("visual_reasoning", floor)[2] for floor in (0.3, 0.0, -1.0, -10.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(0.00069, abs=1e-5)
    assert errors[1] == pytest.approx(0.00038, abs=1e-5)


def test_text_in_images_turns_the_exponents_round():
    alpha, beta, _ = products("ocr_like", 0.0)
    assert (alpha, beta) == pytest.approx((0.028, 0.039), abs=1e-3)
