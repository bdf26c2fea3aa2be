import hmac
from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.delivery import signing
from regimes.delivery.signing import SignatureError, decode_secret, parse_secrets, sign, verify
from regimes.errors import ConfigError

PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def case_headers(case: dict[str, Any], signature: str) -> dict[str, str]:
    return {
        "webhook-id": case["id"],
        "webhook-timestamp": str(case["timestamp"]),
        "webhook-signature": signature,
    }


def test_every_published_and_derived_vector_is_signed_to_the_letter(vectors: dict[str, Any]) -> None:
    cases = vectors["standard_webhooks_v1_published"] + vectors["standard_webhooks_v1_derived"]
    assert len(cases) >= 4
    for case in cases:
        key = decode_secret(case["secret"])
        body = case["payload"].encode()
        signed = sign([key], message_id=case["id"], timestamp_s=case["timestamp"], body=body)
        assert signed == case["signature"]
        verify([key], case_headers(case, signed), body, now_s=case["timestamp"])


def test_two_secrets_in_rotation_give_the_header_new_then_old_and_either_verifies(
    vectors: dict[str, Any],
) -> None:
    case = vectors["rotation"]
    keys = parse_secrets(f"{case['secret']},{case['old_secret']}")
    body = case["payload"].encode()
    header = sign(keys, message_id=case["id"], timestamp_s=case["timestamp"], body=body)
    assert header == case["header"]
    for key in keys:
        verify([key], case_headers(case, header), body, now_s=case["timestamp"])


def test_every_negative_header_is_refused_with_the_verification_error_alone(vectors: dict[str, Any]) -> None:
    case = vectors["standard_webhooks_v1_published"][0]
    for negative in vectors["negative"]:
        with pytest.raises(SignatureError):
            verify(
                [decode_secret(case["secret"])],
                case_headers(case, negative["header"]),
                case["payload"].encode(),
                now_s=case["timestamp"],
            )


def test_signatures_of_other_versions_are_passed_over_and_do_not_disturb(vectors: dict[str, Any]) -> None:
    case, asymmetric = vectors["standard_webhooks_v1_published"][0], vectors["v1a"]["signature"]
    key, body = decode_secret(case["secret"]), case["payload"].encode()
    verify(
        [key], case_headers(case, f"{asymmetric} v2,xx {case['signature']}"), body, now_s=case["timestamp"]
    )
    with pytest.raises(SignatureError):
        verify([key], case_headers(case, asymmetric), body, now_s=case["timestamp"])


@pytest.mark.parametrize("off_s", [-301, 301])
def test_an_old_or_future_timestamp_is_refused(vectors: dict[str, Any], off_s: int) -> None:
    case = vectors["standard_webhooks_v1_published"][0]
    with pytest.raises(SignatureError, match="300 s"):
        verify(
            [decode_secret(case["secret"])],
            case_headers(case, case["signature"]),
            case["payload"].encode(),
            now_s=case["timestamp"] + off_s,
        )


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "\u0661"])
def test_a_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    headers = {"webhook-id": "a", "webhook-timestamp": timestamp, "webhook-signature": "v1,x"}
    with pytest.raises(SignatureError, match="timestamp"):
        verify([b"k" * 24], headers, b"", now_s=0)


def test_a_missing_header_is_named() -> None:
    with pytest.raises(SignatureError, match="webhook-signature"):
        verify([b"k" * 24], {"webhook-id": "a", "webhook-timestamp": "1"}, b"", now_s=1)


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_any_change_of_the_body_breaks_the_signature(body: bytes, place: int, flip: int) -> None:
    keys = [b"k" * 24]
    headers = signing.headers(keys, message_id="evt_1", timestamp_s=1000, body=body)
    verify(keys, headers, body, now_s=1000)
    changed = bytearray(body or b"\0")
    changed[place % len(changed)] ^= flip
    with pytest.raises(SignatureError):
        verify(keys, headers, bytes(changed) if body else b"x", now_s=1000)


def test_an_id_with_a_dot_is_never_signed() -> None:
    with pytest.raises(ValueError, match="dot"):
        sign([b"k" * 24], message_id="evt.1", timestamp_s=1, body=b"")


def test_without_a_secret_id_and_time_are_sent_but_no_signature() -> None:
    assert signing.headers([], message_id="evt_1", timestamp_s=7, body=b"") == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "7",
    }


@pytest.mark.parametrize(
    "text",
    ["whsec_!!!notbase64!!!", "whsec_c2hvcnQ=", f"{PUBLISHED},{PUBLISHED},{PUBLISHED}", "whsec_\u00e4\u00e4"],
)
def test_a_wrong_secret_is_refused_in_words_that_do_not_show_it(text: str) -> None:
    with pytest.raises(ConfigError, match="WEBHOOK_SECRET") as caught:
        parse_secrets(text)
    assert text.split(",", maxsplit=1)[0].removeprefix("whsec_") not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_secret_is_no_error() -> None:
    assert parse_secrets("") == ()


def test_a_right_signature_of_another_scheme_is_not_taken_for_one_of_ours(vectors: dict[str, Any]) -> None:
    for case in vectors["other"]:
        body, secret = case["payload"].encode(), case["secret"].encode()
        assert case["value"] == f"sha256={hmac.digest(secret, body, 'sha256').hex()}"
        theirs = {case["header"].lower(): case["value"]}
        with pytest.raises(SignatureError, match="webhook-id is missing"):
            verify([secret], theirs, body, now_s=0)
        ours = {"webhook-id": "evt_1", "webhook-timestamp": "0", "webhook-signature": case["value"]}
        with pytest.raises(SignatureError, match="no signature matches"):
            verify([secret], ours, body, now_s=0)
