package outagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/purser-go/purser/internal/pgtest"
)

// The network between ledgers and their server is slow, breaks, or loses what is said.
func TestNetwork(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t) // of its own, with which nothing is encrypted
	admin := plain(t, server.URL())
	for i, tt := range []struct {
		name  string
		flush time.Duration
		fault func(*proxy, *fleet)
	}{
		// A second is not enough for the many answers that a new connection needs, if the machine is slow too: it would be
		// closed for that, and the next one be as new.
		{"answers take a while, so calls do", patientFlush, func(p *proxy, f *fleet) {
			p.become(passing, 50*time.Millisecond)
			f.goOn()
		}},
		{"answers take longer than a transaction may", flushTimeout, func(p *proxy, f *fleet) {
			p.become(passing, 2*flushTimeout)
			f.fail("context deadline exceeded")
		}},
		{"connections are cut again and again", flushTimeout, func(p *proxy, f *fleet) {
			for range 10 {
				p.cut()
				f.goOn()
			}
		}},
		{"connections are refused", flushTimeout, func(p *proxy, f *fleet) {
			accept := p.refuse()
			f.fail("connection refused")
			accept()
		}},
		{"connections are accepted and nothing is answered", flushTimeout, func(p *proxy, f *fleet) {
			p.become(silent, 0)
			f.fail("context deadline exceeded")
			f.failInRun()
		}},
		{"connections are forgotten, and the server never learns of it", flushTimeout, func(p *proxy, f *fleet) {
			p.become(vanished, 0)
			f.fail("context deadline exceeded")
		}},
		{"connections are cut before the answer to a COMMIT", flushTimeout, func(p *proxy, f *fleet) {
			p.become(losing, 0)
			f.fail("outcome unknown")
		}},
		{"the answer to a COMMIT never comes", flushTimeout, func(p *proxy, f *fleet) {
			p.become(swallowing, 0)
			f.fail("outcome unknown")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			database := fmt.Sprintf("network%d", i)
			execute(t, admin, "CREATE DATABASE "+database)
			url := strings.Replace(server.URL(), "/postgres?", "/"+database+"?", 1)
			p := throughProxy(t, url)
			f := launchPatient(t, tt.flush, p.url)
			tt.fault(p, f)
			p.become(passing, 0)
			f.goOn()
			f.prove(url)
		})
	}
}
