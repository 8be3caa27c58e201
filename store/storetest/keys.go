package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/purser-go/purser/budget"
)

func keyClaims() section[*test] {
	return section[*test]{"KeyClaims", []rule[*test]{
		{"claims of keys come back as they were given, claimed once", claimsExact},
		{"ClaimKeys returns what stands with one more of its times", claimsStanding},
		{"ClaimKeys of a transaction that fails leaves nothing", claimsUndone},
		{"claims that the query selects, in ascending order of time and key", claimsSelected},
		{"DeleteKeyClaims are deleted where the same key and time stand", claimsDeleted},
	}}
}

func keyClaimRace() section[*test] {
	return section[*test]{"KeyClaimRace", []rule[*test]{
		{"a key that another is just claiming is waited for and taken", claimBesideCommit},
		{"a key that another was just claiming is free if that rolls back", claimBesideRollback},
		{"of those who claim a key at the same time one wins and all learn which", oneClaimWins},
		{"claims in any order, and deleted ones, never wait for each other", claimsInAnyOrder},
	}}
}

func claimsExact(t *test) {
	var given, want []budget.KeyClaim
	for i, text := range nasty() {
		c := keyClaim(text, func(c *budget.KeyClaim) { c.Time, c.Hash[0] = exact(i), byte(i) })
		want = append(want, c)
		c.Times = 7
		given = append(given, c)
	}
	standing := make(map[string]budget.KeyClaim)
	for _, c := range want {
		standing[c.Key] = c
	}
	equal(t, "each claim whose key is not taken is stored", standing, t.claimKeys(shuffled(given)...))
	equal(t, "claims come back as they were given", want, read(t, budget.ReadTx.KeyClaims, budget.KeyClaimQuery{}))
	equal(t, "of no keys there are none", nil, t.claimKeys())
}

func claimsStanding(t *test) {
	first := keyClaim("k")
	t.claimKeys(first)
	other := keyClaim("k", func(c *budget.KeyClaim) { c.Hash[31], c.Time = 1, exact(5) })
	for times := int64(2); times < 4; times++ {
		want := map[string]budget.KeyClaim{
			"k":                          keyClaim("k", func(c *budget.KeyClaim) { c.Times = times }),
			fmt.Sprint("beside ", times): keyClaim(fmt.Sprint("beside ", times)),
		}
		got := t.claimKeys(other, keyClaim(fmt.Sprint("beside ", times)))
		equal(t, "what stands is returned with one more of its times, whatever was given", want, got)
	}
}

func claimsUndone(t *test) {
	t.claimKeys(keyClaim("stands"))
	before := t.contents()
	err := t.store.Update(t.Context(), func(tx budget.Tx) error {
		if _, err := claimKeys(t.Context(), tx, keyClaim("stands"), keyClaim("new")); err != nil {
			return err
		}
		return errRolledBack
	})
	fails(t, "Update returns fn's error", errRolledBack, err)
	equal(t, "nothing of the transaction stays", before, t.contents())
}

func claimsSelected(t *test) {
	c := func(key string, minute int) budget.KeyClaim {
		return keyClaim(key, func(c *budget.KeyClaim) { c.Time = at(minute) })
	}
	all := []budget.KeyClaim{c("b", 0), c("B", 1), c("a", 1), c("c", 2)}
	t.claimKeys(shuffled(all)...)
	for _, one := range []struct {
		rule  string
		query budget.KeyClaimQuery
		want  []budget.KeyClaim
	}{
		{"all", budget.KeyClaimQuery{}, all},
		{"of these keys", budget.KeyClaimQuery{Keys: []string{"c", "B", "unknown"}}, []budget.KeyClaim{all[1], all[3]}},
		{"of no keys", budget.KeyClaimQuery{Keys: []string{}}, nil},
		{"whose time is before it", budget.KeyClaimQuery{Before: at(1)}, all[:1]},
		{"whose time is a microsecond before it", budget.KeyClaimQuery{Before: at(1).Add(time.Microsecond)}, all[:3]},
		{"at most so many", budget.KeyClaimQuery{Before: at(2), Limit: 2}, all[:2]},
	} {
		equal(t, "KeyClaims selects "+one.rule, one.want, read(t, budget.ReadTx.KeyClaims, one.query))
	}
}

func claimsDeleted(t *test) {
	later := func(c *budget.KeyClaim) { c.Time = exact(2) }
	t.claimKeys(keyClaim("goes"), keyClaim("stays"), keyClaim("claimed anew", later))
	t.claimKeys(keyClaim("goes"))
	t.write(budget.Writes{DeleteKeyClaims: []budget.KeyClaim{keyClaim("unknown"), keyClaim("claimed anew"), keyClaim("goes")}})
	equal(t, "those are deleted of which the same key and time stand",
		[]budget.KeyClaim{keyClaim("stays"), keyClaim("claimed anew", later)}, t.contents().KeyClaims)
	equal(t, "a key that is gone is free",
		map[string]budget.KeyClaim{"goes": keyClaim("goes", later)}, t.claimKeys(keyClaim("goes", later)))
}

// startClaiming claims a key in a goroutine. What stands then goes to the channel that it returns first.
func (t *test) startClaiming(c budget.KeyClaim) (standing <-chan budget.KeyClaim, done <-chan error) {
	claimed := make(chan budget.KeyClaim, 1)
	var stands budget.KeyClaim
	finished := make(chan error, 1)
	go func() {
		err := t.store.Update(t.Context(), func(tx budget.Tx) error {
			found, err := claimKeys(t.Context(), tx, c)
			stands = found[c.Key]
			return err
		})
		claimed <- stands
		finished <- err
	}()
	return claimed, finished
}

func claimBesideCommit(t *test) {
	first := t.hold(func(tx budget.Tx) error { _, err := claimKeys(t.Context(), tx, keyClaim("k")); return err })
	standing, second := t.startClaiming(keyClaim("k", func(c *budget.KeyClaim) { c.Hash[0] = 1 }))
	waits(t, "a key that another transaction is just claiming is waited for", second)
	first.commit()
	ends(t, "it waits only until the other transaction ends", second)
	equal(t, "it is told what stands", keyClaim("k", func(c *budget.KeyClaim) { c.Times = 2 }), <-standing)
}

func claimBesideRollback(t *test) {
	first := t.hold(func(tx budget.Tx) error { _, err := claimKeys(t.Context(), tx, keyClaim("k")); return err })
	other := keyClaim("k", func(c *budget.KeyClaim) { c.Hash[0] = 1 })
	standing, second := t.startClaiming(other)
	waits(t, "a key that another transaction is just claiming is waited for", second)
	first.rollBack()
	ends(t, "it waits only until the other transaction ends", second)
	equal(t, "the key is free", other, <-standing)
}

func oneClaimWins(t *test) {
	const workers = 4
	var mu sync.Mutex
	learned := make(map[string]map[int64]byte) // by key and by how often it was claimed by then, whose content stands
	t.together(workers, 25, func(ctx context.Context, worker, turn int) error {
		key := fmt.Sprint("key ", turn)
		var stands budget.KeyClaim
		err := t.store.Update(ctx, func(tx budget.Tx) error {
			found, err := claimKeys(ctx, tx, keyClaim(key, func(c *budget.KeyClaim) { c.Hash[0] = byte(worker) }))
			stands = found[key]
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		if learned[key] == nil {
			learned[key] = make(map[int64]byte)
		}
		learned[key][stands.Times] = stands.Hash[0]
		return err
	})
	for _, c := range t.contents().KeyClaims {
		var want []byte
		var got []byte
		for times := int64(1); times <= workers; times++ {
			want = append(want, c.Hash[0])
			got = append(got, learned[c.Key][times])
		}
		equal(t, "one wins and all learn which, each as another one", want, got)
		equal(t, "each counts once", workers, len(learned[c.Key]))
		equal(t, "each counts once", int64(workers), c.Times)
	}
	equal(t, "every key is claimed", len(learned), len(t.contents().KeyClaims))
}

func claimsInAnyOrder(t *test) {
	var all []budget.KeyClaim
	for _, id := range ids(20) {
		all = append(all, keyClaim(id))
	}
	t.together(4, 25, func(ctx context.Context, worker, turn int) error {
		return t.store.Update(ctx, func(tx budget.Tx) error {
			if worker == 0 {
				return apply(ctx, tx, budget.Shared, budget.Writes{DeleteKeyClaims: shuffled(all)})
			}
			found, err := claimKeys(ctx, tx, shuffled(all)...)
			if err == nil && len(found) != len(all) {
				err = fmt.Errorf("%d keys are claimed, want %d", len(found), len(all))
			}
			return err
		})
	})
}
