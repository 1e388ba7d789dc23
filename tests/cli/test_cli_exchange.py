"""``bayescale exchange``: a table, JSON, and one message for a fault."""

import bayescale as bs

RUN = ["--at", "n_params=7e9", "--at", "n_tokens=2e11"]


def test_json_is_what_the_function_gives(run, studies):
    told = run("exchange", studies / "flat.nc", *RUN, "--params-factor", "0.7", "--json")
    expected = bs.exchange(
        bs.open(studies / "flat.nc"), {"n_params": 7e9, "n_tokens": 2e11}, params_factor=0.7
    )
    assert told.status == 0
    assert told.json["new_params"] == 0.7 * 7e9
    amount = expected["amount"].sel(data="n_tokens", bound="median")
    assert told.json["data"]["n_tokens"]["amount"]["median"] == float(amount)


def test_the_table_names_the_data_and_the_size(run, studies):
    told = run("exchange", studies / "flat.nc", *RUN, "--memory-gb", "8")
    assert told.status == 0
    assert "n_tokens" in told.out
    assert "4e+09" in told.out


def test_a_fault_is_one_message(run, studies):
    told = run("exchange", studies / "flat.nc", *RUN)
    assert told.status == 1
    assert "params_factor, params_cap and memory_gb" in told.err
    assert "Traceback" not in told.err
