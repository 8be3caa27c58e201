package bunstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/usage"
)

// A ReservationRow is a row of purser_reservations.
type ReservationRow struct {
	bun.BaseModel `bun:"alias:t"`

	Tenant   string `bun:"tenant"`
	ID       string `bun:"id"`
	Time     int64  `bun:"time"`
	User     string `bun:"user_id"`
	APIKey   string `bun:"api_key"`
	Resource string `bun:"resource"`
	Labels   string `bun:"labels"`
	Hash     []byte `bun:"hash"`
	State    int64  `bun:"state"`
	Lease    bool   `bun:"lease"`
	Expires  int64  `bun:"expires_at"`
	Holds    string `bun:"holds"`
	totalsRow
}

// Dest returns where to read [ReservationColumns], behind what stands before them.
func (r *ReservationRow) Dest(before ...any) []any {
	return append(before,
		&r.Tenant, &r.ID, &r.Time, &r.User, &r.APIKey, &r.Resource, &r.Labels, &r.Hash, &r.State, &r.Lease, &r.Expires, &r.Holds,
		&r.InputTokens, &r.OutputTokens, &r.CacheCreationTokens, &r.CacheReadTokens, &r.TotalTokens, &r.Requests, &r.Runs, &r.Nanodollars)
}

// AddTo adds the row to those taken.
func (r *ReservationRow) AddTo(taken *budget.Taken) error {
	stored, err := r.stored()
	taken.Reservations[stored.Key()] = stored
	return err
}

func (r *ReservationRow) stored() (budget.StoredReservation, error) {
	stored := budget.StoredReservation{
		ID:       r.ID,
		Subject:  usage.Subject{Tenant: r.Tenant, User: r.User, APIKey: r.APIKey, Resource: r.Resource},
		Time:     instant(r.Time),
		Estimate: usage.Totals(r.totalsRow),
		State:    budget.ReservationState(r.State), Lease: r.Lease,
		Expires: instant(r.Expires),
	}
	copy(stored.Hash[:], r.Hash)
	var p parser
	if r.Labels != noLabels {
		p.json("labels", r.Labels, &stored.Labels)
	}
	stored.Holds = p.holds(r.Holds)
	if p.err != nil {
		return budget.StoredReservation{}, fmt.Errorf("reservation %q of tenant %q: %w", r.ID, r.Tenant, p.err)
	}
	return stored, nil
}

const noHolds = "[]"

// holdsText returns holds as JSON: an array of [budget, value, start, units].
func holdsText(holds []budget.Hold) string {
	if len(holds) == 0 {
		return noHolds
	}
	b := make([]byte, 0, 128*len(holds))
	for _, h := range holds {
		b = append(b, ",["...)
		b = append(appendJSON(b, h.Budget), ',')
		b = append(appendJSON(b, h.Value), ',')
		b = append(strconv.AppendInt(b, h.Start, 10), ',')
		b = append(strconv.AppendInt(b, h.Units, 10), ']')
	}
	b[0] = '['
	return string(append(b, ']'))
}

// appendJSON appends s, which is valid UTF-8, as JSON.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func (p *parser) holds(text string) []budget.Hold {
	if text == noHolds {
		return nil
	}
	var stored []holdJSON
	p.json("holds", text, &stored)
	holds := make([]budget.Hold, len(stored))
	for i, h := range stored {
		holds[i] = budget.Hold(h)
	}
	return holds
}

// holdJSON is a hold as an array.
type holdJSON budget.Hold

// UnmarshalJSON implements [json.Unmarshaler].
func (h *holdJSON) UnmarshalJSON(text []byte) error {
	members := [...]any{&h.Budget, &h.Value, &h.Start, &h.Units}
	return json.Unmarshal(text, &members)
}

// KeysTaken is the error of reservations of which only so many could be added. It is not an error of the database, which
// would end the transaction of a caller who may go on.
func KeysTaken(added, given int) error {
	return fmt.Errorf("the ids of %d of %d reservations are taken: %w", given-added, given, budget.ErrConflict)
}

func (t *tx) TakeReservations(ctx context.Context, keys []budget.ReservationKey, overdue int) (budget.Taken, error) {
	taken, err := t.store.engine.TakeReservations(ctx, t, keys, overdue)
	return taken, t.step(ctx, err)
}

func (r *reader) Reservations(ctx context.Context, query budget.ReservationQuery) ([]budget.StoredReservation, error) {
	var rows []ReservationRow
	b := r.bind()
	q := b.from("purser_reservations", &rows)
	if query.Overdue {
		overdue, args := r.store.engine.Overdue()
		q.ModelTableExpr("("+overdue+") AS t", b.all(args)...)
	}
	if err := b.reserved(q, query).OrderExpr("tenant, id").Limit(int64(query.Limit)).Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.StoredReservation, len(rows))
	for i := range rows {
		var err error
		if found[i], err = rows[i].stored(); err != nil {
			return nil, r.step(ctx, err)
		}
	}
	return found, nil
}

// reserved restricts a query to what a [budget.ReservationQuery] selects, but for what is overdue and for its limit.
func (b *binding) reserved(q *bun.SelectQuery, query budget.ReservationQuery) *bun.SelectQuery {
	if query.Keys != nil {
		b.in(q, "tenant, id", eventKeyTypes, eventKeys(query.Keys))
	}
	if query.Tenant != nil {
		q.Where("tenant = ?", b.arg(*query.Tenant))
	}
	if query.Budget != "" {
		q.Where(b.store.engine.Holds(), b.arg(string(appendJSON(nil, query.Budget))), b.arg(query.Budget))
	}
	if query.States != nil {
		states := make([][]any, len(query.States))
		for i, state := range query.States {
			states[i] = []any{int64(state)}
		}
		b.in(q, "state", []Type{Integer}, states)
	}
	if !query.Before.IsZero() {
		q.Where("expires_at < ?", b.arg(micros(query.Before)))
	}
	if after := query.After; after != nil {
		q.Where("(tenant, id) > (?, ?)", b.arg(after.Tenant), b.arg(after.ID))
	}
	return q
}
