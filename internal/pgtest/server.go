package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
)

// A Setting is "name=value", as in postgresql.conf, without quotes.
type Setting string

// Durable makes the server flush every commit to the disk, as it does outside of tests. Without it, a commit survives
// [Server.Kill] all the same, but not the machine's crash.
const Durable Setting = "fsync=on"

// defaults are for speed and for tests of many processes. The zone is an unusual one (UTC+05:45), so that a store that
// leans on the server's zone is caught.
var defaults = []Setting{"fsync=off", "max_connections=300", "timezone=Asia/Kathmandu", "unix_socket_directories="}

// A Server is a throw-away Postgres. It listens on the loopback only, and it and its data go when [Server.Close] is
// called or when the process that launched it ends, however that ends. Its methods must not be called concurrently.
type Server struct {
	url      string
	password string
	port     int
	keeper   *keeper
	options  string
}

// Start launches a server that is t's own, to be crashed and started again, and closes it when t ends. With -short, t is
// skipped.
func Start(t testing.TB, settings ...Setting) *Server {
	t.Helper()
	skipIfShort(t)
	server, err := Launch(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the test's server: %v", err)
		}
	})
	return server
}

// Launch starts a server from the installed binaries. Later settings win over earlier ones and over the defaults, which
// are fsync=off and max_connections=300.
func Launch(settings ...Setting) (*Server, error) { return launch(rand.Text(), "init", settings) }

// Standby launches a server that follows s, a replica of it, until [Server.Promote]. It takes the same settings as
// [Launch], and goes when it is closed or when the process ends.
func (s *Server) Standby(settings ...Setting) (*Server, error) {
	return launch(s.password, "copy "+s.url, settings)
}

// launch starts a server whose data are made by an order to its keeper.
func launch(password, order string, settings []Setting) (*Server, error) {
	keeper, err := newKeeper(password)
	if err != nil {
		return nil, fmt.Errorf("launch a Postgres for tests: %w", err)
	}
	if err := keeper.do(order); err != nil {
		return nil, errors.Join(err, keeper.close())
	}
	server := &Server{keeper: keeper, password: password}
	err = onFreePort(func(port int) error {
		server.port, server.options, server.url = port, options(port, settings), address(password, port)
		return server.Start()
	})
	if err != nil {
		return nil, errors.Join(err, keeper.close())
	}
	return server, nil
}

func address(password string, port int) string {
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
}

// onFreePort lets start start something. Another process may take the port between the look and the start.
func onFreePort(start func(port int) error) (err error) {
	for range 3 {
		if err = start(FreePort()); err == nil {
			return nil
		}
	}
	return err
}

func options(port int, settings []Setting) string {
	all := append([]Setting{"port=" + Setting(strconv.Itoa(port))}, defaults...)
	var b strings.Builder
	for _, s := range append(all, settings...) {
		fmt.Fprintf(&b, " -c '%s'", s)
	}
	return b.String()
}

// URL returns the address of the server's own, empty database, as its superuser.
func (s *Server) URL() string { return s.url }

// Kill stops the server at once, as a crash would: connections are cut, nothing is written that was not written before.
func (s *Server) Kill() error { return s.keeper.do("kill") }

// Stop stops the server as an administrator does who does not wait: transactions are rolled back, connections told why.
func (s *Server) Stop() error { return s.keeper.do("stop") }

// Promote makes a standby a server of its own, to which one may write. It returns once one may.
func (s *Server) Promote() error { return s.keeper.do("promote") }

// Start starts the server after [Server.Kill] or [Server.Stop], at the same address. It returns once the server has
// recovered and takes connections.
func (s *Server) Start() error { return s.keeper.do("start" + s.options) }

// Close stops the server and removes its data.
func (s *Server) Close() error { return s.keeper.close() }

// MakeDir makes an empty folder that is the server's own, and goes with it.
func (s *Server) MakeDir(name string) (path string, err error) { return s.keeper.makeDir(name) }

// FreePort returns a port that nobody listens on, from below the range that systems take ports from by themselves, for
// outgoing connections and for whoever does not say which: those would take the port of a killed server before it starts
// again.
func FreePort() int {
	for {
		port := 20000 + mathrand.IntN(10000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			listener.Close()
			return port
		}
	}
}
