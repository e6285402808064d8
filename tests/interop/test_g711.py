"""What a real server makes of A-law and mu-law, byte for byte, and that the prints of payloads see through it."""

import pytest

from haproxy_voip.rtp.fingerprint import hash_of
from tests.interop.servers import Asterisk

# Frames of 160 samples: every byte, and then some.
EVERY = bytes(range(256)) + bytes(range(64))
IN_ITS_ROOT = "/srv/instance"  # where it sees its folder, see backends/asterisk/run
PAYLOAD_TYPES = {"ulaw": 0, "alaw": 8}


@pytest.mark.parametrize(("law", "other"), [("ulaw", "alaw"), ("alaw", "ulaw")])
def test_a_payload_that_a_server_put_into_the_other_law_has_the_same_print(
    alpha: Asterisk, law: str, other: str
) -> None:
    before, after = alpha.folder / f"every.{law}", alpha.folder / f"every.{other}"
    before.write_bytes(EVERY)
    alpha.console("module load res_convert.so")
    answer = alpha.console(f"file convert {IN_ITS_ROOT}/{before.name} {IN_ITS_ROOT}/{after.name}")
    converted = after.read_bytes()
    before.unlink()
    after.unlink()
    assert len(converted) == len(EVERY) and converted != EVERY, answer
    for byte, becomes in zip(EVERY, converted, strict=True):
        assert hash_of(PAYLOAD_TYPES[law], bytes([byte])) == hash_of(PAYLOAD_TYPES[other], bytes([becomes]))
