package webhook

import (
	"net/http"
	"net/netip"
	"time"
)

// SignatureOf returns the headers with which a body is sent.
func SignatureOf(secrets []string, id string, now time.Time, body []byte) (http.Header, error) {
	s, err := New("https://example.com", secrets, &Options{Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	h := make(http.Header)
	return h, s.sign(h, id, body)
}

// Guard says whether an address is connected to.
func Guard(address string, allow ...netip.Prefix) error { return guard(allow)("tcp6", address, nil) }
