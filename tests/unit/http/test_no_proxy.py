"""Which hosts no proxy is asked for. The sources of each reading: curl's lib/noproxy.c, Go's httpproxy/proxy.go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.http.no_proxy import goes_direct

DIRECT = [
    # names, as both read them: the name and what is below it
    ("example.com", "example.com", 443),
    ("example.com", "api.example.com", 443),
    ("example.com", "a.b.example.com", 443),
    ("EXAMPLE.com", "api.Example.COM", 443),
    ("other, example.com", "example.com", 443),
    ("other,,example.com,", "example.com", 443),
    ("other example.com", "example.com", 443),  # curl
    (" example.com\t", "example.com", 443),
    ("example.com.", "example.com", 443),  # curl
    ("example.com", "example.com.", 443),  # curl
    (".example.com", "api.example.com", 443),
    (".example.com", "example.com", 443),  # curl
    ("*.example.com", "api.example.com", 443),  # Go
    ("*.localhost", "api.localhost", 80),
    ("*.svc.cluster.local", "hook.team.svc.cluster.local", 80),
    ("localhost", "localhost", 8700),
    ("*", "example.com", 443),
    ("*", "10.1.2.3", 80),
    ("a, *", "example.com", 443),  # Go
    # ports: Go
    ("example.com:8443", "api.example.com", 8443),
    ("*.example.com:8443", "api.example.com", 8443),
    ("127.0.0.1:8700", "127.0.0.1", 8700),
    ("[::1]:8700", "::1", 8700),
    # addresses and ranges, as both read them
    ("10.1.2.3", "10.1.2.3", 80),
    ("10.0.0.0/8", "10.1.2.3", 80),
    ("10.1.2.99/8", "10.1.2.3", 80),
    ("127.0.0.0/8,::1/128", "127.0.0.1", 80),
    ("127.0.0.0/8,::1/128", "::1", 80),
    ("0.0.0.0/0", "203.0.113.9", 80),
    ("::1", "::1", 80),
    ("[::1]", "::1", 80),
    ("[::1]/128", "::1", 80),
    ("0:0:0:0:0:0:0:1", "::1", 80),
    ("fd00::/8", "fd12::1", 443),
    ("[fd00::]/8", "fd12::1", 443),
    ("FD00::/8", "FD12::1", 443),
    ("10.0.0.0/8", "::ffff:10.1.2.3", 443),  # Go
    # what neither reads and people write
    ("10.*", "10.1.2.3", 80),
    ("127.*", "127.0.0.1", 80),
    ("192.168.*.*", "192.168.7.9", 80),
    ("api-*.example.com", "api-eu.example.com", 443),
]
BY_PROXY = [
    ("", "example.com", 443),
    (" , ,", "example.com", 443),
    ("example.com", "notexample.com", 443),
    ("example.com", "example.com.evil.example", 443),
    ("example.com", "example.org", 443),
    ("*.example.com", "notexample.com", 443),
    ("api.example.com", "example.com", 443),
    (".", "example.com", 443),
    ("*.", "example.com", 443),
    ("example.com:8443", "example.com", 443),
    (":443", "example.com", 443),
    ("[::1]:8701", "::1", 8700),
    ("10.1.2.3", "10.1.2.30", 80),
    ("10.0.0.0/8", "11.0.0.1", 80),
    ("10.0.0.0/33", "10.1.2.3", 80),
    ("10.0.0.0/x", "10.1.2.3", 80),
    ("10.0.0.0/8", "10.1.2.3.example.com", 80),
    ("2.3", "10.1.2.3", 80),
    (".2.3", "10.1.2.3", 80),
    ("::/0", "10.1.2.3", 80),
    ("0.0.0.0/0", "::1", 80),
    ("fd00::/8", "fe12::1", 443),
    ("10.*", "110.1.2.3", 80),
    ("10.*", "100.1.2.3", 80),
    ("10.0.0.0/8", "example.com", 443),
]


@pytest.mark.parametrize(("no_proxy", "host", "port"), DIRECT)
def test_a_host_that_no_proxy_names_is_called_directly(no_proxy: str, host: str, port: int) -> None:
    assert goes_direct(host, port, no_proxy)


@pytest.mark.parametrize(("no_proxy", "host", "port"), BY_PROXY)
def test_any_other_host_is_not(no_proxy: str, host: str, port: int) -> None:
    assert not goes_direct(host, port, no_proxy)


@given(st.text(), st.ip_addresses().map(str) | st.just("example.com"), st.integers(1, 65535))
def test_what_makes_no_sense_is_passed_over(no_proxy: str, host: str, port: int) -> None:
    goes_direct(host, port, no_proxy)
    assert goes_direct(host, port, f"{no_proxy},{host}")


@given(st.ip_addresses(), st.integers(0, 128))
def test_an_address_is_within_each_range_that_is_written_with_it(address: object, bits: int) -> None:
    most = 128 if ":" in str(address) else 32
    assert goes_direct(str(address), 80, f"{address}/{bits % (most + 1)}")
