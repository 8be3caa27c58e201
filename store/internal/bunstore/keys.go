package bunstore

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/purser-go/purser/budget"
)

// claimRow is a row of purser_keys.
type claimRow struct {
	bun.BaseModel `bun:"alias:t"`

	ID        string `bun:"id"`
	Hash      []byte `bun:"hash"`
	ClaimedAt int64  `bun:"claimed_at"`
	Times     int64  `bun:"times"`
}

func (r *claimRow) claim() budget.KeyClaim {
	c := budget.KeyClaim{Key: r.ID, Time: instant(r.ClaimedAt), Times: r.Times}
	copy(c.Hash[:], r.Hash)
	return c
}

// ClaimKeys writes also where a key stands: so that the answer is of the row as it is when others are done with it.
func (t *tx) ClaimKeys(ctx context.Context, claims []budget.KeyClaim) (map[string]budget.KeyClaim, error) {
	claimed := make(map[string]budget.KeyClaim, len(claims))
	if len(claims) == 0 {
		return claimed, nil
	}
	rows := make([]claimRow, len(claims))
	for i, c := range claims {
		rows[i] = claimRow{ID: c.Key, Hash: c.Hash[:], ClaimedAt: micros(c.Time), Times: 1}
	}
	slices.SortFunc(rows, func(a, b claimRow) int { return strings.Compare(a.ID, b.ID) })
	var standing []claimRow
	_, err := t.inserting("purser_keys", &rows).
		ModelTableExpr(t.store.engine.Table("purser_keys")+" AS t").
		On("CONFLICT (id) DO UPDATE").Set("times = t.times + 1").
		Returning("id, hash, claimed_at, times").
		Exec(ctx, &standing)
	if err != nil {
		return nil, t.step(ctx, err)
	}
	for i := range standing {
		claimed[standing[i].ID] = standing[i].claim()
	}
	return claimed, nil
}

func (r *reader) KeyClaims(ctx context.Context, query budget.KeyClaimQuery) ([]budget.KeyClaim, error) {
	var rows []claimRow
	b := r.bind()
	q := b.from("purser_keys", &rows).OrderExpr("claimed_at, id").Limit(int64(query.Limit))
	b.among(q, "id", query.Keys)
	if !query.Before.IsZero() {
		q.Where("claimed_at < ?", b.arg(micros(query.Before)))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, r.step(ctx, err)
	}
	found := make([]budget.KeyClaim, len(rows))
	for i := range rows {
		found[i] = rows[i].claim()
	}
	return found, nil
}

// deleteClaims locks the rows in order before it deletes them: another process may be deleting the same.
func (t *tx) deleteClaims(ctx context.Context, claims []budget.KeyClaim) error {
	if len(claims) == 0 {
		return nil
	}
	tuples := make([][]any, len(claims))
	for i, c := range claims {
		tuples[i] = []any{c.Key, micros(c.Time)}
	}
	table := t.store.engine.Table("purser_keys")
	list, args := t.store.engine.List([]Type{Text, Integer}, tuples)
	old := "SELECT id FROM " + table + " WHERE (id, claimed_at) IN (" + list + ") ORDER BY id"
	if locking := t.store.engine.ForUpdate(); locking != "" {
		old += " FOR " + locking
	}
	_, err := t.store.bun.NewDelete().Conn(t.bind()).TableExpr(table).Where("id IN ("+old+")", args...).Exec(ctx)
	return err
}
