package outagetest

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/purser-go/purser/internal/pgtest"
)

// A proxy stands between a ledger and its server. What it does to what passes is changed while they work.
type proxy struct {
	*testing.T
	server string // its address
	url    string // of the server, by way of the proxy

	mu       sync.Mutex
	healthy  *sync.Cond // mode is passing, or all is over
	closed   bool
	mode     mode
	delay    time.Duration // of what the server says
	listener net.Listener  // nil: connections are refused
	open     map[*link]bool
	group    sync.WaitGroup
}

// A mode is what a proxy does with what passes.
type mode int

const (
	passing    mode = iota
	silent          // connections are accepted, and nothing passes any more
	vanished        // silent, and the server never learns that a client has closed a connection
	losing          // a COMMIT arrives, and the connection is cut before its answer passes
	swallowing      // a COMMIT arrives, and nothing passes any more
)

// throughProxy returns a proxy before the server of a URL.
func throughProxy(t *testing.T, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{T: t, server: u.Host, open: make(map[*link]bool)}
	p.healthy = sync.NewCond(&p.mu)
	p.listen(fmt.Sprintf("127.0.0.1:%d", pgtest.FreePort()))
	u.Host = p.listener.Addr().String()
	p.url = u.String()
	t.Cleanup(p.close)
	return p
}

func (p *proxy) listen(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		p.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	p.group.Go(func() { p.serve(listener) })
}

func (p *proxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // it was closed
		}
		l := &link{proxy: p, client: client}
		p.mu.Lock()
		p.open[l] = true
		if p.closed {
			l.close()
		}
		p.group.Go(l.run)
		p.mu.Unlock()
	}
}

// become changes what the proxy does. A connection that was silent once stays so, as when a router has forgotten it; but
// the server learns that a client has closed it as soon as it is passing again.
func (p *proxy) become(m mode, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode, p.delay = m, delay
	p.healthy.Broadcast()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.close()
	}
}

// refuse closes all connections, and takes no new ones until the returned function is called.
func (p *proxy) refuse() (accept func()) {
	p.mu.Lock()
	address := p.listener.Addr().String()
	p.listener.Close()
	p.mu.Unlock()
	p.cut()
	return func() { p.listen(address) }
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.listener.Close()
	p.healthy.Broadcast()
	p.mu.Unlock()
	p.cut()
	p.group.Wait()
}

// A link is one connection of a client's and the one to the server that belongs to it.
type link struct {
	*proxy
	client, upstream net.Conn // upstream: nil until the server is to be reached
	lossy            bool     // the next answer is that to a COMMIT, and gets lost
	dead             bool     // nothing passes any more
	forgotten        bool     // not even that it was closed
}

func (l *link) run() {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.close()
		delete(l.open, l)
	}()
	upstream, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.upstream = upstream
	if l.closed {
		l.close()
	}
	l.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { l.copy(upstream, l.client, l.answer) })
	l.copy(l.client, upstream, l.ask)
	back.Wait()
}

// close needs the mutex.
func (l *link) close() {
	l.client.Close()
	if l.upstream != nil {
		l.upstream.Close()
	}
}

// copy passes on what is read, as far as pass lets it, until one end is closed, and closes the other.
func (l *link) copy(from, to net.Conn, pass func([]byte) verdict) {
	defer l.end()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		switch pass(buffer[:n]) {
		case cut:
			return
		case drop:
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A verdict is what becomes of what was said.
type verdict int

const (
	keep verdict = iota
	drop
	cut
)

// ask judges what a client says.
func (l *link) ask(said []byte) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = l.mode != passing && bytes.Contains(said, []byte("COMMIT\x00"))
	return l.living(l.mode == silent || l.mode == vanished)
}

// answer judges what the server says.
func (l *link) answer([]byte) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lossy && l.mode == losing {
		return cut
	}
	delay := l.delay
	l.mu.Unlock()
	time.Sleep(delay) // it is what a slow network is
	l.mu.Lock()
	return l.living(l.mode == silent || l.mode == vanished || l.mode == swallowing && l.lossy)
}

// living drops everything from the moment on at which something was to be dropped. It needs the mutex.
func (l *link) living(silenced bool) verdict {
	l.dead = l.dead || silenced
	l.forgotten = l.forgotten || l.mode == vanished
	if l.dead {
		return drop
	}
	return keep
}

// end closes both ends once the news of it passes.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.dead && (l.mode != passing || l.forgotten) && !l.closed {
		l.healthy.Wait()
	}
	l.close()
}
