package webhook_test

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"

	"code.dny.dev/ssrf"

	"github.com/purser-go/purser/alert/webhook"
)

// hosts are spellings of addresses that are not public, by what they are.
var hosts = map[string][]string{
	"this machine": {
		"127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0.0.0.0]",
	},
	"a private network": {
		"10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
		"[::ffff:10.0.0.1]", "[::ffff:192.168.1.1]", "[fc00::1]", "[fd00::1]", "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "[fec0::1]",
	},
	"a provider's network": {"100.64.0.1", "100.100.100.200", "100.127.255.255"},
	"the platform of a cloud": {
		"169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "168.63.129.16",
	},
	"the link": {"169.254.0.1", "169.254.255.255", "[fe80::1]", "[fe80::1%25lo]", "[febf::1]"},
	"IPv4 within NAT64": {
		"[64:ff9b::127.0.0.1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::192.168.0.1]", "[64:ff9b:1::10.0.0.1]",
	},
	"IPv4 within 6to4, Teredo and ISATAP": {
		"[2002:7f00:1::]", "[2002:0a00:0001::1]", "[2002:c0a8:1::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001::1]", "[fe80::5efe:10.0.0.1]",
	},
	"many": {"224.0.0.1", "239.255.255.255", "255.255.255.255", "[ff02::1]", "[ff0e::1]"},
	"nobody, for protocols, documentation and tests": {
		"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "240.0.0.1",
		"[2001:db8::1]", "[3fff::1]", "[2001:2::1]", "[2001:10::1]", "[100::1]", "[5f00::1]", "[::ffff:0:10.0.0.1]", "[4000::1]",
	},
}

// others are spellings that some resolvers take for addresses, and names of this machine.
var others = []string{
	"localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
	"0", "127.0.0.1.", "①②⑦.⓪.⓪.①",
}

// listening counts the connections to a port of this machine.
func listening(t *testing.T) (port string, met func() int64) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, count.Load
}

func public(t *testing.T, url string) *webhook.Sink {
	t.Helper()
	s, err := webhook.New(url, []string{newSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPrivateAddressesAreRefusedBeforeAConnectionIsMade(t *testing.T) {
	t.Parallel()
	port, met := listening(t)
	n := 0
	for what, spellings := range hosts {
		for _, host := range spellings {
			n++
			for _, scheme := range []string{"http", "https"} {
				err := public(t, scheme+"://"+host+":"+port+"/").Send(t.Context(), warning)
				if !errors.Is(err, ssrf.ErrProhibitedIP) {
					t.Errorf("%s (%s): error is %v, want %v", host, what, err, ssrf.ErrProhibitedIP)
				}
			}
		}
	}
	for _, host := range others {
		n++
		if err := public(t, "http://"+host+":"+port+"/").Send(t.Context(), warning); err == nil {
			t.Errorf("%s: no error", host)
		}
	}
	if n < 60 || met() != 0 {
		t.Errorf("%d spellings, of which %d were connected to", n, met())
	}
}

func TestANameThatResolvesToAPrivateAddressIsRefused(t *testing.T) {
	t.Parallel()
	port, met := listening(t)
	if addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost"); err != nil || len(addresses) == 0 {
		t.Fatalf("localhost is %v: %v", addresses, err)
	}
	err := public(t, "http://localhost:"+port).Send(t.Context(), warning)
	if !errors.Is(err, ssrf.ErrProhibitedIP) || met() != 0 {
		t.Errorf("error is %v after %d connections, want %v", err, met(), ssrf.ErrProhibitedIP)
	}
}

func TestWhatIsAllowedIsConnectedTo(t *testing.T) {
	t.Parallel()
	reached := false
	at := receiver(t, func(http.ResponseWriter, *http.Request) { reached = true })
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New("http://localhost:"+u.Port(), []string{newSecret}, here)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), warning); err != nil || !reached {
		t.Errorf("reached %v, error is %v", reached, err)
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"93.184.216.34:443", "8.8.8.8:80", "1.1.1.1:8443", "11.0.0.0:443", "172.32.0.1:443", "100.128.0.1:443", "168.63.129.17:443",
		"[2606:4700::1111]:443", "[2a00:1450::1]:443", "[64:ff9b::93.184.216.34]:443",
	} {
		if err := webhook.Guard(address); err != nil {
			t.Errorf("%s is public: %v", address, err)
		}
	}
	own := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16")}
	for address, want := range map[string]error{
		"10.1.2.3:443": nil, "[fd12::1]:443": nil, "[64:ff9b::10.1.2.3]:443": nil,
		"10.2.0.1:443": ssrf.ErrProhibitedIP, "[fd13::1]:443": ssrf.ErrProhibitedIP,
	} {
		if err := webhook.Guard(address, own...); !errors.Is(err, want) {
			t.Errorf("%s: error is %v, want %v", address, err, want)
		}
	}
	if err := webhook.Guard("no address"); err == nil {
		t.Error("what is no address is connected to")
	}
}

func TestNoProxyIsUsed(t *testing.T) {
	// Not parallel, so that it comes before all others: a process looks at these but once.
	port, met := listening(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:"+port)
	}
	s, err := webhook.New("http://192.0.2.1", []string{newSecret}, here)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), warning); !errors.Is(err, ssrf.ErrProhibitedIP) || met() != 0 {
		t.Errorf("error is %v, and the proxy was asked %d times", err, met())
	}
}
