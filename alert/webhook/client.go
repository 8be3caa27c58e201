package webhook

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// azure is where the platform of Azure answers its machines, an address that no registry lists as special.
var azure = netip.MustParsePrefix("168.63.129.16/32")

// newClient returns a client that connects to public addresses and to these.
func newClient(allow []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: guard(allow)}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // it would connect in our place, to where it likes
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
			// Alerts are rare: a connection would be kept for nothing, and past a change of its name's address.
			DisableKeepAlives: true,
		},
		// The new place would have to be asked for what was signed for another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guard returns what a dialer calls with the address that a name has been resolved to, before it connects.
func guard(allow []netip.Prefix) func(network, address string, c syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, prefix := range allow {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	public := ssrf.New(ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...), ssrf.WithDeniedV4Prefixes(azure))
	return func(network, address string, c syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return public.Safe(network, netip.AddrPortFrom(behind(to.Addr()), to.Port()).String(), c)
	}
}

// behind returns the address that is reached through NAT64, which is the only way to most of the world for a machine that
// has no other address than one of IPv6; any other address as it is.
func behind(a netip.Addr) netip.Addr {
	if !ssrf.IPv6NAT64Prefix.Contains(a) {
		return a
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}
