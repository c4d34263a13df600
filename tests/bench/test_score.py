"""Challenge scores reproduce the published tables, and doubtful entries take no rank."""

import json
import math
from pathlib import Path

import pytest

from edgesr.bench.baselines import Baseline, load_baselines
from edgesr.bench.fair_play import Claims, Entry, read_entries
from edgesr.bench.rules import load_rule
from edgesr.bench.score import Standing, standings
from edgesr.cli import run
from edgesr.errors import ConfigError

HONEST = Claims(flops_counter="fvcore", collapsed=True, warmup_runs=0)


def scored(rules: str, *own: Entry) -> dict[str, Standing]:
    rule = load_rule(rules)
    return {one.row.name: one for one in standings(rule, own, load_baselines(rule.baselines))}


def entry(claims: Claims = HONEST, **numbers: float) -> Entry:
    return Entry(row=Baseline(name="mine", **numbers), claims=claims)  # type: ignore[arg-type]


def test_one_constant_reproduces_every_row_of_mai22() -> None:
    rows = [one for one in load_baselines("mai22") if one.runtime_ms is not None]
    assert len(rows) == 13
    result = scored("mai22")
    for row in rows:
        assert row.psnr is not None
        assert row.runtime_ms is not None
        assert row.score is not None
        constant = 2 ** (2 * row.psnr) / (row.score * row.runtime_ms)
        assert constant == pytest.approx(2.816e15, rel=3e-3), row.name
        assert result[row.name].placings["main"].score == pytest.approx(row.score, rel=3e-3)


def test_mai22_keeps_the_published_order_and_leaves_out_what_it_cannot_score() -> None:
    result = scored("mai22")
    published = sorted(
        (one for one in result.values() if one.row.rank and one.row.runtime_ms),
        key=lambda one: one.row.rank or 0,
    )
    ranks = [one.placings["main"].rank for one in published]
    assert ranks == sorted(ranks, key=lambda rank: rank or 0)
    missing = result["Antins_cv"].placings["main"]
    assert (missing.score, missing.rank, missing.missing) == (None, None, ("runtime_ms",))


@pytest.mark.parametrize(
    ("rules", "baseline"), [("ntire24", "RLFN"), ("ntire25", "EFDN"), ("ntire26", "SPAN")]
)
def test_the_reference_of_a_year_scores_e_squared(rules: str, baseline: str) -> None:
    for placing in scored(rules)[baseline].placings.values():
        assert placing.score == pytest.approx(math.e**2, rel=1e-12)
    assert round(math.e**2, 4) == 7.3891


@pytest.mark.parametrize(
    ("name", "score", "rank"),
    [
        ("SPANV2", 3.87, 1),
        ("PDS", 5.83, 2),
        ("PKDSR", 5.99, 3),
        ("DISP", 6.06, 4),
        ("DSCF", 7.19, 5),
        ("SPAN", 7.39, 6),
        ("ERRN2", 14.2, 7),
    ],
)
def test_ntire26_winners_follow_from_the_published_runtimes(
    name: str, score: float, rank: int
) -> None:
    placing = scored("ntire26")[name].placings["main"]
    assert placing.score == pytest.approx(score, abs=0.05 if score > 10 else 0.005)
    assert placing.rank == rank


def test_ntire26_floors_exclude_who_is_below() -> None:
    result = scored("ntire26")
    assert result["RFDN_SPAN"].below == ("PSNR test dB is 26.98, want 26.99 or more",)
    assert len(result["SAFMN"].below) == 2
    assert result["SAFMN"].placings["main"].rank is None


def test_ntire22_ranks_by_sums_of_ranks() -> None:
    result = scored("ntire22")
    assert result["ByteESR RLFN"].placings["main"].rank == 1
    assert result["XPixel BSRN"].placings["complexity"].score == 1 + 2
    assert result["ByteESR RLFN"].placings["overall"].rank == 1
    assert result["NEESR"].placings["overall"].missing == ("activations_m", "memory_mib")


def test_an_own_entry_takes_its_place_and_shifts_the_others() -> None:
    mine = entry(psnr=30.03, runtime_ms=19.2 / 2)
    result = scored("mai22", mine)
    assert result["mine"].placings["main"].score == pytest.approx(44.44, rel=3e-3)
    assert result["mine"].placings["main"].rank == 1
    assert result["Z6"].placings["main"].rank == 2


def test_without_a_known_constant_scores_are_relative_to_the_best() -> None:
    first = entry(psnr=30.0, runtime_ms=10.0)
    second = Entry(row=Baseline(name="slower", psnr=30.0, runtime_ms=40.0))
    result = scored("mai21", first, second)
    assert result["mine"].placings["main"].score == 100.0
    assert result["slower"].placings["main"].score == pytest.approx(25.0)


def test_the_mobile_track_scores_quality_and_speed() -> None:
    result = scored("ntire26-mobile", entry(quality=3.0, speedup=32.0))
    assert result["mine"].placings["main"].score == pytest.approx(16.0)


@pytest.mark.parametrize(
    ("numbers", "claims", "message"),
    [
        ({"flops_g": 1.59, "params_m": 0.139}, HONEST, "operators may be hidden from the counter"),
        ({"flops_g": 9.83, "params_m": 2.24}, HONEST, "uncollapsed network"),
        ({}, Claims(flops_counter="ntire22", collapsed=True), "counted with ntire22"),
        ({}, Claims(flops_counter="fvcore", collapsed=False), "before re-parameterised branches"),
        (
            {},
            Claims(flops_counter="fvcore", collapsed=True, warmup_runs=400),
            "400 warm-up passes ran before timing",
        ),
        ({"psnr_val": 26.89}, HONEST, "PSNR val dB is 26.89, want 26.90 or more"),
    ],
)
def test_a_gamed_entry_takes_no_rank(
    numbers: dict[str, float], claims: Claims, message: str
) -> None:
    fair = {"psnr_val": 26.95, "psnr_test": 27.0, "runtime_ms": 5.0, "flops_g": 9.0}
    fair["params_m"] = 0.14
    honest = scored("ntire26", entry(HONEST, **fair))["mine"]
    assert honest.problems == ()
    assert honest.placings["main"].rank == 2
    gamed = scored("ntire26", entry(claims, **{**fair, **numbers}))["mine"]
    assert message in " ".join(gamed.problems)
    assert gamed.placings["main"].rank is None


def test_a_published_row_that_hides_work_is_marked_but_keeps_its_place() -> None:
    winner = scored("ntire26")["SPANV2"]
    assert winner.placings["main"].rank == 1
    assert [one.level for one in winner.findings] == ["warning"]
    assert "17%" in winner.findings[0].message


def test_psnr_that_is_not_given_does_not_pass_a_floor() -> None:
    result = scored("ntire26", entry(runtime_ms=5.0, flops_g=9.0, params_m=0.14))
    assert result["mine"].below == ("PSNR val dB is not given, want 26.90 or more",)


def test_psnr_that_only_organisers_can_measure_is_a_warning() -> None:
    mine = scored("ntire26", entry(psnr_val=26.95, runtime_ms=5.0, flops_g=9.0, params_m=0.14))
    assert mine["mine"].problems == ()
    assert mine["mine"].placings["main"].rank == 2
    assert "only the organisers" in mine["mine"].findings[0].message


CODE = """
import torch
from torch import nn
from torch.library import custom_op

@custom_op("edgesr_test::hidden", mutates_args=())
def hidden(x: torch.Tensor) -> torch.Tensor:
    return x * 2

hidden.register_fake(lambda x: torch.empty_like(x))
hidden.register_autograd(lambda ctx, grad: grad * 2)

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 48, 3, padding=1)
        self.up = nn.PixelShuffle(4)
    def forward(self, x):
        return self.up(self.body(x))

class Warm(Plain):
    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self(torch.rand(1, 3, 8, 8))

class Method(Plain):
    def warmup(self, sizes):
        pass

class Custom(Plain):
    def forward(self, x):
        return self.up(hidden(self.body(x)))

class Uncollapsed(Plain):
    def __init__(self):
        super().__init__()
        self.branch = nn.Conv2d(3, 48, 3, padding=1)

class Broken(Plain):
    def forward(self, x):
        raise ValueError("no such size")
"""
MACS_G = 27 * 48 * 256 * 256 / 1e9


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Plain", ""),
        ("Warm", "constructor runs 1 convolutions: a hidden warm-up"),
        ("Method", "a method warmup"),
        ("Custom", "edgesr_test::hidden"),
        ("Uncollapsed", "0.001 M of 0.003 M parameters do not reach the output"),
    ],
)
def test_a_factory_is_built_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factory: str, message: str
) -> None:
    (tmp_path / f"{factory}.py").write_text(CODE.replace("edgesr_test", f"edgesr_test_{factory}"))
    write(tmp_path, factory=f"{factory}.py:{factory}", flops_g=MACS_G)
    code = run(["score", str(tmp_path / "results.toml"), "--rules", "ntire26"])
    printed = capsys.readouterr()
    assert code == (1 if message else 0), printed.err
    assert message.replace("edgesr_test", f"edgesr_test_{factory}") in printed.out


def test_fewer_flops_than_counted_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(CODE.replace("edgesr_test", "edgesr_test_low"))
    write(tmp_path, factory="net.py:Plain", flops_g=MACS_G / 5)
    assert run(["score", str(tmp_path / "results.toml"), "--rules", "ntire26"]) == 1
    assert "but counted as 0.085" in capsys.readouterr().out


def write(folder: Path, **more: object) -> None:
    values: dict[str, object] = {
        "psnr_val": 26.95,
        "psnr_test": 27.0,
        "runtime_ms": 5.0,
        "params_m": 0.00135,
    }
    values |= {"flops_counter": "fvcore", "collapsed": True, "warmup_runs": 0, **more}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    (folder / "results.toml").write_text("\n".join(["[[entries]]", 'name = "mine"', *lines]))


def test_the_command_prints_a_table_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"entries": [{"name": "mine", "psnr": 29.9, "runtime_ms": 20}]}))
    assert run(["score", str(path), "--rules", "mai22"]) == 0
    printed = capsys.readouterr().out
    assert "mine" in printed
    assert "recalled" in printed
    assert run(["score", str(path), "--rules", "mai22", "--no-baselines", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edgesr/score/1"
    (mine,) = document["standings"]
    assert mine["tracks"]["main"]["rank"] == 7
    assert document["unknown"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no entries"),
        ("entries = []", "no entries"),
        ("[[entries]]\npsnr = 1", "name is missing"),
        ('[[entries]]\nname = "a"\npnsr = 1', "unknown key pnsr; did you mean psnr"),
        ('[[entries]]\nname = "a"\npsnr = nan', "want a finite number"),
        ('[[entries]]\nname = "a"\nruntime_ms = 0', "want more than 0"),
        ('[[entries]]\nname = "a"\nevidence = "verified"', "your entries are your own"),
        ('[[entries]]\nname = "a"\n[[entries]]\nname = "a"', "two entries are named 'a'"),
        ('[[entries]]\nname = "a"\nfactory = "no.py:f"', "no such file"),
        ('other = 1\n[[entries]]\nname = "a"', "unknown key other"),
    ],
)
def test_a_bad_results_file_is_one_line_and_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "results.toml"
    path.write_text(content)
    assert run(["score", str(path), "--rules", "mai22"]) == 3
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_unknown_rule_and_a_broken_network_are_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", "--rules", "ntire99"]) == 3
    assert "rule 'ntire99' is unknown" in capsys.readouterr().err
    (tmp_path / "net.py").write_text(CODE.replace("edgesr_test", "edgesr_test_broken"))
    write(tmp_path, factory="net.py:Broken")
    assert run(["score", str(tmp_path / "results.toml"), "--rules", "ntire26"]) == 3
    assert "ValueError: no such size" in capsys.readouterr().err


def test_entries_need_a_list() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_entries(Path("missing.toml"))
