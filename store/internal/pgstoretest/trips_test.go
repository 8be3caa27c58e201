package pgstoretest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/pgtest"
	"github.com/purser-go/purser/store/pgstore"
	"github.com/purser-go/purser/store/pgstore/pgxpipe"
	"github.com/purser-go/purser/usage"
)

// What a transaction costs on a network is its round trips: how often the client waits for the server.
func TestRoundTrips(t *testing.T) {
	proxy := newProxy(t, pgtest.URL(t))
	config, err := pgx.ParseConfig(proxy.url)
	if err != nil {
		t.Fatal(err)
	}
	// The driver looks whether the server is still there when a connection was not used for a second: one trip more on a
	// machine that stood still for so long.
	never := func(context.Context, stdlib.ShouldPingParams) bool { return false }
	db := stdlib.OpenDB(*config, stdlib.OptionShouldPing(never))
	defer db.Close()
	if err := pgstore.Migrate(t.Context(), db, nil); err != nil {
		t.Fatal(err)
	}
	store, err := pgstore.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	piped, err := pgstore.New(db, &pgstore.Options{Pipeline: pgxpipe.Pipeline{}})
	if err != nil {
		t.Fatal(err)
	}
	standing := event()
	ledger := budget.NewLedger(store, nil)
	made, err := ledger.Create(t.Context(), budget.Budget{Name: "tokens", Metric: usage.Tokens, Limit: decimal.New(1000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var version int64
	err = store.View(t.Context(), func(r budget.ReadTx) error {
		catalog, err := r.Catalog(t.Context())
		version = catalog.Version
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		trips int64
		do    func(ctx context.Context) error
	}{
		{"recording takes four", 4, func(ctx context.Context) error { return record(ctx, store, event()) }},
		{"recording what stands takes one more", 5, func(ctx context.Context) error { return record(ctx, store, standing) }},
		{"recording through a pipeline takes two", 2, func(ctx context.Context) error { return recordAtOnce(ctx, piped, version) }},
		{"reserving takes six", 6, func(ctx context.Context) error { return reserve(ctx, store) }},
		{"settling some and reserving and releasing others takes seven", 7, func(ctx context.Context) error { return settle(ctx, store) }},
		{"claiming a key takes three", 3, func(ctx context.Context) error { return claimKey(ctx, store) }},
		{"a view takes two more than its queries", 5, func(ctx context.Context) error { return view(ctx, store, 3) }},
		{"a budget takes one", 1, func(ctx context.Context) error {
			_, err := ledger.Budget(ctx, made.ID)
			return err
		}},
		{"a status takes one", 1, func(ctx context.Context) error {
			_, err := ledger.Status(ctx, made.ID, nil)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The first times, the driver prepares its statements.
			for range 3 {
				proxy.trips.Store(0)
				if err := tt.do(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := proxy.trips.Load(); got != tt.trips {
				t.Errorf("took %d round trips, want %d", got, tt.trips)
			}
		})
	}
}

var recorded atomic.Int64

// event returns one that was never recorded.
func event() budget.StoredEvent {
	id := fmt.Sprint("event ", recorded.Add(1))
	return budget.StoredEvent{ID: id, Subject: usage.Subject{Tenant: "acme"}, Time: time.UnixMicro(1), RecordedAt: time.UnixMicro(1)}
}

// counted is what recording an event adds to.
func counted() budget.Writes {
	sum := func(grain usage.Grain) budget.UsageAdd {
		return budget.UsageAdd{UsageKey: budget.UsageKey{Grain: grain, Tenant: "acme"}, Totals: usage.Totals{Requests: 1}}
	}
	return budget.Writes{
		Counters: []budget.Counter{{CounterKey: budget.CounterKey{Budget: "b"}, Tally: budget.Tally{Recorded: 1}}},
		Usage:    []budget.UsageAdd{sum(usage.QuarterHours), sum(usage.Days), sum(usage.Months)},
	}
}

func claimKey(ctx context.Context, store budget.Store) error {
	return store.Update(ctx, func(tx budget.Tx) error {
		if err := tx.Fence(ctx, budget.Shared); err != nil {
			return err
		}
		_, err := tx.ClaimKeys(ctx, []budget.KeyClaim{{Key: "k", Time: time.UnixMicro(1)}})
		return err
	})
}

func record(ctx context.Context, store budget.Store, e budget.StoredEvent) error {
	return store.Update(ctx, func(tx budget.Tx) error {
		if err := tx.Fence(ctx, budget.Shared); err != nil {
			return err
		}
		if _, err := tx.InsertEvents(ctx, []budget.StoredEvent{e}); err != nil {
			return err
		}
		_, err := tx.Apply(ctx, counted())
		return err
	})
}

func recordAtOnce(ctx context.Context, store budget.Store, version int64) error {
	return store.Update(ctx, func(tx budget.Tx) error {
		_, err := tx.(budget.Recorder).Record(ctx, version, []budget.StoredEvent{event()}, counted())
		return err
	})
}

func reserve(ctx context.Context, store budget.Store) error {
	return store.Update(ctx, func(tx budget.Tx) error {
		r := reservation()
		if err := take(ctx, tx, r.Key()); err != nil {
			return err
		}
		key := budget.CounterKey{Budget: "b"}
		if _, err := tx.LockCounters(ctx, []budget.CounterKey{key}); err != nil {
			return err
		}
		_, err := tx.Apply(ctx, budget.Writes{
			Counters:        []budget.Counter{{CounterKey: key, Tally: budget.Tally{Reserved: 1}}},
			AddReservations: []budget.StoredReservation{r},
		})
		return err
	})
}

func settle(ctx context.Context, store budget.Store) error {
	settled, released, added := reservation(), reservation(), reservation()
	released.State = budget.Released
	return store.Update(ctx, func(tx budget.Tx) error {
		if err := take(ctx, tx, settled.Key(), released.Key(), added.Key()); err != nil {
			return err
		}
		if _, err := tx.InsertEvents(ctx, []budget.StoredEvent{event()}); err != nil {
			return err
		}
		if _, err := tx.LockCounters(ctx, []budget.CounterKey{{Budget: "b"}}); err != nil {
			return err
		}
		w := counted()
		w.AddReservations = []budget.StoredReservation{added}
		w.PutReservations = []budget.StoredReservation{released}
		w.DeleteReservations = []budget.ReservationKey{settled.Key()}
		_, err := tx.Apply(ctx, w)
		return err
	})
}

func take(ctx context.Context, tx budget.Tx, keys ...budget.ReservationKey) error {
	if err := tx.Fence(ctx, budget.Shared); err != nil {
		return err
	}
	_, err := tx.TakeReservations(ctx, keys, 100)
	return err
}

// reservation returns one whose id was never given.
func reservation() budget.StoredReservation {
	e := event()
	return budget.StoredReservation{ID: e.ID, Subject: e.Subject, Time: e.Time, Expires: e.Time.Add(200 * 365 * 24 * time.Hour)}
}

func view(ctx context.Context, store budget.Store, queries int) error {
	return store.View(ctx, func(tx budget.ReadTx) error {
		for range queries {
			if _, err := tx.Catalog(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// A proxy passes connections on to a server and counts the messages after which a client waits for an answer.
type proxy struct {
	url    string
	server string
	trips  atomic.Int64
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &proxy{server: address.Host}
	address.Host = listener.Addr().String()
	p.url = address.String()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(client)
		}
	}()
	return p
}

func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server) //nolint:errcheck // ends with the connection
	p.count(bufio.NewReader(client), server)
}

// count passes the client's messages on: the first without a type, then each with one.
func (p *proxy) count(client *bufio.Reader, server io.Writer) {
	for first := true; ; first = false {
		var kind []byte
		if !first {
			kind = make([]byte, 1)
		}
		length := make([]byte, 4)
		if _, err := io.ReadFull(client, kind); err != nil {
			return
		}
		if _, err := io.ReadFull(client, length); err != nil {
			return
		}
		if !first && (kind[0] == 'Q' || kind[0] == 'S') { // Query, Sync
			p.trips.Add(1)
		}
		if _, err := server.Write(append(kind, length...)); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, int64(binary.BigEndian.Uint32(length))-4); err != nil {
			return
		}
	}
}
