"""The worked examples of docs/signals.md, as checks of the installed code."""

from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import Final

import numpy as np

from regimes.commands.selftest.check import Check
from regimes.delivery import signing
from regimes.delivery.guard import AddressGuard
from regimes.features import correlation_engine, funding_anomaly, liquidation_cascade, volatility_regime
from regimes.maths import spot_regime
from regimes.maths.stats import FloatArray
from regimes.redact import Redactor
from regimes.timeframe import MINUTE_MS

_NOW_MS: Final = 1_738_000_000_000


def checks() -> Sequence[Check]:
    """Every worked example."""
    return [*_cascades(), *_funding(), *_volatility(), *_regimes(), *_correlation(), *_webhooks()]


def _cascades() -> Sequence[Check]:
    cases = (
        ("2.4 M USD evenly over 24 h", 2_400_000, 24, 100_000.0, "2 INFO"),
        ("5 M USD over 10 h after quiet", 5_000_000, 10, 500_000.0, "4 CRITICAL"),
        ("2 M USD within one hour", 2_000_000, 1, 2_000_000.0, "5 CRITICAL"),
    )
    found: list[Check] = []
    for name, total_usd, hours, velocity, level in cases:
        found.append(Check("cascades", f"{name}: USD/h", partial(_velocity, total_usd, hours), velocity))
        found.append(Check("cascades", f"{name}: severity", partial(_level, total_usd, hours), level))
    found.append(Check("cascades", "400 k USD at once is no cascade", lambda: _level(400_000, 1), "0 None"))
    return found


def _velocity(total_usd: float, hours: int) -> float:
    minutes = hours * 60
    ts_ms = _NOW_MS - np.arange(minutes, dtype=np.int64)[::-1] * MINUTE_MS
    return float(round(liquidation_cascade.velocity(ts_ms, np.full(minutes, total_usd / minutes), _NOW_MS)))


def _level(total_usd: float, hours: int) -> str:
    level = liquidation_cascade.severity(
        total_usd=total_usd, velocity_usd_per_hour=_velocity(total_usd, hours)
    )
    return f"{level} {liquidation_cascade.label(level)}"


def _funding() -> Sequence[Check]:
    return [
        Check("funding", "mean 0.0008 %, std 0.0003 %, rate 0.00125 %: z", _worked_z, 1.5),
        Check("funding", "a flat history on its mean: z", lambda: funding_anomaly.z_score([1e-4] * 40), 0.0),
        Check("funding", "equal rates: percentile", lambda: funding_anomaly.percentile([1e-4] * 40), 50.0),
        Check("funding", "sign change after an extreme: reversal", _reversal, True),
    ]


def _reversal() -> bool:
    return funding_anomaly.reversal([1e-4] * 40 + [9e-4, 9e-4, -1e-4])


def _worked_z() -> float:
    """90 rates of mean 0.0008 % and standard deviation 0.0003 %, the last of which is 0.00125 %."""
    mean, std, last, n = 8e-6, 3e-6, 1.25e-5, 90
    # The other 89 have what is left of mean and variance, half of them on either side.
    rest_mean = (n * mean - last) / (n - 1)
    spread = sqrt(((n - 1) * std**2 - (last - mean) ** 2 - (n - 1) * (rest_mean - mean) ** 2) / (n - 2))
    sides = [rest_mean + spread, rest_mean - spread] * ((n - 2) // 2)
    return round(funding_anomaly.z_score([*sides, rest_mean, last]) or 0.0, 9)


def _volatility() -> Sequence[Check]:
    return [
        Check("volatility", "2.1 % at 1.17x the baseline", lambda: _regime(0.021, 1.17), "HIGH_VOL"),
        Check("volatility", "5.2 % at 4.3x the baseline", lambda: _regime(0.052, 4.3), "EXPLOSIVE"),
        Check("volatility", "0.8 % at 1.17x the baseline", lambda: _regime(0.008, 1.17), "STABLE"),
        Check("volatility", "too few bars say nothing", lambda: _classify(np.full(100, 100.0)), None),
    ]


def _regime(volatility_24h: float, ratio: float) -> str | None:
    """Classify 30 days of closes whose last 24 hours have this volatility, at this ratio to the baseline."""
    recent = volatility_24h / sqrt(24)
    before = sqrt((720 * (volatility_24h / ratio) ** 2 / 24 - 24 * recent**2) / 696)
    sizes = np.concatenate([np.full(696, before), np.full(24, recent)])
    returns = sizes * np.where(np.arange(720) % 2, 1.0, -1.0)
    return _classify(100.0 * np.exp(np.concatenate([[0.0], np.cumsum(returns)])))


def _classify(close: FloatArray) -> str | None:
    return volatility_regime.classify(close).vol_regime


def _regimes() -> Sequence[Check]:
    return [
        Check("regimes", "price_z 1.2, volume_z 1.8: heat", lambda: _heat(1.2, 1.8), 0.72),
        Check("regimes", "quiet volume adds nothing: heat", lambda: _heat(-1.0, -2.0), 0.3),
        Check(
            "regimes",
            "up, up, down, neutral: primary and agreement",
            lambda: _consensus(1, 1, -1, 0),
            "1: 2 of 4",
        ),
        Check("regimes", "up, down, tie: the longer one", lambda: _consensus(1, -1), "-1: 1 of 2"),
    ]


def _heat(price_z: float, volume_z: float) -> float:
    return round(float(spot_regime.heat(np.array([price_z]), np.array([volume_z]))[0]), 12)


def _consensus(*states: int) -> str:
    known = np.ones((len(states), 1), dtype=np.bool_)
    primary, agreement, count = spot_regime.consensus(np.array(states, dtype=np.int64)[:, None], known)
    return f"{primary[0]}: {agreement[0]} of {count[0]}"


def _correlation() -> Sequence[Check]:
    return [
        Check("correlation", "0.87 to 0.15 is a break", lambda: _is_break(0.87, 0.15), True),
        Check("correlation", "0.87 to 0.82 is normal", lambda: _is_break(0.87, 0.82), False),
    ]


def _is_break(normal: float, current: float) -> bool:
    """Compare 720 hours of one correlation with 168 of another; both exact by construction."""
    before, recent = _pair(720, normal), _pair(168, current)
    first, second = (np.concatenate([a, b]) for a, b in zip(before, recent, strict=True))
    return correlation_engine.compare(first, second).is_break


def _pair(n: int, r: float) -> tuple[FloatArray, FloatArray]:
    """Two series whose correlation is r: a sine, and r of it with the rest of a cosine."""
    turn = 2 * np.pi * np.arange(n) / n
    return np.sin(turn) * 0.01, (r * np.sin(turn) + sqrt(1 - r * r) * np.cos(turn)) * 0.01


def _webhooks() -> Sequence[Check]:
    return [
        # The example of standardwebhooks.com, which every library for it is tested with.
        Check(
            "webhooks",
            "Standard Webhooks signature",
            _signature,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        Check("webhooks", "metadata services stay closed", lambda: _refused("169.254.169.254"), True),
        Check("webhooks", "private addresses stay closed", lambda: _refused("10.0.0.1"), True),
        Check("webhooks", "a webhook URL is masked", _masked, "to ***"),
    ]


def _signature() -> str:
    (key,) = signing.parse_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    message_id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    return signing.sign([key], message_id=message_id, timestamp_s=1614265330, body=body)


def _refused(address: str) -> bool:
    return AddressGuard().refusal(address) is not None


def _masked() -> str:
    return Redactor()(f"to https://discord.com/api/webhooks/{'1' * 18}/{'x' * 60}")
