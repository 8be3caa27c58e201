package budget

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/purser-go/purser/internal/invalid"
)

// ClaimKey says that an idempotency key stands for a request: 1 to 128 bytes of plain text, which the caller makes unique
// beyond the ledger's store by whatever it puts into it, such as whose key it is. The first claim is kept, with a hash of the
// request, for Options.KeyRetention, in however many processes it is made at the same time. A later one for the same request
// is well, and again is true, which it may also be by an earlier try of the caller's own; one for another request is
// ErrConflict, and changes nothing. What the request asks for is the caller's to do, after the claim, and to do once.
//
// Errors: ErrInvalid with the fields, ErrConflict, and what the store says; after ErrOutcomeUnknown, claim it again.
func (l *Ledger) ClaimKey(ctx context.Context, key string, request []byte) (again bool, err error) {
	if err := invalid.Name("key", key); err != nil {
		return false, fmt.Errorf("claim key: %w", err)
	}
	claim := KeyClaim{Key: key, Hash: sha256.Sum256(request), Time: l.now()}
	err = l.update(ctx, fmt.Sprintf("claim key %q", key), func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		claimed, err := tx.ClaimKeys(ctx, []KeyClaim{claim})
		if err != nil {
			return err
		}
		stands := claimed[key]
		if stands.Hash != claim.Hash {
			return fmt.Errorf("%w: it stands for another request", ErrConflict)
		}
		again = stands.Times > 1
		return nil
	})
	return again && err == nil, err
}

// forgetKeys deletes the claims of keys that were claimed longer ago than they are kept.
func (l *Ledger) forgetKeys(ctx context.Context) error {
	q := KeyClaimQuery{Before: l.now().Add(-l.options.KeyRetention), Limit: maxOverdue}
	for {
		n, err := l.forgetSomeKeys(ctx, q)
		if err != nil || n < q.Limit {
			return err
		}
	}
}

func (l *Ledger) forgetSomeKeys(ctx context.Context, q KeyClaimQuery) (int, error) {
	ctx, cancel := l.briefly(ctx)
	defer cancel()
	var old []KeyClaim
	err := l.look(ctx, "find old claims of keys", func(r ReadTx) (err error) {
		old, err = r.KeyClaims(ctx, q)
		return err
	})
	if err != nil || len(old) == 0 {
		return 0, err
	}
	err = l.store.Update(ctx, func(tx Tx) error {
		if err := tx.Fence(ctx, Shared); err != nil {
			return err
		}
		_, err := tx.Apply(ctx, Writes{DeleteKeyClaims: old})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget old claims of keys: %w", err)
	}
	return len(old), nil
}
