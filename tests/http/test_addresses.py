"""Which addresses count as public, and how a client allows others."""

from __future__ import annotations

import pytest

from vidorch.errors import InvalidRequest
from vidorch.http.addresses import Allowed, address_of, hides_an_address, is_public

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101",
    "2002:101:101::1",
]  # fmt: skip


class TestIsPublic:
    @pytest.mark.parametrize("text", PRIVATE)
    def test_private(self, text: str) -> None:
        """Private, loopback, link-local, multicast, reserved, and each of these inside another."""
        address = address_of(text)
        assert address is not None and not is_public(address)

    @pytest.mark.parametrize("text", PUBLIC)
    def test_public(self, text: str) -> None:
        """The internet at large, also by way of a translation."""
        address = address_of(text)
        assert address is not None and is_public(address)


class TestHidesAnAddress:
    @pytest.mark.parametrize(
        "host",
        ["127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "1.2.3", "a.1", "0x"],
    )
    def test_odd_spellings(self, host: str) -> None:
        """What the C library reads as an IPv4 address, or might."""
        assert hides_an_address(host)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "example.com", "1e100.net", "3.de", "cafe"])
    def test_plain(self, host: str) -> None:
        """Addresses as they are usually written, and names."""
        assert not hides_an_address(host)


class TestAllowed:
    @pytest.mark.parametrize(
        ("entry", "address"),
        [
            ("10.0.0.0/8", "10.9.8.7"), ("10.1.2.3", "10.1.2.3"), ("fd00::/8", "fd00::5"), ("[::1]", "::1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1"), ("10.0.0.1/8", "10.200.0.1"),
        ],
    )  # fmt: skip
    def test_a_network(self, entry: str, address: str) -> None:
        """An address of it is fine, also where it is mapped into IPv6."""
        assert Allowed.of([entry]).address(address)

    def test_another_network(self) -> None:
        """What is not in it is not."""
        assert not Allowed.of(["10.0.0.0/8"]).address("192.168.0.1")

    def test_a_name(self) -> None:
        """A name is compared as a whole, in any case."""
        allowed = Allowed.of(["MinIO.internal."])
        assert (True, False) == (allowed.name("minio.internal"), allowed.name("evil.minio.internal"))

    def test_one_in_place_of_a_list(self) -> None:
        """A single entry needs no list."""
        assert Allowed.of("minio.internal").name("minio.internal")

    def test_public_ones_need_nothing(self) -> None:
        """Public addresses are always fine; what is no address is not."""
        assert (True, False) == (Allowed().address("1.1.1.1"), Allowed().address("localhost"))

    @pytest.mark.parametrize(
        "entry", ["http://minio/", "10.0.0.0/33", "a b", "", "minio:9000", "-x", "127.1", None, 7]
    )
    def test_what_is_neither(self, entry: object) -> None:
        """A mistake is named at once."""
        with pytest.raises(InvalidRequest, match="private_hosts"):
            Allowed.of([entry])  # type: ignore[list-item]
